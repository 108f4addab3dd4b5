import type { Tensor1D } from "@tensorflow/tfjs";
import { defineOptions } from "../../config/index.js";
import type { CheckOptions, OptionInput, OptionValues } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { ABSENT_ENTRIES, ONE_BY_ONE, SFT_ONLY } from "./absentOptions.js";
import { PAIR_ENTRIES } from "./pairEntries.js";
import { REFERENCE_ENTRIES, TOKENS_PER_RUN_WITH_REFERENCE, rejectReferenceContradictions } from "./referenceEntries.js";
import { TrainingConfig, optionsFromJson } from "./trainingConfig.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

/** Every option of `KTOConfig` and of the `preflab kto` command. Names and defaults are those of TRL 1.13 / transformers 5.18. */
export const KTO_OPTIONS = defineOptions("Training options (KTOConfig)", {
  ...ABSENT_ENTRIES,
  loss_type: {
    type: "string",
    choices: ["kto", "apo_zero_unpaired"],
    default: "kto",
    function: true,
    help: "Loss of a row. apo_zero_unpaired needs no KL estimate, which saves a forward pass. In code also a function of a row's log-probs (see KTOLossFunction)",
  },
  beta: {
    type: "number",
    default: 0.1,
    exclusiveMin: 0,
    help: "How strongly the policy is held to the reference. Higher stays closer",
  },
  desirable_weight: {
    type: "number",
    default: 1,
    min: 0,
    help: "Weight of the losses of desirable rows (label true). Advised: desirable_weight x desirable rows is 1 to 4/3 times undesirable_weight x undesirable rows",
  },
  undesirable_weight: { type: "number", default: 1, min: 0, help: "Weight of the losses of undesirable rows (label false)" },
  ...REFERENCE_ENTRIES,
  disable_dropout: PAIR_ENTRIES.disable_dropout,

  max_length: {
    ...PAIR_ENTRIES.max_length,
    help: "Longest prompt + completion, longer ones lose their end; null for no limit. Rows whose prompt alone fills it are dropped",
  },

  ...TRAINING_ENTRIES,
  ...TOKENS_PER_RUN_WITH_REFERENCE,
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 1e-6 },
  per_device_train_batch_size: {
    ...TRAINING_ENTRIES.per_device_train_batch_size,
    help: "Rows in one micro-batch, above 1 unless the loss is apo_zero_unpaired: within these rows, in file order, each prompt gets the completion before it for the KL estimate, in evaluation data too",
  },
  shuffle_dataset: {
    ...TRAINING_ENTRIES.shuffle_dataset,
    default: false,
    help: "Shuffle the training rows anew in each epoch. Off by default, as TRL's KTOConfig has train_sampling_strategy sequential: mix desirable and undesirable rows in the file. When shuffled, each row keeps the mismatched completion of its neighbour in the file",
  },

  truncation_mode: { removed: "TRL dropped it from KTO too: what is longer than max_length loses its end" },
  precompute_ref_batch_size: { removed: ONE_BY_ONE },
  train_sampling_strategy: {
    refused: "set shuffle_dataset instead: false (the default) is sequential, true is random",
    off: ["sequential"],
  },
  neftune_noise_alpha: { refused: SFT_ONLY },
});

/** Names of the built-in KTO losses. */
export type KTOLossName = "kto" | "apo_zero_unpaired";

/** What a loss may look at: one row's numbers, each of shape [1]. Log-probs are in nats, summed over completion tokens. */
export interface RowLogps {
  policy: Tensor1D;
  reference: Tensor1D;
  /** max(0, mean over the micro-batch of policy − reference on mismatched completions), in nats; a number without gradient. */
  kl: Tensor1D;
  /** 1 for a desirable row, 0 for an undesirable one. */
  label: Tensor1D;
}

/**
 * A KTO loss written with TensorFlow.js operations; its gradient comes from TensorFlow.js. It is called for one row at a time, and
 * its result is multiplied by desirable_weight or undesirable_weight. @returns the row's loss, shape [1]
 */
export type KTOLossFunction = (logps: RowLogps, options: { beta: number }) => Tensor1D;

type TableValues = OptionValues<(typeof KTO_OPTIONS)["entries"]>;
type TableInput = OptionInput<(typeof KTO_OPTIONS)["entries"]>;

/** All options of a KTO run with their values. */
export interface KTOOptions extends Readonly<Omit<TableValues, "loss_type">> {
  readonly loss_type: KTOLossName | KTOLossFunction;
}

/** What `new KTOConfig` takes: any of the options. */
export interface KTOConfigInput extends Omit<TableInput, "loss_type"> {
  loss_type?: KTOLossName | KTOLossFunction;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor assigns every option of the table
export interface KTOConfig extends KTOOptions {}

/**
 * The options of a KTO run, checked and completed. Immutable: make a changed copy with `config.with({ beta: 0.2 })`.
 * @throws ConfigError for unknown names, wrong types, values out of range, and options that contradict each other
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export class KTOConfig extends TrainingConfig {
  constructor(options: KTOConfigInput = {}, check: Partial<CheckOptions> = {}) {
    const where = check.where ?? "KTOConfig";
    super(KTO_OPTIONS, options, { ...check, where });
    const refuse = (rule: string): never => {
      throw new ConfigError("option_conflict", `${where}: ${rule}`);
    };
    if (estimatesKl(this) && this.per_device_train_batch_size < 2) {
      const loss = typeof this.loss_type === "string" ? `loss_type "${this.loss_type}"` : "a loss_type function";
      refuse(
        `per_device_train_batch_size must be > 1 with ${loss}, got ${this.per_device_train_batch_size}: alone in its micro-batch, a row's own completion would be its KL estimate; raise it, or use loss_type "apo_zero_unpaired"`,
      );
    }
    rejectReferenceContradictions(this, refuse);
  }

  /** A copy with some options changed. */
  with(changes: KTOConfigInput): KTOConfig {
    return new KTOConfig({ ...(this as KTOOptions), ...changes });
  }

  /** Reads what `to_json` wrote. @param changes options to replace, needed when the saved loss was a function
   *  @throws ConfigError as the constructor */
  static from_json(json: string | Record<string, unknown>, changes: KTOConfigInput = {}): KTOConfig {
    const saved = optionsFromJson(json, "KTOConfig");
    if (typeof saved["loss_type"] === "string" && saved["loss_type"].startsWith("function ") && changes.loss_type === undefined) {
      throw new ConfigError(
        "loss_function",
        `KTOConfig.from_json: loss_type was ${saved["loss_type"]}, which JSON cannot hold; pass it again: from_json(json, { loss_type })`,
      );
    }
    return new KTOConfig({ ...saved, ...changes });
  }
}

/** Whether the loss looks at the KL estimate; TRL: every one but apo_zero_unpaired. */
export function estimatesKl({ loss_type }: Pick<KTOOptions, "loss_type">): boolean {
  return loss_type !== "apo_zero_unpaired";
}
