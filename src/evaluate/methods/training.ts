/** What a training cost and reached, as its trainer measured it. */
import { ConfigError } from "../../errors.js";
import { Trainer } from "../../train/index.js";
import type { TrainingConfig } from "../../train/options/trainingConfig.js";

/** Only `measureTraining` has it: a measurement cannot be made up. */
const MEASURED = Symbol("measured");

export interface TrainingNumbers {
  /** Wall time of `train()` in this process, s: reference log-probs, compiling and saving included, loading the model not. */
  readonly seconds: number;
  /** Rows that the steps went through, over the seconds. A pair counts once. */
  readonly samples_per_second: number;
  readonly steps: number;
  /** The first and the last logged loss; null where the run logged none, see `logging_steps`. */
  readonly first_loss: number | null;
  readonly final_loss: number | null;
}

/** A training that took place. Made by `measureTraining` alone. */
export class TrainingMeasurement implements TrainingNumbers {
  /** "dpo", "sft", … */
  readonly method: string;
  readonly seconds: number;
  readonly samples_per_second: number;
  readonly steps: number;
  readonly first_loss: number | null;
  readonly final_loss: number | null;
  /** Makes the class nominal for the compiler. */
  readonly #measured: typeof MEASURED;

  /** @throws ConfigError `not_measured` */
  constructor(key: typeof MEASURED, method: string, numbers: TrainingNumbers) {
    requireKey(key);
    this.#measured = key;
    this.method = method;
    this.seconds = numbers.seconds;
    this.samples_per_second = numbers.samples_per_second;
    this.steps = numbers.steps;
    this.first_loss = numbers.first_loss;
    this.final_loss = numbers.final_loss;
    Object.freeze(this);
  }

  /** Whether a value is a measurement, whatever it looks like. */
  static is(value: unknown): value is TrainingMeasurement {
    return typeof value === "object" && value !== null && #measured in value;
  }

  /** (first − final) / |first| of the logged losses; null without them. */
  get loss_reduction(): number | null {
    const { first_loss: first, final_loss: final } = this;
    return first === null || final === null || first === 0 ? null : (first - final) / Math.abs(first);
  }

  /** samples_per_second · loss_reduction; null without losses. Losses of different methods are different quantities. */
  get efficiency_score(): number | null {
    return this.loss_reduction === null ? null : this.samples_per_second * this.loss_reduction;
  }
}

/** The formula of `efficiency_score` in words. */
export const EFFICIENCY_FORMULA = "efficiency_score = samples_per_second · (first loss − final loss) / |first loss|";

/**
 * What a trainer's run took and reached. Runs `train()` unless it has run.
 * @throws ConfigError `not_measured` for what is no trainer; and as `train()`
 */
export async function measureTraining<Config extends TrainingConfig>(trainer: Trainer<Config>): Promise<TrainingMeasurement> {
  if (!(trainer instanceof Trainer))
    throw new ConfigError(
      "not_measured",
      "measureTraining: the training must be a trainer, got another value; pass the DPOTrainer, SFTTrainer, … itself",
    );
  const { state } = trainer;
  const entryOf = () => state.log_history.find(({ train_runtime }) => train_runtime !== undefined);
  if (entryOf() === undefined) await trainer.train();
  const entry = entryOf()!;
  const losses = state.log_history.flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
  return new TrainingMeasurement(MEASURED, trainer.method, {
    seconds: entry["train_runtime"]!,
    samples_per_second: entry["train_samples_per_second"]!,
    steps: state.global_step,
    first_loss: losses[0] ?? null,
    final_loss: losses.at(-1) ?? null,
  });
}

function requireKey(key: unknown): void {
  if (key === MEASURED) return;
  throw new ConfigError(
    "not_measured",
    "TrainingMeasurement: it must be measured, got numbers of another origin; call measureTraining(trainer)",
  );
}
