/** The options of an ORPO run: likelihood of the chosen texts and an odds ratio, without a reference. */
import { type CheckOptions, type OptionInput, type OptionValues, defineOptions } from "../../config/index.js";
import { ABSENT_ENTRIES, SFT_ONLY } from "./absentOptions.js";
import { PAIR_ENTRIES, REFERENCE_FREE_REMOVED } from "./pairEntries.js";
import { TrainingConfig, optionsFromJson } from "./trainingConfig.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

/** Every option of `ORPOConfig`. Names and defaults are those of TRL 1.13's experimental ORPOConfig / transformers 5.18. */
export const ORPO_OPTIONS = defineOptions("Training options (ORPOConfig)", {
  ...ABSENT_ENTRIES,
  beta: { type: "number", default: 0.1, exclusiveMin: 0, help: "Weight of the odds ratio beside the likelihood; the paper's lambda" },
  ...PAIR_ENTRIES,
  ...TRAINING_ENTRIES,
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 1e-6 },
  ...REFERENCE_FREE_REMOVED,
  neftune_noise_alpha: { refused: SFT_ONLY },
});

/** All options of an ORPO run with their values. */
export type ORPOOptions = Readonly<OptionValues<(typeof ORPO_OPTIONS)["entries"]>>;

/** What `new ORPOConfig` takes: any of the options. */
export type ORPOConfigInput = OptionInput<(typeof ORPO_OPTIONS)["entries"]>;

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor assigns every option of the table
export interface ORPOConfig extends ORPOOptions {}

/**
 * The options of an ORPO run, checked and completed. Immutable: make a changed copy with `config.with({ beta: 0.2 })`.
 * @throws ConfigError for unknown names, wrong types, values out of range, and options that contradict each other
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export class ORPOConfig extends TrainingConfig {
  constructor(options: ORPOConfigInput = {}, check: Partial<CheckOptions> = {}) {
    super(ORPO_OPTIONS, options, { ...check, where: check.where ?? "ORPOConfig" });
  }

  /** A copy with some options changed. */
  with(changes: ORPOConfigInput): ORPOConfig {
    return new ORPOConfig({ ...(this as ORPOOptions), ...changes });
  }

  /** Reads what `to_json` wrote. @param changes options to replace @throws ConfigError as the constructor */
  static from_json(json: string | Record<string, unknown>, changes: ORPOConfigInput = {}): ORPOConfig {
    return new ORPOConfig({ ...optionsFromJson(json, "ORPOConfig"), ...changes });
  }
}
