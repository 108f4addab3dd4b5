import { appendFile, readFile, readdir, truncate, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { LogEntry, TrainerState } from "../loop/trainerState.js";
import { scalarsRecord, startRecord, textRecord, versionRecord, wholeBytes } from "./eventFile.js";
import { FileReporter } from "./fileReporter.js";
import { wallMs } from "./wallTime.js";

const FILE_NAME = /^events\.out\.tfevents\.\d+\..+$/;

/** TensorBoard's tag of a logged value: transformers' rewrite_logs. */
export function tensorboardTag(name: string): string {
  for (const split of ["eval", "test"]) if (name.startsWith(`${split}_`)) return `${split}/${name.slice(split.length + 1)}`;
  return `train/${name}`;
}

/**
 * Writes `events.out.tfevents.TIME.HOST`. Each entry is written at once, so a killed run leaves a readable file.
 * A resumed run goes on in the newest file; a run that starts anew makes a file and voids older ones of the folder.
 */
export class TensorBoardReporter extends FileReporter {
  readonly #texts: Readonly<Record<string, string>>;
  #file = "";
  /** Bytes of whole records in it. */
  #bytes = 0;
  #torn = false;
  #early: LogEntry[] | undefined = [];

  /** @param texts shown beside the curves, by tag */
  constructor(folder: string, resuming: boolean, texts: Readonly<Record<string, string>>, warn: (text: string) => void) {
    super("tensorboard", folder, resuming, warn);
    this.#texts = texts;
  }

  protected async open(resuming: boolean): Promise<void> {
    const newest = resuming
      ? (await readdir(this.folder))
          .filter((name) => FILE_NAME.test(name))
          .sort()
          .at(-1)
      : undefined;
    if (newest === undefined) return this.#create();
    this.#file = join(this.folder, newest);
    const bytes = await readFile(this.#file);
    const whole = wholeBytes(bytes);
    if (whole === 0) return this.#create();
    this.#bytes = whole;
    this.#torn = whole < bytes.length;
  }

  async #create(): Promise<void> {
    for (let seconds = Math.floor(wallMs() / 1000); ; seconds++) {
      this.#file = join(this.folder, `events.out.tfevents.${seconds}.${hostname()}`);
      const version = versionRecord(wallMs() / 1000);
      try {
        await writeFile(this.#file, version, { flag: "wx" });
        this.#bytes = version.length;
        return;
      } catch (error) {
        // Another run of the same second.
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
    }
  }

  protected async begin({ global_step }: TrainerState, keptStep: number | undefined): Promise<void> {
    const wall_time = wallMs() / 1000;
    await this.#append(startRecord({ wall_time, step: keptStep === undefined ? 0 : keptStep + 1 }));
    for (const [tag, text] of Object.entries(this.#texts)) await this.#append(textRecord({ wall_time, step: global_step }, tag, text));
    // The start above voids what this process itself has logged before training.
    if (keptStep === undefined) for (const entry of this.#early ?? []) await this.#append(entryRecord(entry));
    this.#early = undefined;
  }

  protected async write(entry: LogEntry): Promise<void> {
    this.#early?.push(entry);
    await this.#append(entryRecord(entry));
  }

  /** A reader stops at a part of a record, so one that a full disk or a killed process left is cut off first. */
  async #append(record: Uint8Array): Promise<void> {
    if (this.#torn) await truncate(this.#file, this.#bytes);
    this.#torn = true;
    await appendFile(this.#file, record);
    this.#torn = false;
    this.#bytes += record.length;
  }
}

function entryRecord({ step = 0, ...values }: LogEntry): Uint8Array {
  const scalars = Object.fromEntries(Object.entries(values).map(([name, value]) => [tensorboardTag(name), value]));
  return scalarsRecord({ wall_time: wallMs() / 1000, step }, scalars);
}
