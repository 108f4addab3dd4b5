/**
 * What a worker on another machine must have to run trials of a sweep, as `OUTPUT_DIR/plan.json`. The folder is shared; model and rows come
 * from there too, or from the Hub. A worker compares hashes of all of it before its first trial: one with another model, other rows or another
 * program would give numbers that cannot be compared, and nobody would see it.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { JsonObject } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { AutoModelForCausalLM } from "../model/index.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import { AutoTokenizer } from "../text/index.js";
import { hashFile, hashTokenizer } from "../train/manifest/fingerprint.js";
import { describeSoftware } from "../train/manifest/machine.js";
import { cardWriter } from "./bestModel.js";
import type { Objective } from "./engine.js";
import { dataOf, trainingRuns } from "./materials.js";
import type { SweepValues } from "./sweepOptions.js";

const PLAN_FILE = "plan.json";

export interface SweepPlan {
  /** The ledger's. */
  readonly id: string;
  /** The folder, by its path on all machines. */
  readonly folder: string;
  /** undefined where a trial is a call of a function. */
  readonly training: TrainingMaterials | undefined;
  /** Whether trials are judged on the way. */
  readonly prunes: boolean;
  readonly lease_ms: number;
}

interface TrainingMaterials {
  readonly values: SweepValues;
  readonly metric: string;
  readonly hashes: Hashes;
}

/** Name of a thing → what it is. */
type Hashes = Readonly<Record<string, string>>;

/** What `writePlan` is given. */
export interface PlanParts {
  readonly id: string;
  readonly values: SweepValues;
  readonly metric: string;
  /** SHA-256 of the rows; undefined where a trial is a call of a function. */
  readonly rows: JsonObject | undefined;
}

/** Writes a sweep's plan. @returns it */
export async function writePlan({ id, values, metric, rows }: PlanParts): Promise<SweepPlan> {
  const folder = resolve(values.output_dir);
  const file = join(folder, PLAN_FILE);
  // The budget may grow, and workers need none.
  const placed = { ...values, base: placeOf(values.base), data: placeOf(values.data), output_dir: folder, budget: {} };
  const plan: SweepPlan = {
    ...{ id, folder },
    training: rows === undefined ? undefined : { values: placed, metric, hashes: await hashesOf(placed, rows) },
    prunes: values.pruner !== null,
    lease_ms: values.lease_seconds * 1000,
  };
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(file, JSON.stringify(plan));
  return plan;
}

/** Workers have other working directories. A Hub id stays. */
function placeOf(path: string | null): string | null {
  return path !== null && existsSync(path) ? resolve(path) : path;
}

async function hashesOf({ base }: SweepValues, rows: JsonObject): Promise<Hashes> {
  const { preflab, code_sha256, packages } = await describeSoftware();
  const { base: model } = await AutoModelForCausalLM.from_pretrained(base!);
  const files = [join(model.checkpoint.dir, "config.json"), ...(model.files() ?? [])];
  const weights = await Promise.all(files.map(async (path) => [`model file ${basename(path)}`, (await hashFile(path)).sha256] as const));
  return {
    "Preflab's version": preflab,
    "Preflab's code": code_sha256,
    ...Object.fromEntries(Object.entries(packages).map(([name, version]) => [`package ${name}`, version])),
    ...Object.fromEntries(weights),
    tokenizer: await hashTokenizer(await AutoTokenizer.from_pretrained(base!)),
    "training rows": String(rows["train"]),
    "rows to judge by": String(rows["eval"]),
  };
}

/** @throws ConfigError `worker_folder` */
export async function readPlan(folder: string, where: string): Promise<SweepPlan> {
  const file = join(folder, PLAN_FILE);
  try {
    return JSON.parse(await readFile(file, "utf8")) as SweepPlan;
  } catch (error) {
    throw new ConfigError(
      "worker_folder",
      `${where}: the sweep's folder must be shared, at the same path on every machine, got ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** A sweep that a worker has checked and can run trials of. */
export interface OpenPlan {
  readonly plan: SweepPlan;
  readonly objective: Objective;
  dispose(): Promise<void>;
}

/**
 * Reads the plan of a sweep and checks this machine against it.
 * @param id of the sweep; undefined: whichever the folder holds @param objective of a sweep of function calls
 * @throws ConfigError `worker_folder`, `worker_differs`
 */
export async function openPlan(folder: string, id: string | undefined, objective: Objective | undefined, where: string): Promise<OpenPlan> {
  const plan = await readPlan(folder, where);
  if (id !== undefined && plan.id !== id)
    throw new ConfigError("worker_folder", `${where}: ${folder} must hold sweep ${id}, got ${plan.id}; is another folder mounted here?`);
  const { training } = plan;
  if ((training === undefined) !== (objective !== undefined))
    throw new ConfigError(
      "worker_objective",
      `${where}: a worker must run ${training === undefined ? "the function of the sweep's trials, got trainings; start workers with it in code" : "trainings, got a function"}`,
    );
  if (training === undefined) return { plan, objective: objective!, dispose: () => Promise.resolve() };
  const { values, metric, hashes } = training;
  const sets = await dataOf(values, values.data ?? undefined, where);
  requireSame(hashes, await hashesOf(values, sets.record), where);
  // Which trial is best is known where the books are: there the other weights are deleted.
  const runs = await trainingRuns(values, sets, values.options, metric, async (_, trainer) => {
    await trainer.save_model();
    await cardWriter()?.trial(trainer);
  });
  return { plan, objective: (trial, signal) => runs.run(trial, signal), dispose: () => runs.dispose() };
}

function requireSame(wanted: Hashes, here: Hashes, where: string): void {
  const differing = Object.keys(wanted).filter((name) => here[name] !== wanted[name]);
  if (differing.length === 0) return;
  const list = differing.map((name) => `${name} (${short(wanted[name]!)} there, ${short(here[name])} here)`);
  throw new ConfigError(
    "worker_differs",
    `${where}: this machine must have what the sweep was started with, got other ${list.join(", ")}; copy it from there, or install the same Preflab`,
  );
}

const short = (hash: string | undefined): string =>
  hash === undefined ? "nothing" : /^[0-9a-f]{64}$/.test(hash) ? hash.slice(0, 12) : hash;
