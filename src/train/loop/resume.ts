/** What a checkpoint holds beside the weights so that a run can go on as if it had never stopped, and reading it back. */
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import { readSafetensors } from "../../model/safetensors.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import { STATE_FILE, checkpointFolder, checkpointSteps } from "./checkpoints.js";
import type { TrainingMethod } from "./method.js";
import { loadOptimizer, saveOptimizer, saveStored } from "../optimizer/optimizerFile.js";
import type { RunPlan } from "./runPlan.js";
import type { TrainingRun } from "./run.js";
import type { TrainerState } from "./trainerState.js";

/** The loop's own part: position in the data, sums since the last log entry, callbacks. JSON. */
const LOOP_FILE = "loop_state.json";
/** Moments of the optimizer, by transformers' name where its format differs. */
const OPTIMIZER_FILE = "optimizer.safetensors";
/** What the method holds beside model and optimizer, where it holds something: TR-DPO's reference. */
const METHOD_FILE = "method_state.safetensors";

/** Puts optimizer and loop state into a checkpoint that is being written. */
export async function writeResumeFiles(staging: string, engine: Engine, method: TrainingMethod, run: TrainingRun): Promise<void> {
  await writeMethodState(join(staging, METHOD_FILE), engine, method);
  await saveOptimizer(run.optimizer, join(staging, OPTIMIZER_FILE));
  await writeFile(join(staging, LOOP_FILE), `${JSON.stringify(run.save(), null, 2)}\n`);
}

/**
 * The folder to resume from.
 * @param wanted a folder; `true` or "true" for the newest checkpoint in output_dir; null, false or "false" for none
 * @throws ConfigError `resume_from_checkpoint`
 */
export async function findCheckpoint(wanted: string | boolean | null, output_dir: string, where: string): Promise<string | undefined> {
  if (wanted === null || wanted === false || wanted === "false") return undefined;
  if (wanted === true || wanted === "true") {
    const newest = (await checkpointSteps(output_dir)).at(-1);
    if (newest !== undefined) return checkpointFolder(output_dir, newest);
    throw new ConfigError(
      "resume_from_checkpoint",
      `${where}: resume_from_checkpoint true needs a checkpoint in output_dir, got none in ${output_dir}; start without it`,
    );
  }
  if (!existsSync(join(wanted, STATE_FILE)))
    throw new ConfigError(
      "resume_from_checkpoint",
      `${where}: resume_from_checkpoint must be a folder with ${STATE_FILE}, got ${wanted}; pass a checkpoint-STEP folder of the run`,
    );
  return wanted;
}

/** The options that decide what the remaining steps compute: with others the run would be another one. */
const FIXED = [
  "per_device_train_batch_size",
  "gradient_accumulation_steps",
  "seed",
  "data_seed",
  "shuffle_dataset",
  "max_length",
  "packing",
  "packing_strategy",
] as const;

/**
 * Reads the state of a checkpoint.
 * @throws ConfigError `resume_from_checkpoint` if it cannot be resumed with these options
 */
export function readState(folder: string, args: TrainingOptions, plan: RunPlan, method: TrainingMethod): TrainerState {
  const where = method.name;
  const refuse = (rule: string): never => {
    throw new ConfigError("resume_from_checkpoint", `${where}: cannot resume from ${folder}: ${rule}`);
  };
  const needed = [LOOP_FILE, OPTIMIZER_FILE, ...(method.stateTensors?.().length ? [METHOD_FILE] : [])];
  for (const file of needed) {
    if (!existsSync(join(folder, file))) refuse(`it must hold ${file}, got none; it was saved with save_only_model, or by another program`);
  }
  const state = readJson(join(folder, STATE_FILE)) as unknown as TrainerState;
  const saved = readJson(join(folder, "training_args.json"));
  const now = args as unknown as Record<string, unknown>;
  for (const name of FIXED) {
    if (name in saved && JSON.stringify(saved[name]) !== JSON.stringify(now[name] ?? null))
      refuse(`${name} must be as in the run it belongs to, ${JSON.stringify(saved[name])}, got ${JSON.stringify(now[name])}`);
  }
  if (state.global_step > plan.totalSteps)
    refuse(`it is at step ${state.global_step}, got a run of ${plan.totalSteps} steps; raise max_steps`);
  return { ...state, max_steps: plan.totalSteps, num_train_epochs: Math.ceil(plan.totalSteps / plan.stepsPerEpoch) };
}

/** Puts the checkpoint's weights, optimizer and loop state in place of the fresh ones. */
export async function restoreRun(folder: string, method: TrainingMethod, run: TrainingRun): Promise<void> {
  await method.model.restore(folder);
  const extra = method.stateTensors?.() ?? [];
  if (extra.length > 0) {
    const engine = await method.model.load();
    const { tensors } = readSafetensors(join(folder, METHOD_FILE));
    for (const name of extra) await engine.load(name, tensors.get(name)!);
  }
  await loadOptimizer(run.optimizer, join(folder, OPTIMIZER_FILE));
  run.restore(readJson(join(folder, LOOP_FILE)));
}

async function writeMethodState(file: string, engine: Engine, method: TrainingMethod): Promise<void> {
  const names = method.stateTensors?.() ?? [];
  if (names.length === 0) return;
  const states = names.map((name) => ({ name, store: name, shape: engine.shapeOf(name), dtype: "float32" as const }));
  await saveStored(engine, states, file);
}

function readJson(file: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigError("resume_from_checkpoint", `${file}: must be JSON; ${(error as Error).message}; resume from an older checkpoint`, {
      cause: error,
    });
  }
}
