/** What `lr_scheduler_kwargs` may hold for each `lr_scheduler_type`: names and defaults of transformers' and torch's own arguments. */
import { type CheckOptions, type JsonObject, type OptionEntries, type OptionValues, OptionTable } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import type { TrainingOptions } from "./trainingConfig.js";

/** The name of a learning-rate schedule. */
export type SchedulerName = TrainingOptions["lr_scheduler_type"];

const table = <const T extends OptionEntries>(entries: T): OptionTable<T> => new OptionTable("lr_scheduler_kwargs", entries);

const waves = { type: "number", default: 0.5, min: 0, help: "Waves of the cosine after the warmup; a half only falls" } as const;
const lowest = {
  min_lr: { type: "number", default: null, nullable: true, min: 0, help: "Learning rate at the end" },
  min_lr_rate: { type: "number", default: null, nullable: true, min: 0, help: "The same as a share of learning_rate" },
} as const;
const shape = { type: "string", choices: ["linear", "cosine", "1-sqrt"] } as const;
const followed = {
  mode: { type: "string", choices: ["min", "max"], default: "min", help: "Whether a smaller or a greater metric is better" },
  patience: { type: "integer", default: 10, min: 0, help: "Evaluations without a change for the better that are borne" },
  cooldown: { type: "integer", default: 0, min: 0, help: "Evaluations after a reduction that are not counted" },
  eps: { type: "number", default: 1e-8, min: 0, help: "Smaller changes of the rate are left out" },
} as const;
const thresholdMode = { type: "string", choices: ["rel", "abs"], help: "Whether threshold is a share of the best metric" } as const;

export const SCHEDULER_KWARGS = {
  linear: table({}),
  constant: table({}),
  constant_with_warmup: table({}),
  cosine: table({ num_cycles: waves }),
  cosine_with_restarts: table({ num_cycles: { type: "number", default: 1, min: 0, help: "Falls from the peak to 0" } }),
  polynomial: table({
    lr_end: { type: "number", default: 1e-7, min: 0, help: "Learning rate at the end" },
    power: { type: "number", default: 1, min: 0, help: "Exponent of the share of steps that is left" },
  }),
  inverse_sqrt: table({
    timescale: {
      type: "integer",
      default: null,
      nullable: true,
      min: 1,
      help: "Steps of the fall's scale; null for the warmup, or 10000 without one",
    },
  }),
  cosine_with_min_lr: table({ num_cycles: waves, ...lowest }),
  cosine_warmup_with_min_lr: table({
    num_cycles: waves,
    ...lowest,
    warmup_lr_rate: { type: "number", default: null, nullable: true, min: 0, help: "Share of learning_rate at the first step" },
  }),
  warmup_stable_decay: table({
    num_decay_steps: { type: "integer", required: true, min: 0, help: "Steps over which the rate falls" },
    num_stable_steps: { type: "integer", default: null, nullable: true, min: 0, help: "Steps at the peak; null for all that are left" },
    warmup_type: { ...shape, default: "linear", help: "How the rate rises" },
    decay_type: { ...shape, default: "cosine", help: "How the rate falls" },
    min_lr_ratio: { type: "number", default: 0, min: 0, help: "Share of learning_rate at both ends" },
    num_cycles: waves,
  }),
  reduce_lr_on_plateau: table({
    ...followed,
    factor: { type: "number", default: 0.1, min: 0, exclusiveMax: 1, help: "Factor of a reduction" },
    threshold: { type: "number", default: 1e-4, min: 0, help: "By how much a metric must be better" },
    threshold_mode: { ...thresholdMode, default: "rel" },
    min_lr: { type: "number", default: 0, min: 0, help: "The rate does not fall below" },
  }),
  greedy: table({
    ...followed,
    factor: { type: "number", default: 0.95, exclusiveMin: 0, exclusiveMax: 1, help: "Factor of a reduction, divisor of a rise" },
    threshold: { type: "number", default: 1e-6, min: 0, help: "By how much a metric must be better" },
    threshold_mode: { ...thresholdMode, default: "abs" },
    warmup: { type: "integer", default: 0, min: 0, help: "Evaluations after a rise that are not counted" },
    min_lr: { type: "number", default: 1e-3, min: 0, help: "The rate is not reduced below" },
    max_lr: { type: "number", default: 1, min: 0, help: "The rate does not rise above" },
    smooth: { type: "boolean", default: false, help: "Follow the mean of the last metrics" },
    window_size: { type: "integer", default: 50, min: 1, help: "Metrics in that mean" },
    reset_start: { type: "integer", default: 500, min: 0, help: "Reductions asked for at min_lr until all starts anew" },
  }),
} satisfies Record<SchedulerName, OptionTable>;

/** The arguments of one schedule, complete. */
export type KwargsOf<N extends SchedulerName> = OptionValues<(typeof SCHEDULER_KWARGS)[N]["entries"]>;

/** Schedules that go by an evaluation metric instead of the step. */
export const METRIC_SCHEDULES: readonly SchedulerName[] = ["reduce_lr_on_plateau", "greedy"];

/**
 * Checks the arguments of a schedule and fills in its defaults.
 * @param peak `learning_rate`, which some arguments are measured against
 * @throws ConfigError `option_unknown` with the known names, `option_type`, `option_range`, `option_choice`, `option_missing`, `option_conflict`
 */
export function resolveSchedulerKwargs<N extends SchedulerName>(
  name: N,
  given: JsonObject | null,
  peak: number,
  where: string,
): KwargsOf<N> {
  const known: OptionTable = SCHEDULER_KWARGS[name];
  for (const key of Object.keys(given ?? {})) {
    if (known.specs.has(key)) continue;
    const names = [...known.specs.keys()];
    throw new ConfigError(
      "option_unknown",
      `${where}: lr_scheduler_kwargs of "${name}" must be known to it, got ${key}; known: ${names.length === 0 ? "none" : names.join(", ")}`,
    );
  }
  const options: CheckOptions = { where, prefix: "lr_scheduler_kwargs." };
  const values: Record<string, unknown> = known.resolve(given ?? {}, options);
  const refuse = (rule: string): never => {
    throw new ConfigError("option_conflict", `${where}: lr_scheduler_kwargs: ${rule}`);
  };
  if (name === "polynomial" && !((values["lr_end"] as number) < peak))
    refuse(`lr_end must be smaller than learning_rate ${peak}, got ${String(values["lr_end"])}`);
  if (name === "cosine_with_min_lr" || name === "cosine_warmup_with_min_lr") {
    const both = [values["min_lr"], values["min_lr_rate"]].filter((value) => value !== null).length;
    if (both !== 1) refuse(`"${name}" needs one of min_lr and min_lr_rate, got ${both === 0 ? "neither" : "both"}`);
    if (values["min_lr"] !== null && peak === 0) refuse("min_lr is a share of learning_rate, which is 0; give min_lr_rate");
  }
  return values as KwargsOf<N>;
}
