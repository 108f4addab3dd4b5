import type { Tensor1D } from "@tensorflow/tfjs";
import { defineOptions } from "../config/index.js";
import type { CheckOptions, OptionInput, OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";

const NOT_YET = "it is not implemented yet; remove it";
const NO_PROMPT_LIMIT = "TRL dropped it too: only max_length cuts, and truncation_mode says which end is kept";

/** Every option of `DPOConfig` and of the `preflab dpo` command. Names and defaults are those of TRL 1.13 / transformers 5.18. */
export const DPO_OPTIONS = defineOptions("Training options (DPOConfig)", {
  output_dir: {
    type: "string",
    default: "trainer_output",
    placeholder: "DIR",
    help: "Folder for checkpoints, the final model and trainer_state.json",
  },

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

  learning_rate: { type: "number", default: 1e-6, min: 0, help: "Peak learning rate of AdamW" },
  lr_scheduler_type: {
    type: "string",
    choices: ["linear", "cosine", "constant", "constant_with_warmup"],
    default: "linear",
    help: "Learning rate after the warmup",
  },
  warmup_steps: {
    type: "number",
    default: 0,
    rule: {
      text: "a whole number of steps, or a share of all steps in [0, 1)",
      accepts: (value: number) => value >= 0 && (value < 1 || Number.isInteger(value)),
    },
    unit: "optimizer steps",
    help: "Steps over which the learning rate rises from 0; below 1 it is a share of all steps",
  },
  warmup_ratio: {
    type: "number",
    default: null,
    nullable: true,
    min: 0,
    exclusiveMax: 1,
    help: "Share of all steps used for warmup; the older name of a warmup_steps below 1",
  },
  weight_decay: { type: "number", default: 0, min: 0, help: "Decoupled weight decay of AdamW; biases and norms are left out" },
  adam_beta1: { type: "number", default: 0.9, min: 0, exclusiveMax: 1, help: "Decay of AdamW's mean of gradients" },
  adam_beta2: { type: "number", default: 0.999, min: 0, exclusiveMax: 1, help: "Decay of AdamW's mean of squared gradients" },
  adam_epsilon: { type: "number", default: 1e-8, exclusiveMin: 0, help: "Added to AdamW's denominator" },
  max_grad_norm: { type: "number", default: 1, min: 0, help: "Gradients are scaled down to this L2 norm; 0 switches clipping off" },

  per_device_train_batch_size: { type: "integer", default: 8, min: 1, unit: "pairs", help: "Pairs in one micro-batch" },
  per_device_eval_batch_size: { type: "integer", default: 8, min: 1, unit: "pairs", help: "Pairs in one batch of an evaluation" },
  gradient_accumulation_steps: {
    type: "integer",
    default: 1,
    min: 1,
    unit: "micro-batches",
    help: "Micro-batches whose mean gradient makes one optimizer step",
  },
  num_train_epochs: {
    type: "number",
    default: 3,
    exclusiveMin: 0,
    unit: "epochs",
    help: "Passes over the training rows; a fraction ends inside a pass",
  },
  max_steps: {
    type: "integer",
    default: -1,
    rule: { text: "-1 (num_train_epochs decides) or an integer >= 1", accepts: (value: number) => value === -1 || value >= 1 },
    unit: "optimizer steps",
    help: "Steps to train; overrides num_train_epochs unless -1",
  },
  shuffle_dataset: { type: "boolean", default: true, help: "Shuffle the training rows anew in each epoch; false keeps file order" },
  seed: { type: "integer", default: 42, min: 0, help: "Seed of shuffling, dropout and adapter initialisation" },

  logging_steps: {
    type: "integer",
    default: 10,
    min: 1,
    unit: "optimizer steps",
    help: "Steps between log entries; an entry holds means over them",
  },
  logging_first_step: { type: "boolean", default: false, help: "Log the first step too" },
  eval_strategy: {
    type: "string",
    choices: ["no", "steps", "epoch"],
    default: "no",
    aliases: ["evaluation_strategy"],
    help: "When to evaluate on the evaluation rows",
  },
  eval_steps: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    unit: "optimizer steps",
    help: "Steps between evaluations with eval_strategy steps; null for logging_steps",
  },
  save_strategy: { type: "string", choices: ["no", "steps", "epoch"], default: "steps", help: "When to save a checkpoint" },
  save_steps: {
    type: "integer",
    default: 500,
    min: 1,
    unit: "optimizer steps",
    help: "Steps between checkpoints with save_strategy steps",
  },
  save_total_limit: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    unit: "checkpoints",
    help: "Older checkpoints beyond this number are deleted; null keeps all",
  },
  disable_tqdm: { type: "boolean", default: false, help: "Show no progress line" },

  engine: {
    type: "string",
    choices: ["compiled", "eager"],
    default: "compiled",
    help: "compiled: traced once, run by ONNX Runtime; eager: each operation by a TensorFlow.js backend",
  },
  device: {
    type: "string",
    choices: ["cpu", "webgpu", "cuda"],
    default: "cpu",
    help: "ONNX Runtime's execution provider for engine compiled",
  },
  threads: { type: "integer", default: null, nullable: true, min: 1, help: "CPU threads for engine compiled; null for all cores" },
  max_buckets: {
    type: "integer",
    default: 4,
    min: 1,
    help: "Engine compiled: sequence lengths are rounded up to at most this many sizes, each compiled once",
  },
  backend: {
    type: "string",
    default: null,
    nullable: true,
    help: "TensorFlow.js backend for engine eager, e.g. tensorflow, webgpu, wasm, cpu; null for the registered one",
  },

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
  gradient_checkpointing: { refused: "there is nothing to switch; remove it" },
  report_to: { refused: "there are no trackers: the curves are in trainer.state.log_history and trainer_state.json; remove it" },
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
export class DPOConfig {
  constructor(options: DPOConfigInput = {}, check: Partial<CheckOptions> = {}) {
    const where = check.where ?? "DPOConfig";
    const values = DPO_OPTIONS.resolve({ ...options }, { ...check, where });
    rejectContradictions(values, where);
    Object.assign(this, values);
    Object.freeze(this);
  }

  /** A copy with some options changed. */
  with(changes: DPOConfigInput): DPOConfig {
    return new DPOConfig({ ...(this as DPOOptions), ...changes });
  }

  /** Warmup in optimizer steps: `warmup_steps` itself, or its share of all steps rounded up (transformers' rule). */
  get_warmup_steps(num_training_steps: number): number {
    const warmup = this.warmup_ratio ?? this.warmup_steps;
    return warmup >= 1 ? warmup : Math.ceil(num_training_steps * warmup);
  }

  /** Plain JSON of every option, as saved in training_args.json. A loss function becomes `"function NAME"`. */
  to_json(): Record<string, unknown> {
    return DPO_OPTIONS.toJson({ ...(this as DPOOptions) });
  }

  /** Lets JSON.stringify(config) work. */
  toJSON(): Record<string, unknown> {
    return this.to_json();
  }

  /** Reads what `to_json` wrote. @param changes options to replace, needed when the saved loss was a function
   *  @throws ConfigError as the constructor */
  static from_json(json: string | Record<string, unknown>, changes: DPOConfigInput = {}): DPOConfig {
    let options: unknown = json;
    if (typeof json === "string") {
      try {
        options = JSON.parse(json);
      } catch (error) {
        throw new ConfigError("config_file", `DPOConfig.from_json: the text must be JSON; ${(error as Error).message}`, { cause: error });
      }
    }
    if (typeof options !== "object" || options === null || Array.isArray(options)) {
      throw new ConfigError("option_type", `DPOConfig.from_json: the JSON must be an object of options, got ${JSON.stringify(options)}`);
    }
    const saved = options as Record<string, unknown>;
    if (typeof saved["loss_type"] === "string" && saved["loss_type"].startsWith("function ") && changes.loss_type === undefined) {
      throw new ConfigError(
        "loss_function",
        `DPOConfig.from_json: loss_type was ${saved["loss_type"]}, which JSON cannot hold; pass it again: from_json(json, { loss_type })`,
      );
    }
    return new DPOConfig({ ...saved, ...changes });
  }
}

/** An option that would have no effect beside another is an error, not a surprise. */
function rejectContradictions(values: TableValues, where: string): void {
  const refuse = (rule: string): never => {
    throw new ConfigError("option_conflict", `${where}: ${rule}`);
  };
  if (values.warmup_ratio !== null && values.warmup_steps !== 0) refuse("give warmup_steps or warmup_ratio, not both");
  if (values.eval_steps !== null && values.eval_strategy !== "steps")
    refuse(`eval_steps needs eval_strategy "steps", got "${values.eval_strategy}"`);
  if (values.engine === "compiled" && values.backend !== null)
    refuse(`backend is for engine "eager", got engine "compiled"; choose where it runs with device`);
  if (values.engine === "eager") {
    if (values.device !== "cpu") refuse(`device is for engine "compiled", got engine "eager"; choose a TensorFlow.js backend with backend`);
    if (values.threads !== null) refuse(`threads is for engine "compiled", got engine "eager"`);
  }
}
