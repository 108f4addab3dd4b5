import type { Tensor1D } from "@tensorflow/tfjs";
import { defineOptions } from "../../config/index.js";
import type { CheckOptions, OptionInput, OptionValues } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { TrainingConfig, optionsFromJson } from "./trainingConfig.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

const NOT_YET = "it is not implemented yet; remove it";
const NO_PROMPT_LIMIT = "TRL dropped it too: only max_length cuts, and truncation_mode says which end is kept";

/** Every option of `DPOConfig` and of the `preflab dpo` command. Names and defaults are those of TRL 1.13 / transformers 5.18. */
export const DPO_OPTIONS = defineOptions("Training options (DPOConfig)", {
  loss_type: {
    type: "string",
    list: true,
    choices: ["sigmoid", "hinge", "ipo"],
    default: ["sigmoid"],
    function: true,
    help: "Preference loss; several are added with weight 1. In code also a function of the log-probs (see DPOLossFunction)",
  },
  beta: {
    type: "number",
    default: 0.1,
    exclusiveMin: 0,
    help: "How strongly the policy is held to the reference; for ipo the regularisation tau. Higher stays closer",
  },
  precompute_ref_log_probs: {
    type: "boolean",
    default: false,
    help: "Compute the reference log-probs of all rows and keep them in the cache for later runs; otherwise those of the rows that the run visits",
  },
  disable_dropout: {
    type: "boolean",
    default: true,
    help: "Switch off all dropout during training, as TRL does: a LoraConfig's lora_dropout then has no effect. Set false to train the adapter with dropout",
  },

  max_length: {
    type: "integer",
    default: 1024,
    nullable: true,
    min: 1,
    unit: "tokens",
    help: "Longest prompt + completion; null for no limit. Rows whose prompt alone fills it are dropped under keep_start",
  },
  truncation_mode: {
    type: "string",
    choices: ["keep_start", "keep_end"],
    default: "keep_start",
    help: "Which end of a row longer than max_length is kept",
  },

  ...TRAINING_ENTRIES,
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 1e-6 },

  max_prompt_length: { removed: NO_PROMPT_LIMIT },
  max_completion_length: { removed: NO_PROMPT_LIMIT },
  max_target_length: { removed: NO_PROMPT_LIMIT },
  tokenizer: { removed: "pass the tokenizer to DPOTrainer as processing_class" },
  generate_during_eval: { removed: "TRL dropped it too: call model.generate after training" },
  is_encoder_decoder: { removed: "TRL dropped it too: only decoder models are trained" },
  label_pad_token_id: { removed: "TRL dropped it too: labels are masked, not padded with an id" },
  padding_value: { removed: "TRL dropped it too: the tokenizer's padding token is used" },
  dataset_num_proc: { removed: "rows are tokenised in one process" },
  remove_unused_columns: { removed: "columns that the trainer does not know are never passed to the model" },

  fp16: { refused: "training computes in float32; remove it" },
  bf16: { refused: "training computes in float32; remove it" },
  label_smoothing: { refused: NOT_YET },
  loss_weights: { refused: NOT_YET },
  f_divergence_type: { refused: NOT_YET },
  f_alpha_divergence_coef: { refused: NOT_YET },
  ld_alpha: { refused: NOT_YET },
  use_weighting: { refused: NOT_YET },
  discopop_tau: { refused: NOT_YET },
  sync_ref_model: { refused: NOT_YET },
  padding_free: { refused: "pairs are packed without padding between prompt and completions anyway; remove it" },
});

/** Names of the built-in preference losses. */
export type DPOLossName = "sigmoid" | "hinge" | "ipo";

/** What a loss may look at: one value a pair, all of shape [P]. Log-probs are in nats, summed over completion tokens. */
export interface PairLogps {
  policyChosen: Tensor1D;
  policyRejected: Tensor1D;
  referenceChosen: Tensor1D;
  referenceRejected: Tensor1D;
  /** Completion lengths in tokens. */
  chosenLengths: Tensor1D;
  rejectedLengths: Tensor1D;
}

/** A preference loss written with TensorFlow.js operations; its gradient comes from TensorFlow.js. @returns one loss a pair, shape [P] */
export type DPOLossFunction = (logps: PairLogps, options: { beta: number }) => Tensor1D;

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
    super(DPO_OPTIONS, options, { ...check, where: check.where ?? "DPOConfig" });
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
