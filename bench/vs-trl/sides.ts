/** Starts the two sides and plain sgemm, each in a process of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withHugePages } from "../../kernel-ext/hugePages.js";
import { PreflabError } from "../../src/errors.js";
import { packageRoot } from "../../scripts/corpus/pairs.js";
import { type ChildResult, runChild } from "../shared/child.js";
import { MALLOCS, type Measured, type PreflabRequest, type SgemmRequest, type TrlRequest, type TrlSetting } from "./requests.js";

/** The built entry, which is its own child. */
const ENTRY = fileURLToPath(new URL("../vs-trl.js", import.meta.url));

/** A folder for one measurement, deleted behind it. */
async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "preflab-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param cache folder of Preflab's cache, to be shared by several measurements; by default an empty one */
export async function runPreflab(request: Omit<PreflabRequest, "kind" | "folder">, cache?: string): Promise<Measured> {
  return withFolder(async (folder) => {
    const started = performance.now();
    const { events } = await runOwn({ ...request, kind: "preflab", folder }, folder, cache ?? join(folder, "cache"));
    return { ...(events.at(-1) as unknown as Measured), process_seconds: (performance.now() - started) / 1000 };
  });
}

/** GFLOP/s of the machine at this moment. */
export async function runSgemm(request: Omit<SgemmRequest, "kind">): Promise<number> {
  return withFolder(async (folder) => {
    const { events } = await runOwn({ ...request, kind: "sgemm" }, folder, folder);
    return events.at(-1)!["gflops"] as number;
  });
}

function runOwn(request: PreflabRequest | SgemmRequest, folder: string, cache: string): Promise<ChildResult> {
  const file = join(folder, "request.json");
  writeFileSync(file, JSON.stringify(request));
  const env = { PREFLAB_CACHE: cache };
  const huge = request.kind === "preflab" && request.huge_pages === true;
  return runChild(process.execPath, [ENTRY, "--child", file], { env: huge ? withHugePages(env) : env });
}

/** What a run of TRL gave: numbers, or why it was stopped. */
export type TrlOutcome = Measured | { readonly killed: string };

export const wasKilled = (outcome: TrlOutcome): outcome is { readonly killed: string } => "killed" in outcome;

export type TrlWork = Omit<TrlRequest, keyof TrlSetting | "folder" | "defaults" | "pairs">;

/** @param setting null for TRL's defaults with `batch` pairs @param memoryLimit in bytes */
export async function runTrl(
  python: string,
  work: TrlWork,
  setting: TrlSetting | { readonly defaultsWithBatch: number },
  memoryLimit: number,
): Promise<TrlOutcome> {
  const defaults = "defaultsWithBatch" in setting;
  const { malloc, ...options }: TrlSetting = defaults
    ? { ...PLAIN_SETTING, per_device_train_batch_size: setting.defaultsWithBatch }
    : setting;
  return withFolder(async (folder) => {
    const pairs = options.per_device_train_batch_size * options.gradient_accumulation_steps;
    const request: TrlRequest = { ...work, ...options, pairs, folder: join(folder, "trl"), defaults };
    const file = join(folder, "request.json");
    writeFileSync(file, JSON.stringify(request));
    const started = performance.now();
    const result = await runChild(python, [join(packageRoot(), "bench", "vs-trl", "trl_step.py"), file], {
      // Everything is a local file; OMP_NUM_THREADS is read before torch is told.
      env: { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false", OMP_NUM_THREADS: String(work.threads), ...MALLOCS[malloc] },
      memoryLimit,
    });
    if (result.killed !== undefined) return { killed: result.killed };
    return measuredBy(result, (performance.now() - started) / 1000);
  });
}

/** transformers' attention, nothing recomputed, the system's own allocator. */
export const PLAIN_SETTING: TrlSetting = {
  per_device_train_batch_size: 5,
  gradient_accumulation_steps: 1,
  attn_implementation: "sdpa",
  gradient_checkpointing: false,
  malloc: "default",
};

function measuredBy({ events }: ChildResult, process_seconds: number): Measured {
  const steps = events.flatMap((event) => (typeof event["step"] === "number" ? [event["step"]] : []));
  const done = events.at(-1)?.["done"] as Pick<Measured, "versions" | "begin_seconds" | "peak_bytes"> | undefined;
  if (done === undefined || steps.length === 0)
    throw new PreflabError("child_failed", "bench: TRL's side must end with its measurements, got none; run trl_step.py by hand");
  const log = events.find((event) => event["log"] !== undefined)?.["log"] as Record<string, number> | undefined;
  return {
    ...{ step_seconds: steps.slice(1), first_step_seconds: steps[0]!, process_seconds },
    ...{ begin_seconds: done.begin_seconds, peak_bytes: done.peak_bytes, versions: done.versions },
    ...{ first_logps: log?.["logps/chosen"] ?? null, first_grad_norm: log?.["grad_norm"] ?? null, sgemm: [], programs: [] },
  };
}
