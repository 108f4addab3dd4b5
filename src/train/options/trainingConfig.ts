/** What the option classes of all trainers share: they are checked, complete and immutable. */
import type { CheckOptions, OptionTable, OptionValues } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { requireOptimizerOptions } from "./optimizerNames.js";
import { METRIC_SCHEDULES, resolveSchedulerKwargs } from "./schedulerKwargs.js";
import type { TRAINING_ENTRIES } from "./trainingOptions.js";

/** The options that every trainer has. */
export type TrainingOptions = Readonly<OptionValues<typeof TRAINING_ENTRIES>>;

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor assigns every option of the table
export interface TrainingConfig extends TrainingOptions {}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export abstract class TrainingConfig {
  readonly #table: OptionTable;

  /** @throws ConfigError for unknown names, wrong types, values out of range, and options that contradict each other */
  constructor(table: OptionTable, options: object, check: CheckOptions) {
    this.#table = table;
    const values = table.resolve({ ...options }, check);
    rejectContradictions(values as TrainingOptions, check.where);
    Object.assign(this, values);
    Object.freeze(this);
  }

  /** Warmup in optimizer steps: `warmup_steps` itself, or its share of all steps rounded up (transformers' rule). */
  get_warmup_steps(num_training_steps: number): number {
    const warmup = this.warmup_ratio ?? this.warmup_steps;
    return warmup >= 1 ? warmup : Math.ceil(num_training_steps * warmup);
  }

  /** Plain JSON of every option, as saved in training_args.json. A function becomes `"function NAME"`. */
  to_json(): Record<string, unknown> {
    return this.#table.toJson({ ...(this as TrainingOptions) });
  }

  /** Plain JSON of every option's default. */
  defaults(): Record<string, unknown> {
    return this.#table.toJson(this.#table.defaults());
  }

  /** Lets JSON.stringify(config) work. */
  toJSON(): Record<string, unknown> {
    return this.to_json();
  }
}

/** The object of options that a saved JSON holds. @param name of the class, for errors @throws ConfigError `config_file`, `option_type` */
export function optionsFromJson(json: string | Record<string, unknown>, name: string): Record<string, unknown> {
  let options: unknown = json;
  if (typeof json === "string") {
    try {
      options = JSON.parse(json);
    } catch (error) {
      throw new ConfigError("config_file", `${name}.from_json: the text must be JSON; ${(error as Error).message}`, { cause: error });
    }
  }
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new ConfigError("option_type", `${name}.from_json: the JSON must be an object of options, got ${JSON.stringify(options)}`);
  }
  return options as Record<string, unknown>;
}

/** An option that would have no effect beside another is an error, not a surprise. */
function rejectContradictions(values: TrainingOptions, where: string): void {
  const refuse = (rule: string): never => {
    throw new ConfigError("option_conflict", `${where}: ${rule}`);
  };
  if (values.warmup_ratio !== null && values.warmup_steps !== 0) refuse("give warmup_steps or warmup_ratio, not both");
  if (values.eval_steps !== null && values.eval_strategy !== "steps")
    refuse(`eval_steps needs eval_strategy "steps", got "${values.eval_strategy}"`);
  if (values.eval_delay !== 0 && values.eval_strategy === "no") refuse(`eval_delay needs eval_strategy "steps" or "epoch", got "no"`);
  if (values.engine === "compiled" && values.backend !== null)
    refuse(`backend is for engine "eager", got engine "compiled"; choose where it runs with device`);
  if (values.engine === "eager") {
    if (values.device !== "cpu") refuse(`device is for engine "compiled", got engine "eager"; choose a TensorFlow.js backend with backend`);
    if (values.threads !== null) refuse(`threads is for engine "compiled", got engine "eager"`);
  }
  if (values.activation_memory_limit !== null) {
    if (values.gradient_checkpointing)
      refuse("activation_memory_limit chooses how many layers are computed again, gradient_checkpointing takes all; give one of them");
    if (values.engine === "eager") refuse(`activation_memory_limit is for engine "compiled", got engine "eager"`);
  }
  if (values.report_to.includes("none") && values.report_to.length > 1)
    refuse(`report_to "none" stands alone, got ${values.report_to.join(", ")}`);
  rejectBestContradictions(values, refuse);
  if (METRIC_SCHEDULES.includes(values.lr_scheduler_type) && values.eval_strategy === "no")
    refuse(`lr_scheduler_type "${values.lr_scheduler_type}" needs eval_strategy "steps" or "epoch", got "no"`);
  resolveSchedulerKwargs(values.lr_scheduler_type, values.lr_scheduler_kwargs, values.learning_rate, where);
  requireOptimizerOptions(values, where);
}

/** What choosing the best checkpoint needs. */
function rejectBestContradictions(values: TrainingOptions, refuse: (rule: string) => never): void {
  const { load_best_model_at_end: best, save_strategy, eval_strategy } = values;
  if (save_strategy === "best" && eval_strategy === "no") refuse(`save_strategy "best" needs eval_strategy "steps" or "epoch", got "no"`);
  if (!best) return;
  if (eval_strategy === "no") refuse(`load_best_model_at_end needs eval_strategy "steps" or "epoch", got "no"`);
  if (save_strategy !== "best" && save_strategy !== eval_strategy)
    refuse(`load_best_model_at_end needs save_strategy equal to eval_strategy "${eval_strategy}" or "best", got "${save_strategy}"`);
  const evalSteps = values.eval_steps ?? values.logging_steps;
  if (save_strategy === "steps" && !isMultiple(values.save_steps, evalSteps))
    refuse(`load_best_model_at_end needs save_steps to be a multiple of eval_steps ${evalSteps}, got ${values.save_steps}`);
}

function isMultiple(value: number, of: number): boolean {
  const ratio = value / of;
  return Math.abs(ratio - Math.round(ratio)) < 1e-9 && ratio >= 1;
}
