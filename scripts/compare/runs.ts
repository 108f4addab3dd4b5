/** The two runs: TRL in a Python process, then Preflab in this one. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PreflabError } from "../../src/errors.js";
import type { Dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM, get_peft_model, type LoraConfig } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, type LogEntry, SFTTrainer, type TrainerCallback } from "../../src/train/index.js";
import { packageRoot } from "../corpus/pairs.js";
import { configOf, type SharedOptions } from "./options.js";
import { PYTHON_LIBRARIES, PythonStackError } from "./pythonStack.js";
import type { ComparedMethod } from "./rows.js";

/** What both sides are to do. */
export interface Request {
  readonly method: ComparedMethod;
  readonly options: SharedOptions;
  /** Folder of the model. */
  readonly model: string;
  readonly rows: Dataset;
  readonly lora: LoraConfig | undefined;
  readonly attn_implementation: "sdpa" | "eager";
  readonly threads: number;
  /** A folder for what lies between the two; the caller deletes it. */
  readonly folder: string;
}

export interface RunRecord {
  /** One entry a step. */
  readonly log: LogEntry[];
  readonly versions: Readonly<Record<string, string>>;
  /** From the begin to the end of each step: forward and backward passes, and the optimizer. */
  readonly step_seconds: number[];
  /** The whole `train()`, with what comes before the first step. */
  readonly train_seconds: number;
  /** Largest resident memory of the side's process; null where the system does not tell. */
  readonly peak_bytes: number | null;
}

interface PythonEvent {
  missing?: Record<string, string>;
  log?: Record<string, number | string>;
  done?: Omit<RunRecord, "log">;
}

/** Called after each step. */
export type StepListener = (step: number) => void;

/** The folder in which `openPolicy` leaves a fresh adapter for the other side. */
const adapterFolder = (folder: string): string => join(folder, "adapter");

/** The model, its weights read; with LoRA under a fresh adapter, which is saved for TRL before it is trained. */
export async function openPolicy({ model: dir, lora, options, threads, folder }: Request): Promise<CausalLM> {
  const base = await AutoModelForCausalLM.from_pretrained(dir, { threads });
  if (lora === undefined) return base;
  const model = get_peft_model(base, lora, { seed: options["seed"] as number });
  await model.save_pretrained(adapterFolder(folder));
  return model;
}

/** Runs TRL. @throws PythonStackError when a library cannot be imported; PreflabError `trl_failed` with the end of Python's messages */
export async function runTrl(python: string, request: Request, onStep: StepListener): Promise<RunRecord> {
  const { folder, rows, method, options, model, lora, threads, attn_implementation } = request;
  const [requestFile, rowsFile] = [join(folder, "request.json"), join(folder, "rows.jsonl")];
  writeFileSync(
    rowsFile,
    rows
      .rows()
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(""),
  );
  writeFileSync(
    requestFile,
    JSON.stringify({
      ...{ method, options, model, threads, attn_implementation, rows: rowsFile, libraries: PYTHON_LIBRARIES },
      adapter: lora === undefined ? null : adapterFolder(folder),
      output_dir: join(folder, "trl"),
    }),
  );
  // Everything is a local file; OMP_NUM_THREADS is read before torch is told.
  const env = { ...process.env, HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: "false" };
  const child = spawn(python, [join(packageRoot(), "scripts", "compare", "trl_run.py"), requestFile], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log: LogEntry[] = [];
  let [done, missing, messages] = [undefined as PythonEvent["done"], undefined as PythonEvent["missing"], ""];
  child.stderr.setEncoding("utf8").on("data", (text: string) => (messages = (messages + text).slice(-4000)));
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as PythonEvent;
    if (event.missing !== undefined) missing = event.missing;
    if (event.done !== undefined) done = event.done;
    if (event.log !== undefined) {
      log.push(Object.fromEntries(Object.entries(event.log).map(([name, value]) => [name, Number(value)])));
      onStep(log.length);
    }
  }
  const code = await ended;
  if (missing !== undefined) throw new PythonStackError(Object.entries(missing).map(([name, why]) => `${python}: ${name}: ${why}`));
  if (code !== 0 || done === undefined)
    throw new PreflabError(
      "trl_failed",
      `compare-with-trl: TRL's run must end well, got exit code ${String(code)}; its last messages are\n${messages}`,
    );
  return { log, ...done };
}

/** Runs Preflab on the model of `openPolicy`, which it disposes of. */
export async function runPreflab(model: CausalLM, request: Request, onStep: StepListener): Promise<RunRecord> {
  const { method, options, folder, threads, rows: train_dataset } = request;
  const args = configOf(method, options, { output_dir: join(folder, "preflab"), threads });
  const step_seconds: number[] = [];
  let begun = 0;
  const timing: TrainerCallback = {
    on_step_begin: () => void (begun = performance.now()),
    on_step_end: ({ global_step }) => {
      step_seconds.push((performance.now() - begun) / 1000);
      onStep(global_step);
    },
  };
  try {
    const common = { model, train_dataset, callbacks: [timing], processing_class: await AutoTokenizer.from_pretrained(request.model) };
    // TRL's weights are in memory too before its train() begins.
    await model.load(args);
    const trainer =
      args instanceof DPOConfig
        ? new DPOTrainer({ ...common, args })
        : args instanceof KTOConfig
          ? new KTOTrainer({ ...common, args })
          : new SFTTrainer({ ...common, args });
    const started = performance.now();
    await trainer.train();
    const train_seconds = (performance.now() - started) / 1000;
    const log = trainer.state.log_history.filter((entry) => entry["loss"] !== undefined);
    const peak_bytes = process.resourceUsage().maxRSS * 1024;
    await trainer.dispose();
    return { log, versions: versionsHere(), step_seconds, train_seconds, peak_bytes };
  } finally {
    await model.base.dispose();
  }
}

function versionsHere(): Record<string, string> {
  const { version, dependencies } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return { node: process.versions.node, preflab: version, "onnxruntime-node": dependencies["onnxruntime-node"]! };
}
