/** Checkpoints of a run: `checkpoint-STEP` folders, each whole or absent. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CausalLM } from "../model/index.js";
import type { PreTrainedTokenizer } from "../text/index.js";
import type { DPOConfig } from "./dpoConfig.js";
import { type TrainerState, stateJson } from "./trainerState.js";

export interface Saved {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  readonly args: DPOConfig;
}

/** Model or adapter, tokenizer and options in one all-or-nothing save; the state too when it is given. */
export async function saveFolder(folder: string, { model, tokenizer, args }: Saved, state?: TrainerState): Promise<void> {
  await model.save_pretrained(folder, {
    alsoWrite: async (staging) => {
      await tokenizer.save_pretrained(staging);
      await writeFile(join(staging, "training_args.json"), `${JSON.stringify(args.to_json(), null, 2)}\n`);
      if (state !== undefined) await writeFile(join(staging, "trainer_state.json"), stateJson(state));
    },
  });
}

/** Writes `output_dir/checkpoint-STEP` and deletes the oldest beyond `save_total_limit`. @returns the folder */
export async function saveCheckpointFolder(saved: Saved, state: TrainerState): Promise<string> {
  const { output_dir, save_total_limit } = saved.args;
  const folder = join(output_dir, `checkpoint-${state.global_step}`);
  await saveFolder(folder, saved, state);
  if (save_total_limit !== null) await removeOldest(output_dir, save_total_limit, state.global_step);
  return folder;
}

/** Only steps up to the present one count: folders of an earlier, longer run into the same place are left alone. */
async function removeOldest(output_dir: string, keep: number, step: number): Promise<void> {
  const steps = (await checkpointSteps(output_dir)).filter((saved) => saved <= step);
  for (const old of steps.slice(0, Math.max(0, steps.length - keep))) await rm(join(output_dir, `checkpoint-${old}`), { recursive: true });
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
