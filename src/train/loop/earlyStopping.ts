import { ConfigError } from "../../errors.js";
import { bestMetricName, greaterIsBetter, metricOf } from "./bestModel.js";
import type { TrainerCallback, TrainerControl } from "./callbacks.js";
import type { LogEntry, TrainerState } from "./trainerState.js";

/**
 * Ends a run when the metric has not become better for `early_stopping_patience` evaluations, as transformers' callback of this name.
 * The metric is `metric_for_best_model` (default eval_loss).
 */
export class EarlyStoppingCallback implements TrainerCallback {
  readonly name = "EarlyStoppingCallback";
  readonly #patience: number;
  readonly #threshold: number;
  #waited = 0;
  #best: number | null = null;

  /** @param options early_stopping_patience: evaluations without improvement, >= 1, default 1; early_stopping_threshold: what counts as
   *  improvement, >= 0, default 0 @throws ConfigError `option_range` */
  constructor({
    early_stopping_patience = 1,
    early_stopping_threshold = 0,
  }: { early_stopping_patience?: number; early_stopping_threshold?: number } = {}) {
    if (!Number.isInteger(early_stopping_patience) || early_stopping_patience < 1)
      throw new ConfigError(
        "option_range",
        `EarlyStoppingCallback: early_stopping_patience must be an integer >= 1, got ${early_stopping_patience}; the default is 1`,
      );
    if (!(early_stopping_threshold >= 0))
      throw new ConfigError(
        "option_range",
        `EarlyStoppingCallback: early_stopping_threshold must be >= 0, got ${early_stopping_threshold}; the default is 0`,
      );
    this.#patience = early_stopping_patience;
    this.#threshold = early_stopping_threshold;
  }

  on_train_begin(_state: TrainerState, { args }: TrainerControl): void {
    if (args.eval_strategy === "no")
      throw new ConfigError(
        "early_stopping",
        'EarlyStoppingCallback: it needs evaluations, got eval_strategy "no"; set eval_strategy "steps" or "epoch"',
      );
  }

  on_evaluate(_state: TrainerState, metrics: LogEntry, control: TrainerControl): void {
    const value = metricOf(metrics, bestMetricName(control.args), "metric_for_best_model");
    const gain = this.#best === null ? Infinity : greaterIsBetter(control.args) ? value - this.#best : this.#best - value;
    if (gain > 0) this.#best = value;
    this.#waited = gain > this.#threshold ? 0 : this.#waited + 1;
    if (this.#waited >= this.#patience) control.should_training_stop = true;
  }

  save(): unknown {
    return { waited: this.#waited, best: this.#best };
  }

  restore(saved: unknown): void {
    const { waited, best } = saved as { waited: number; best: number | null };
    this.#waited = waited;
    this.#best = best;
  }
}
