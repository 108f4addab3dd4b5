/** The options of a DPO run. */
import { type CheckOptions, type OptionInput, type OptionValues, defineOptions, noteOnce } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { ABSENT_ENTRIES, ONE_BY_ONE, SFT_ONLY } from "./absentOptions.js";
import { PAIR_ENTRIES } from "./pairEntries.js";
import type { DPOLossFunction } from "./preferenceLoss.js";
import { REFERENCE_ENTRIES, TOKENS_PER_RUN_WITH_REFERENCE, rejectReferenceContradictions } from "./referenceEntries.js";
import { TrainingConfig, optionsFromJson } from "./trainingConfig.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

const LOSS_NAMES = [
  ...["sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"],
  ...["apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"],
] as const;

/** Every option of `DPOConfig` and of the `preflab dpo` command. Names and defaults are those of TRL 1.13 / transformers 5.18. */
export const DPO_OPTIONS = defineOptions("Training options (DPOConfig)", {
  ...ABSENT_ENTRIES,
  loss_type: {
    type: "string",
    list: true,
    choices: LOSS_NAMES,
    default: ["sigmoid"],
    function: true,
    help: "Preference loss; several are added, each times its loss_weights. In code also a function of the log-probs (see DPOLossFunction)",
  },
  loss_weights: {
    type: "number",
    list: true,
    nullable: true,
    default: null,
    help: "Weights of the losses of loss_type, in their order; null for 1 each",
  },
  beta: {
    type: "number",
    default: 0.1,
    exclusiveMin: 0,
    help: "How strongly the policy is held to the reference; for ipo the regularisation tau. Higher stays closer",
  },
  label_smoothing: {
    type: "number",
    default: 0,
    min: 0,
    exclusiveMax: 1,
    help: "Share of preferences taken to be the wrong way round; used by robust (below 0.5), exo_pair (above 0), aot and aot_unpaired",
  },
  discopop_tau: { type: "number", default: 0.05, exclusiveMin: 0, help: "Temperature of discopop's blend of its two parts" },
  f_divergence_type: {
    type: "string",
    choices: ["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"],
    default: "reverse_kl",
    help: "Divergence that holds the policy to the reference (f-DPO); others than reverse_kl for sigmoid, sigmoid_norm, hinge, ipo, exo_pair, robust, discopop and sft",
  },
  f_alpha_divergence_coef: { type: "number", default: 0.5, help: "Alpha of f_divergence_type alpha_divergence; 1 is reverse_kl" },
  ld_alpha: {
    type: "number",
    default: null,
    nullable: true,
    min: 0,
    max: 1,
    help: "LD-DPO: weight of a completion's tokens beyond the length of the pair's shorter one; null for 1",
  },
  use_weighting: {
    type: "boolean",
    default: false,
    help: "WPO: weigh each pair by how likely the policy is to write its completions; costs little more in the head. Not for aot and aot_unpaired",
  },
  ...REFERENCE_ENTRIES,
  ...PAIR_ENTRIES,
  ...TRAINING_ENTRIES,
  ...TOKENS_PER_RUN_WITH_REFERENCE,
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 1e-6 },

  precompute_ref_batch_size: { removed: ONE_BY_ONE },
  neftune_noise_alpha: { refused: SFT_ONLY },
});

/** Names of the built-in preference losses. */
export type DPOLossName = (typeof LOSS_NAMES)[number];

type TableValues = OptionValues<(typeof DPO_OPTIONS)["entries"]>;
type TableInput = OptionInput<(typeof DPO_OPTIONS)["entries"]>;

/** All options of a DPO run with their values. */
export interface DPOOptions extends Readonly<Omit<TableValues, "loss_type">> {
  readonly loss_type: DPOLossName[] | DPOLossFunction;
}

