/** The options of a CPO run: training on preferences without a reference, SimPO and AlphaPO included. */
import { type CheckOptions, type OptionInput, type OptionValues, defineOptions, noteOnce } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { ABSENT_ENTRIES, SFT_ONLY } from "./absentOptions.js";
import { PAIR_ENTRIES, REFERENCE_FREE_REMOVED } from "./pairEntries.js";
import { TrainingConfig, optionsFromJson } from "./trainingConfig.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

/** Every option of `CPOConfig`. Names and defaults are those of TRL 1.13's experimental CPOConfig / transformers 5.18. */
export const CPO_OPTIONS = defineOptions("Training options (CPOConfig)", {
  ...ABSENT_ENTRIES,
  loss_type: {
    type: "string",
    choices: ["sigmoid", "hinge", "ipo", "simpo", "alphapo"],
    default: "sigmoid",
    help: "Preference loss; ipo and simpo compare log-probs per token. alphapo stands for simpo with cpo_alpha 0",
  },
  beta: { type: "number", default: 0.1, exclusiveMin: 0, help: "Steepness of the preference loss; for ipo the regularisation tau" },
  cpo_alpha: { type: "number", default: 1, min: 0, help: "Weight of the negative log-likelihood of the chosen completions; 0 for none" },
  simpo_gamma: { type: "number", default: 0.5, help: "Margin by which chosen must lead with loss_type simpo" },
  alpha: {
    type: "number",
    default: 0,
    help: "AlphaPO: rewards are (1 - p^-alpha) / alpha instead of log p; 0 for log p. Made for log-probs per token (simpo, ipo)",
  },
  label_smoothing: {
    type: "number",
    default: 0,
    min: 0,
    exclusiveMax: 1,
    help: "Share of preferences taken to be the wrong way round; used by sigmoid and simpo",
  },
  ...PAIR_ENTRIES,
  ...TRAINING_ENTRIES,
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 1e-6 },
  ...REFERENCE_FREE_REMOVED,
  neftune_noise_alpha: { refused: SFT_ONLY },
});

type TableValues = OptionValues<(typeof CPO_OPTIONS)["entries"]>;

/** All options of a CPO run with their values. `loss_type` alphapo has become simpo. */
export interface CPOOptions extends Readonly<Omit<TableValues, "loss_type">> {
  readonly loss_type: Exclude<TableValues["loss_type"], "alphapo">;
}

/** What `new CPOConfig` takes: any of the options. */
export type CPOConfigInput = OptionInput<(typeof CPO_OPTIONS)["entries"]>;

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor assigns every option of the table
export interface CPOConfig extends CPOOptions {}

/**
 * The options of a CPO run, checked and completed. Immutable: make a changed copy with `config.with({ beta: 0.2 })`.
 * @throws ConfigError for unknown names, wrong types, values out of range, and options that contradict each other
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export class CPOConfig extends TrainingConfig {
  constructor(options: CPOConfigInput = {}, check: Partial<CheckOptions> = {}) {
    const where = check.where ?? "CPOConfig";
    super(CPO_OPTIONS, withoutAlphaPO(options, where), { ...check, where });
    if (this.simpo_gamma !== 0.5 && this.loss_type !== "simpo")
      throw new ConfigError("option_conflict", `${where}: simpo_gamma needs loss_type simpo, got ${this.loss_type}`);
    if (this.label_smoothing > 0 && (this.loss_type === "hinge" || this.loss_type === "ipo")) {
      (check.onNote ?? noteOnce)(
        `${where}: label_smoothing has no effect on loss_type ${this.loss_type}, as in TRL; sigmoid and simpo use it`,
      );
    }
  }

  /** A copy with some options changed. */
  with(changes: CPOConfigInput): CPOConfig {
    const alphaPO = changes.loss_type === "alphapo" ? { cpo_alpha: 0 } : {};
    return new CPOConfig({ ...(this as CPOOptions), ...alphaPO, ...changes });
  }

  /** Reads what `to_json` wrote. @param changes options to replace @throws ConfigError as the constructor */
  static from_json(json: string | Record<string, unknown>, changes: CPOConfigInput = {}): CPOConfig {
    return new CPOConfig({ ...optionsFromJson(json, "CPOConfig"), ...changes });
  }
}

/** alphapo is a name for simpo without the likelihood term. */
function withoutAlphaPO(options: CPOConfigInput, where: string): CPOConfigInput {
  if (options.loss_type !== "alphapo") return options;
  if (options.cpo_alpha !== undefined && options.cpo_alpha !== 0)
    throw new ConfigError("option_conflict", `${where}: loss_type alphapo has cpo_alpha 0, got ${options.cpo_alpha}; take loss_type simpo`);
  return { ...options, loss_type: "simpo", cpo_alpha: 0 };
}
