/** What others hear of a run while it goes on, and how they steer it. Names are those of transformers' TrainerCallback. */
import type { TrainingOptions } from "../options/trainingConfig.js";
import type { LogEntry, TrainerState } from "./trainerState.js";

/** Flags that a callback may set; the loop acts on them after the present step and then lowers them. */
export interface TrainerControl {
  readonly args: TrainingOptions;
  /** End the run; a checkpoint is saved. Stays raised. */
  should_training_stop: boolean;
  should_log: boolean;
  should_evaluate: boolean;
  should_save: boolean;
}

/** Called at the events of a run. All are optional and awaited; what they throw ends the run. */
export interface TrainerCallback {
  on_train_begin?(state: TrainerState, control: TrainerControl): void | Promise<void>;
  /** Work before the first step: `done` of `total` reference log-probs. */
  on_reference?(done: number, total: number): void;
  on_epoch_begin?(state: TrainerState, control: TrainerControl): void | Promise<void>;
  on_step_begin?(state: TrainerState, control: TrainerControl): void | Promise<void>;
  on_step_end?(state: TrainerState, control: TrainerControl): void | Promise<void>;
  on_log?(state: TrainerState, entry: LogEntry, control: TrainerControl): void | Promise<void>;
  on_evaluate?(state: TrainerState, metrics: LogEntry, control: TrainerControl): void | Promise<void>;
  on_save?(state: TrainerState, folder: string, control: TrainerControl): void | Promise<void>;
  on_epoch_end?(state: TrainerState, control: TrainerControl): void | Promise<void>;
  on_train_end?(state: TrainerState, control: TrainerControl): void | Promise<void>;
  /** After an error, with which `train` then fails. */
  on_train_failed?(state: TrainerState, error: unknown): void | Promise<void>;
  /** What a checkpoint keeps of this callback, as JSON; given back to `restore` when a run is resumed. `name` tells callbacks apart. */
  readonly name?: string;
  save?(): unknown;
  restore?(saved: unknown): void;
}

type PlainEvent = "on_train_begin" | "on_epoch_begin" | "on_step_begin" | "on_step_end" | "on_epoch_end" | "on_train_end";

/** All callbacks of a run, called in order. */
export class CallbackList {
  readonly control: TrainerControl;
  readonly #callbacks: TrainerCallback[];

  constructor(args: TrainingOptions, callbacks: readonly TrainerCallback[]) {
    this.#callbacks = [...callbacks];
    this.control = {
      args,
      should_training_stop: false,
      should_log: false,
      should_evaluate: false,
      should_save: false,
    };
  }

  add(callback: TrainerCallback): void {
    this.#callbacks.push(callback);
  }

  async emit(event: PlainEvent, state: TrainerState): Promise<void> {
    for (const callback of this.#callbacks) await callback[event]?.(state, this.control);
  }

  async log(state: TrainerState, entry: LogEntry): Promise<void> {
    for (const callback of this.#callbacks) await callback.on_log?.(state, entry, this.control);
  }

  async evaluated(state: TrainerState, metrics: LogEntry): Promise<void> {
    for (const callback of this.#callbacks) await callback.on_evaluate?.(state, metrics, this.control);
  }

  async saved(state: TrainerState, folder: string): Promise<void> {
    for (const callback of this.#callbacks) await callback.on_save?.(state, folder, this.control);
  }

  async failed(state: TrainerState, error: unknown): Promise<void> {
    for (const callback of this.#callbacks) await callback.on_train_failed?.(state, error);
  }

  reference(done: number, total: number): void {
    for (const callback of this.#callbacks) callback.on_reference?.(done, total);
  }

  /** What the callbacks want kept in a checkpoint, by name. */
  save(): Record<string, unknown> {
    const saved: Record<string, unknown> = {};
    for (const callback of this.#callbacks) {
      if (callback.name !== undefined && callback.save !== undefined) saved[callback.name] = callback.save();
    }
    return saved;
  }

  restore(saved: Readonly<Record<string, unknown>>): void {
    for (const callback of this.#callbacks) {
      if (callback.name !== undefined && saved[callback.name] !== undefined) callback.restore?.(saved[callback.name]);
    }
  }
}