/** What `new DPOConfig` takes: any of the options. */
export interface DPOConfigInput extends Omit<TableInput, "loss_type"> {
  loss_type?: DPOLossName | DPOLossName[] | DPOLossFunction;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor assigns every option of the table
export interface DPOConfig extends DPOOptions {}

/**
 * The options of a DPO run, checked and completed. Immutable: make a changed copy with `config.with({ beta: 0.2 })`.
 * @throws ConfigError for unknown names, wrong types, values out of range, and options that contradict each other
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export class DPOConfig extends TrainingConfig {
  constructor(options: DPOConfigInput = {}, check: Partial<CheckOptions> = {}) {
    const where = check.where ?? "DPOConfig";
    super(DPO_OPTIONS, options, { ...check, where });
    rejectContradictions(this, where);
    const unsmoothed = typeof this.loss_type === "function" ? [] : this.loss_type.filter((name) => !SMOOTHED.has(name));
    if (this.label_smoothing > 0 && unsmoothed.length > 0) {
      (check.onNote ?? noteOnce)(
        `${where}: label_smoothing has no effect on loss_type ${unsmoothed.join(", ")}, as in TRL; ${[...SMOOTHED].join(", ")} use it`,
      );
    }
  }

  /** A copy with some options changed. */
  with(changes: DPOConfigInput): DPOConfig {
    return new DPOConfig({ ...(this as DPOOptions), ...changes });
  }

  /** Reads what `to_json` wrote. @param changes options to replace, needed when the saved loss was a function
   *  @throws ConfigError as the constructor */
  static from_json(json: string | Record<string, unknown>, changes: DPOConfigInput = {}): DPOConfig {
    const saved = optionsFromJson(json, "DPOConfig");
    if (typeof saved["loss_type"] === "string" && saved["loss_type"].startsWith("function ") && changes.loss_type === undefined) {
      throw new ConfigError(
        "loss_function",
        `DPOConfig.from_json: loss_type was ${saved["loss_type"]}, which JSON cannot hold; pass it again: from_json(json, { loss_type })`,
      );
    }
    return new DPOConfig({ ...saved, ...changes });
  }
}

const SMOOTHED: ReadonlySet<DPOLossName> = new Set(["robust", "exo_pair", "aot", "aot_unpaired"]);
const DIVERGING: ReadonlySet<DPOLossName> = new Set(["sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"]);
/** They sort the batch, after which no weight belongs to a pair. */
export const SORTING: ReadonlySet<DPOLossName> = new Set(["aot", "aot_unpaired"]);

/** What TRL refuses, and options that would have no effect. */
function rejectContradictions(values: DPOOptions, where: string): void {
  const refuse = (rule: string): never => {
    throw new ConfigError("option_conflict", `${where}: ${rule}`);
  };
  rejectLossContradictions(values, refuse);
  rejectReferenceContradictions(values, refuse);
}

function rejectLossContradictions(values: DPOOptions, refuse: (rule: string) => never): void {
  const { loss_type, loss_weights, label_smoothing, f_divergence_type, discopop_tau } = values;
  const names = typeof loss_type === "function" ? [] : loss_type;
  const count = typeof loss_type === "function" ? 1 : names.length;
  if (loss_weights !== null && loss_weights.length !== count)
    refuse(`loss_weights must have one weight for each of the ${count} losses of loss_type, got ${loss_weights.length}`);
  if (names.includes("exo_pair") && label_smoothing === 0)
    refuse("loss_type exo_pair needs a label_smoothing > 0, got 0; its paper uses 1e-3");
  if (names.includes("robust") && label_smoothing >= 0.5)
    refuse(`loss_type robust needs a label_smoothing < 0.5, got ${label_smoothing}; at one half the preferences say nothing`);
  if (f_divergence_type !== "reverse_kl") {
    if (typeof loss_type === "function")
      refuse(`f_divergence_type "${f_divergence_type}" is for named losses, got a function as loss_type; apply the divergence inside it`);
    const other = names.find((name) => !DIVERGING.has(name));
    if (other !== undefined)
      refuse(
        `f_divergence_type "${f_divergence_type}" is for loss_type ${[...DIVERGING].join(", ")}, got ${other}; use reverse_kl with it`,
      );
  }
  if (values.f_alpha_divergence_coef !== 0.5 && f_divergence_type !== "alpha_divergence")
    refuse(`f_alpha_divergence_coef needs f_divergence_type "alpha_divergence", got "${f_divergence_type}"`);
  if (discopop_tau !== 0.05 && typeof loss_type !== "function" && !names.includes("discopop"))
    refuse(`discopop_tau needs loss_type discopop, got ${names.join(", ")}`);
  const sorting = names.find((name) => SORTING.has(name));
  if (values.use_weighting && sorting !== undefined)
    refuse(`use_weighting weighs pair by pair, got loss_type ${sorting}, which sorts the batch; set it false or take another loss`);
}
