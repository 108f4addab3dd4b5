/** What the trainer tells while it works. */
import type { TrainerCallback } from "./callbacks.js";
import type { LogEntry, TrainerState } from "./trainerState.js";

/** One line a log entry, with the time left; on a terminal the line of the running step is rewritten in place. */
export class ProgressLine implements TrainerCallback {
  #started = 0;
  readonly #terminal = process.stdout.isTTY === true;

  on_train_begin(): void {
    this.#started = performance.now();
  }

  on_reference(done: number, total: number): void {
    if (done === total || this.#terminal) this.#write(`reference log-probs ${done}/${total}`, done === total);
    if (done === total) this.#started = performance.now();
  }

  on_step_end(state: TrainerState): void {
    if (this.#terminal) this.#write(this.#position(state), false);
  }

  on_log(state: TrainerState, entry: LogEntry): void {
    const shown = ["loss", "rewards/margins", "rewards/accuracies", "mean_token_accuracy", "learning_rate"].filter(
      (name) => entry[name] !== undefined,
    );
    if (shown.length > 0)
      this.#write(`${this.#position(state)}  ${shown.map((name) => `${name} ${brief(entry[name]!)}`).join("  ")}`, true);
  }

  on_evaluate(state: TrainerState, metrics: LogEntry): void {
    const shown = Object.keys(metrics).filter((name) => /_(loss|rewards\/accuracies|mean_token_accuracy)$/.test(name));
    this.#write(`step ${state.global_step}  ${shown.map((name) => `${name} ${brief(metrics[name]!)}`).join("  ")}`, true);
  }

  on_save(_state: TrainerState, folder: string): void {
    this.#write(`saved ${folder}`, true);
  }

  #position({ global_step, max_steps }: TrainerState): string {
    const seconds = (performance.now() - this.#started) / 1000;
    const left = global_step === 0 ? 0 : (seconds / global_step) * (max_steps - global_step);
    return `step ${global_step}/${max_steps}  ${clock(seconds)} < ${clock(left)}`;
  }

  #write(text: string, final: boolean): void {
    process.stdout.write(this.#terminal ? `\r\x1b[K${text}${final ? "\n" : ""}` : `${text}\n`);
  }
}

function brief(value: number): string {
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  return value.toFixed(4);
}

/** Seconds as `mm:ss`, from an hour on as `h:mm:ss`. */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const pad = (part: number): string => String(part).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}
