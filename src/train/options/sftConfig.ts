import { defineOptions, noteOnce } from "../../config/index.js";
import type { CheckOptions, OptionInput, OptionValues } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { PACKING_STRATEGIES } from "../../text/index.js";
import { ABSENT_ENTRIES } from "./absentOptions.js";
import { TrainingConfig, optionsFromJson } from "./trainingConfig.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

/** Every option of `SFTConfig`. Names and defaults are those of TRL 1.13 / transformers 5.18. */
export const SFT_OPTIONS = defineOptions("Training options (SFTConfig)", {
  ...ABSENT_ENTRIES,
  loss_type: {
    type: "string",
    choices: ["nll", "chunked_nll", "dft"],
    default: "chunked_nll",
    nullable: true,
    help: "Loss of a token: nll and chunked_nll are its negative log-likelihood (logits are never stored, so both are the same here); dft weighs that with the token's probability (Dynamic Fine-Tuning); null for chunked_nll",
    differs: "TRL's default null stands for chunked_nll there too",
  },
  completion_only_loss: {
    type: "boolean",
    default: null,
    nullable: true,
    help: "Learn only the completion; null: yes for rows of prompt and completion, no for others",
  },
  assistant_only_loss: {
    type: "boolean",
    default: false,
    help: "Learn only the assistant's turns; conversations only",
  },
  neftune_noise_alpha: {
    type: "number",
    default: null,
    nullable: true,
    exclusiveMin: 0,
    help: "Strength of NEFTune's noise on the embeddings during training (the paper uses 5 to 15); null for none",
  },

  dataset_text_field: { type: "string", default: "text", help: "Column of plain-text rows" },
  max_length: {
    type: "integer",
    default: 1024,
    nullable: true,
    min: 1,
    unit: "tokens",
    aliases: ["max_seq_length"],
    help: "Longest row, with packing the length to pack to; null for no limit. Rows of which no token to learn is left are dropped",
  },
  truncation_mode: {
    type: "string",
    choices: ["keep_start", "keep_end"],
    default: "keep_start",
    help: "Which end of a row longer than max_length is kept",
  },
  packing: {
    type: "boolean",
    default: false,
    help: "Put several rows into one sequence of at most max_length tokens; a micro-batch then counts such sequences",
  },
  packing_strategy: {
    type: "string",
    choices: PACKING_STRATEGIES,
    default: "bfd",
    help: "bfd: best-fit decreasing, longer rows cut; bfd_split: the same, longer rows continued as further rows; wrapped: all rows one after the other, cut every max_length tokens, each seeing those before it",
  },
  eval_packing: { type: "boolean", default: null, nullable: true, help: "Pack the evaluation rows too; null: as packing says" },
  eos_token: {
    type: "string",
    default: null,
    nullable: true,
    help: "End token appended to plain text, which becomes the tokenizer's; null for the tokenizer's own",
  },
  chat_template_path: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "PATH",
    help: "Chat template for the rows and for the saved tokenizer: a .jinja or .j2 file, or a tokenizer's folder, whose end token is taken too",
  },

  ...TRAINING_ENTRIES,
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 2e-5 },
  shuffle_dataset: {
    ...TRAINING_ENTRIES.shuffle_dataset,
    help: "Shuffle the rows (with packing: the packed ones) anew in each epoch; false keeps file order",
    differs:
      "TRL's SFT option of this name shuffles once, before packing, and epochs are shuffled in any case: call dataset.shuffle() for the former",
  },

  dataset_kwargs: { removed: "rows with a column input_ids are taken as token ids, all others are prepared", off: [null, {}] },
  dataset_batch_size: { removed: "TRL dropped it too: rows are tokenised one by one" },
  num_of_sequences: { removed: "TRL dropped it too: packing fills sequences of max_length" },
  chars_per_token: { removed: "TRL dropped it too: rows are tokenised before they are packed" },
  use_liger: { removed: "TRL dropped it too: the head never stores logits" },
});

/** Names of the losses of a token. */
export type SFTLossName = "nll" | "chunked_nll" | "dft";

type TableValues = OptionValues<(typeof SFT_OPTIONS)["entries"]>;

/** What `new SFTConfig` takes: any of the options. */
export type SFTConfigInput = OptionInput<(typeof SFT_OPTIONS)["entries"]>;

/** All options of an SFT run with their values. */
export interface SFTOptions extends Readonly<Omit<TableValues, "loss_type">> {
  readonly loss_type: SFTLossName;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor assigns every option of the table
export interface SFTConfig extends SFTOptions {}

/**
 * The options of an SFT run, checked and completed. Immutable: make a changed copy with `config.with({ packing: true })`.
 * @throws ConfigError for unknown names, wrong types, values out of range, and options that contradict each other
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export class SFTConfig extends TrainingConfig {
  constructor(options: SFTConfigInput = {}, check: Partial<CheckOptions> = {}) {
    const where = check.where ?? "SFTConfig";
    super(SFT_OPTIONS, withPresentNames(options, where), { ...check, where });
    rejectPackingContradictions(this, where);
  }

  /** A copy with some options changed. */
  with(changes: SFTConfigInput): SFTConfig {
    return new SFTConfig({ ...(this as SFTOptions), ...changes });
  }

  /** Reads what `to_json` wrote. @param changes options to replace @throws ConfigError as the constructor */
  static from_json(json: string | Record<string, unknown>, changes: SFTConfigInput = {}): SFTConfig {
    return new SFTConfig({ ...optionsFromJson(json, "SFTConfig"), ...changes });
  }
}

/** Values that TRL itself reads as others. */
function withPresentNames(options: SFTConfigInput, where: string): SFTConfigInput {
  const present = { ...options };
  if (present.loss_type === null) delete present.loss_type;
  if ((present.packing_strategy as string | undefined) === "bfd-requeue") {
    noteOnce(`${where}: packing_strategy bfd-requeue is called bfd_split now; it is used`);
    present.packing_strategy = "bfd_split";
  }
  return present;
}

function rejectPackingContradictions(values: SFTOptions, where: string): void {
  const refuse = (rule: string): never => {
    throw new ConfigError("option_conflict", `${where}: ${rule}`);
  };
  const evalPacking = values.eval_packing ?? values.packing;
  if (!values.packing && !evalPacking) {
    if (values.packing_strategy !== "bfd") refuse(`packing_strategy "${values.packing_strategy}" needs packing true, got false`);
    return;
  }
  if (values.max_length === null) refuse("packing needs a max_length to pack to, got null");
  if (values.packing && evalPacking && values.truncation_mode === "keep_end")
    refuse(`truncation_mode "keep_end" is for rows that are not packed: packing cuts at the end; remove one of them`);
}
