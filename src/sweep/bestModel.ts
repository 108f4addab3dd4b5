/** Whose weights stay, and the folder of the best. */
import { existsSync } from "node:fs";
import { constants } from "node:fs";
import { cp, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Trainer } from "../train/index.js";
import type { SweepResult } from "./result.js";

/** What a stage to the right adds to the folders: the hub's model card. It says so when it is loaded. */
export interface CardWriter {
  /** Beside a trial's saved model. */
  trial(trainer: Trainer): Promise<void>;
  /** In the folder of the best, once the sweep has ended. */
  best(folder: string, result: SweepResult): Promise<void>;
}

let writer: CardWriter | undefined;

export function setCardWriter(given: CardWriter): void {
  writer = given;
}

export function cardWriter(): CardWriter | undefined {
  return writer;
}

/** Copies the saved model of a trial, its manifest and log; checkpoints stay behind. All or nothing. */
export async function copyBest(trialFolder: string, target: string, result: SweepResult): Promise<void> {
  const staging = `${target}.${process.pid}.staging`;
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  for (const entry of await readdir(trialFolder, { withFileTypes: true })) {
    if (entry.isFile()) await cp(join(trialFolder, entry.name), join(staging, entry.name), { mode: constants.COPYFILE_FICLONE });
  }
  await writer?.best(staging, result);
  const old = `${target}.${process.pid}.old`;
  if (existsSync(target)) await rename(target, old);
  await rename(staging, target);
  await rm(old, { recursive: true, force: true });
}
