/** Checkpoints of a run: `checkpoint-STEP` folders, each whole or absent. */
import { mkdir, readdir, rename, rm, statfs, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import type { TrainingConfig } from "../options/trainingConfig.js";
import { type TrainerState, stateJson } from "./trainerState.js";

/** transformers' name for the state of a run. */
export const STATE_FILE = "trainer_state.json";

export interface Saved {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  readonly args: TrainingConfig;
  /** The trainer's name, for errors. */
  readonly where: string;
}

/**
 * Refuses a place that could not take what is trained: better before a run than after it.
 * @throws ConfigError `output_dir`
 */
export async function requirePlace({ model, where, args: { output_dir } }: Saved): Promise<void> {
  const refuse = (got: string, cause?: unknown): never => {
    throw new ConfigError(
      "output_dir",
      `${where}: output_dir must be a folder that can be written to, got ${output_dir}: ${got}; choose another place`,
      { cause },
    );
  };
  let free = Infinity;
  try {
    await mkdir(output_dir, { recursive: true });
    const probe = join(output_dir, `.preflab-probe-${process.pid}`);
    await writeFile(probe, "");
    await rm(probe);
    const { bavail, bsize } = await statfs(output_dir);
    free = bavail * bsize;
  } catch (error) {
    refuse((error as Error).message, error);
  }
  const needed = [...model.trainable().values()].reduce(
    (bytes, shape) => bytes + 4 * shape.reduce((product, size) => product * size, 1),
    0,
  );
  if (free < needed) refuse(`${megabytes(free)} free where one checkpoint takes ${megabytes(needed)}`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Model or adapter, tokenizer and options in one all-or-nothing save. @param alsoWrite puts further files beside them */
export async function saveFolder(
  folder: string,
  { model, tokenizer, args }: Saved,
  alsoWrite?: (staging: string) => Promise<void>,
): Promise<void> {
  await model.save_pretrained(folder, {
    alsoWrite: async (staging) => {
      await tokenizer.save_pretrained(staging);
      await writeFile(join(staging, "training_args.json"), `${JSON.stringify(args.to_json(), null, 2)}\n`);
      await alsoWrite?.(staging);
    },
  });
}

/** The checkpoint folder of a step. */
export function checkpointFolder(output_dir: string, step: number): string {
  return join(output_dir, `checkpoint-${step}`);
}

/** Writes `output_dir/checkpoint-STEP` and deletes the oldest beyond `save_total_limit`, but never the best. */
export async function saveCheckpointFolder(
  saved: Saved,
  state: TrainerState,
  alsoWrite: (staging: string) => Promise<void>,
): Promise<void> {
  const { output_dir, save_total_limit, load_best_model_at_end } = saved.args;
  await saveFolder(checkpointFolder(output_dir, state.global_step), saved, async (staging) => {
    await writeFile(join(staging, STATE_FILE), stateJson(state));
    await alsoWrite(staging);
  });
  const best = load_best_model_at_end ? state.best_global_step : null;
  if (save_total_limit !== null) await removeOldest(output_dir, save_total_limit, state.global_step, best);
}

/**
 * Only steps up to the present one count: folders of an earlier, longer run into the same place are left alone.
 * A folder is renamed before it is deleted, so that a kill leaves no `checkpoint-STEP` with files missing.
 */
async function removeOldest(output_dir: string, keep: number, step: number, best: number | null): Promise<void> {
  const steps = (await checkpointSteps(output_dir)).filter((saved) => saved <= step);
  const doomedSteps = steps.slice(0, Math.max(0, steps.length - keep)).filter((old) => old !== best);
  for (const old of doomedSteps) {
    const doomed = join(output_dir, `.checkpoint-${old}.deleting`);
    await rm(doomed, { recursive: true, force: true });
    await rename(join(output_dir, `checkpoint-${old}`), doomed);
  }
  const doomed = (await readdir(output_dir)).filter((name) => /^\.checkpoint-\d+\.deleting$/.test(name));
  for (const name of doomed) await rm(join(output_dir, name), { recursive: true });
}

/** The steps of the checkpoints in a folder, rising. */
export async function checkpointSteps(output_dir: string): Promise<number[]> {
  if (!existsSync(output_dir)) return [];
  const names = await readdir(output_dir);
  return names
    .map((name) => /^checkpoint-(\d+)$/.exec(name)?.[1])
    .filter((step) => step !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}
