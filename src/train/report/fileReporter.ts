import { mkdir } from "node:fs/promises";
import { ConfigError } from "../../errors.js";
import type { LogEntry, TrainerState } from "../loop/trainerState.js";
import type { TrainerCallback } from "../loop/callbacks.js";
import { LostEntries } from "./reporter.js";

/**
 * A logger into files of `logging_dir`. `trainer.evaluate()` may log before training begins, and after it ended.
 * A folder that cannot be written is an error before the first step; a disk that fails later only loses entries.
 */
export abstract class FileReporter implements TrainerCallback {
  protected readonly folder: string;
  #resuming: boolean;
  readonly #lost: LostEntries;
  #opened = false;

  /** @param resuming the run goes on from a checkpoint: what is in the files stays */
  constructor(name: string, folder: string, resuming: boolean, warn: (text: string) => void) {
    this.folder = folder;
    this.#resuming = resuming;
    this.#lost = new LostEntries(name, warn);
  }

  /** Finds out what is there. Called once, before all else. */
  protected abstract open(resuming: boolean): Promise<void>;
  /** Training begins. @param keptStep entries of earlier processes after this step are void; undefined: all of them are */
  protected abstract begin(state: TrainerState, keptStep: number | undefined): Promise<void>;
  protected abstract write(entry: LogEntry): Promise<void>;

  /** @throws ConfigError `logging_dir` if the folder cannot be written */
  async on_train_begin(state: TrainerState): Promise<void> {
    this.#resuming ||= state.global_step > 0;
    try {
      await this.#open();
      await this.begin(state, this.#resuming ? state.global_step : undefined);
    } catch (error) {
      if (!isFileError(error)) throw error;
      throw new ConfigError(
        "logging_dir",
        `logging_dir: the folder ${this.folder} must be writable, got ${error.message}; choose another, or set report_to "none"`,
        { cause: error },
      );
    }
  }

  async on_log(_state: TrainerState, entry: LogEntry): Promise<void> {
    try {
      await this.#open();
      await this.write(entry);
    } catch (error) {
      if (!isFileError(error)) throw error;
      this.#lost.fail(`a log entry could not be written into ${this.folder}, got ${error.message}`, "without this entry");
      this.#lost.add(1);
    }
  }

  on_train_end(): void {
    this.#lost.tell();
  }

  on_train_failed(): void {
    this.#lost.tell();
  }

  async #open(): Promise<void> {
    if (this.#opened) return;
    await mkdir(this.folder, { recursive: true });
    await this.open(this.#resuming);
    this.#opened = true;
  }
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && (error as NodeJS.ErrnoException).syscall !== undefined;
}
