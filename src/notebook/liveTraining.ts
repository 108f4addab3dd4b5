/**
 * Training as a notebook shows it: progress with the time left, and the curves so far, in one place that is filled again while the run
 * goes on. What it shows last stays in the saved notebook. A trainer that is the value of a cell shows the same.
 */
import { type LogEntry, Trainer, type TrainerCallback, type TrainerState } from "../train/index.js";
import { type DisplayHandle, display, notebookHost } from "./display.js";
import { escapeHtml } from "../text/escapeHtml.js";
import { svgImage } from "../text/svgImage.js";
import { type Figure, plotTraining } from "./figures.js";
import { displaySymbol, type Displayable, type MimeBundle } from "./mime.js";
import { metricsTable } from "./tables.js";
import { barHtml, barText, clock } from "./tqdm.js";

/** Curves are drawn anew at most this often: each drawing is stored by the front end. */
const REFRESH_MS = 500;

type Phase = "waiting" | "reference" | "training" | "finished" | "stopped" | "failed";

/** What one run has to show. */
export class TrainingView implements TrainerCallback, Displayable {
  readonly #name: string;
  readonly #state: TrainerState;
  #phase: Phase;
  #reference = { done: 0, total: 0 };
  #started = 0;
  #firstStep = 0;
  #seconds: number | undefined;
  #evaluation: LogEntry | undefined;
  #failure = "";
  #handle: Promise<DisplayHandle> | undefined;
  #shownAt = -Infinity;

  constructor(trainer: Trainer) {
    this.#name = trainer.constructor.name;
    this.#state = trainer.state;
    this.#phase =
      trainer.state.global_step === 0 ? "waiting" : trainer.state.global_step < trainer.state.max_steps ? "stopped" : "finished";
  }

  on_train_begin(state: TrainerState): void {
    this.#phase = "training";
    this.#started = performance.now();
    this.#firstStep = state.global_step;
    this.#handle = display(this);
  }

  on_reference(done: number, total: number): void {
    this.#phase = done < total ? "reference" : "training";
    this.#reference = { done, total };
    this.#started = performance.now();
    void this.#refresh();
  }

  on_step_end(): void {
    void this.#refresh();
  }

  on_log(): void {
    void this.#refresh();
  }

  on_evaluate(_state: TrainerState, metrics: LogEntry): void {
    this.#evaluation = metrics;
    void this.#refresh();
  }

  on_train_end(state: TrainerState): Promise<void> {
    return this.#end(state.global_step < state.max_steps ? "stopped" : "finished");
  }

  on_train_failed(_state: TrainerState, error: unknown): Promise<void> {
    this.#failure = error instanceof Error ? error.message : String(error);
    return this.#end("failed");
  }

  #end(phase: Phase): Promise<void> {
    this.#phase = phase;
    this.#seconds = (performance.now() - this.#started) / 1000;
    return this.#refresh(true);
  }

  async #refresh(last = false): Promise<void> {
    if (this.#handle === undefined || (!last && performance.now() - this.#shownAt < REFRESH_MS)) return;
    this.#shownAt = performance.now();
    await (await this.#handle).update(this);
  }

  /** Done, whole, and what is said beside the bar. */
  #progress(): { done: number; total: number; text: string } {
    const { global_step, max_steps } = this.#state;
    const position = `step ${global_step} of ${max_steps}`;
    const seconds = this.#seconds ?? (performance.now() - this.#started) / 1000;
    const steps = global_step - this.#firstStep;
    const bar = { done: global_step, total: max_steps };
    switch (this.#phase) {
      case "waiting":
        return { ...bar, text: `${max_steps} steps, not trained yet` };
      case "reference":
        return { ...this.#reference, text: `reference log-probs ${this.#reference.done} of ${this.#reference.total}` };
      case "training":
        return {
          ...bar,
          text:
            steps === 0
              ? `${position}, begun`
              : `${position}, ${clock(seconds)} gone, ${clock((seconds / steps) * (max_steps - global_step))} left`,
        };
      default: {
        const time = this.#seconds === undefined ? "" : ` in ${clock(seconds)}`;
        return { ...bar, text: `${position}, ${this.#phase}${time}${this.#failure === "" ? "" : `: ${this.#failure}`}` };
      }
    }
  }

  #figure(): Figure | undefined {
    const drawn = this.#state.log_history.some((row) => "loss" in row || "eval_loss" in row);
    return drawn ? plotTraining(this.#state.log_history) : undefined;
  }

  [displaySymbol](): MimeBundle {
    const { done, total, text } = this.#progress();
    const figure = this.#figure();
    const table = this.#evaluation === undefined ? undefined : metricsTable(this.#evaluation)[displaySymbol]();
    const html = [
      `<div class="preflab-training"><div><b>${escapeHtml(this.#name)}</b></div>${barHtml(done, total, text)}`,
      figure === undefined ? "" : svgImage(figure.toSvg()),
      table === undefined ? "" : `<details><summary>last evaluation</summary>${String(table["text/html"])}</details>`,
      "</div>",
    ].join("");
    const plain = [
      `${this.#name}  ${barText(done, total, text)}`,
      ...(figure === undefined ? [] : [String(figure[displaySymbol]()["text/plain"])]),
    ];
    return { "text/html": html, "text/plain": plain.join("\n") };
  }
}

/** Shows a run while it goes on, where there is a notebook to show it in and `disable_tqdm` does not forbid it. */
export function showLive(trainer: Trainer): void {
  if (notebookHost() !== undefined && !trainer.args.disable_tqdm) trainer.add_callback(new TrainingView(trainer));
}

Object.defineProperty(Trainer.prototype, displaySymbol, {
  configurable: true,
  value(this: Trainer): MimeBundle {
    return new TrainingView(this)[displaySymbol]();
  },
});
