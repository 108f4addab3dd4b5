/**
 * How coordinator and workers of a Slurm sweep talk: by files in the sweep's shared folder. Each is written under another name and renamed, so
 * that nobody reads half of one.
 *
 *     slurm/ID/array-3.json, .sh   trials of the third array, and what Slurm runs
 *     slurm/ID/progress/17.json    a trial that runs: who has it, its reports
 *     slurm/ID/verdicts/17.json    the pruner's answer to its latest report
 *     slurm/ID/results/17.json     its end
 *     slurm/ID/stop                the sweep is stopped: trials end at their next step
 *     slurm/ID/refused.json        a worker's machine has not what the sweep needs
 *     slurm/ID/log/…               output of the workers
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../text/atomicFile.js";
import type { SentEnd, SentReport, SentTrial } from "../away.js";

/** Trials of one `sbatch --array`: task i runs numbers i, i + tasks, … of the list, one after the other. */
export interface ArrayFile {
  readonly tasks: number;
  readonly trials: readonly SentTrial[];
}

export interface Progress {
  readonly worker: string;
  readonly reports: readonly SentReport[];
}

export interface Verdict {
  readonly step: number;
  readonly reason?: string | undefined;
}

type Kind = "progress" | "verdicts" | "results";

export class SlurmFiles {
  readonly folder: string;

  /** @param sweep the sweep's folder @param id its id */
  constructor(sweep: string, id: string) {
    this.folder = join(sweep, "slurm", id);
  }

  async prepare(): Promise<void> {
    for (const name of ["progress", "verdicts", "results", "log"]) await mkdir(join(this.folder, name), { recursive: true });
  }

  /** Numbers of the arrays that were submitted, or were about to be. */
  async arrays(): Promise<number[]> {
    const found = (await readdir(this.folder)).flatMap((name) => /^array-(\d+)\.json$/.exec(name)?.[1] ?? []);
    return found.map(Number).sort((a, b) => a - b);
  }
  async array(array: number): Promise<ArrayFile> {
    return JSON.parse(await readFile(join(this.folder, `array-${array}.json`), "utf8")) as ArrayFile;
  }
  /** @returns the script's path */
  async writeArray(array: number, content: ArrayFile, script: string): Promise<string> {
    const path = join(this.folder, `array-${array}.sh`);
    await writeFileAtomic(path, script);
    await writeFileAtomic(join(this.folder, `array-${array}.json`), JSON.stringify(content));
    return path;
  }
  async forgetArray(array: number): Promise<void> {
    for (const ending of ["json", "sh"]) await rm(join(this.folder, `array-${array}.${ending}`), { force: true });
  }

  /** Numbers of the trials that have such a file. */
  async numbers(kind: Kind): Promise<number[]> {
    const names = await readdir(join(this.folder, kind));
    return names.flatMap((name) => /^(\d+)\.json$/.exec(name)?.[1] ?? []).map(Number);
  }
  isThere(kind: Kind, number: number): boolean {
    return existsSync(this.#path(kind, number));
  }
  async write(kind: Kind, number: number, content: Progress | Verdict | SentEnd): Promise<void> {
    await writeFileAtomic(this.#path(kind, number), JSON.stringify(content));
  }
  /** @returns undefined where there is none, or no more */
  async read<T extends Progress | Verdict | SentEnd>(kind: Kind, number: number): Promise<T | undefined> {
    try {
      return JSON.parse(await readFile(this.#path(kind, number), "utf8")) as T;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }
  async forget(kind: Kind, number: number): Promise<void> {
    await rm(this.#path(kind, number), { force: true });
  }
  #path(kind: Kind, number: number): string {
    return join(this.folder, kind, `${number}.json`);
  }

  async refuse(reason: string): Promise<void> {
    await writeFileAtomic(join(this.folder, "refused.json"), JSON.stringify(reason));
  }
  /** Why a worker's machine cannot run trials, once. */
  async takeRefusal(): Promise<string | undefined> {
    const file = join(this.folder, "refused.json");
    if (!existsSync(file)) return undefined;
    const reason = JSON.parse(await readFile(file, "utf8")) as string;
    await rm(file);
    return reason;
  }

  get stopped(): boolean {
    return existsSync(join(this.folder, "stop"));
  }
  async stop(): Promise<void> {
    await writeFileAtomic(join(this.folder, "stop"), "");
  }
  async goOn(): Promise<void> {
    await rm(join(this.folder, "stop"), { force: true });
  }
}
