/** The options that all trainers on preference pairs share. */
import type { OptionEntries } from "../../config/index.js";

const NO_PROMPT_LIMIT = "TRL dropped it too: only max_length cuts, and truncation_mode says which end is kept";

const entries = <const T extends OptionEntries>(table: T): T => table;

/** How pairs become token ids, and dropout. */
export const PAIR_ENTRIES = entries({
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
});

/** Names that older notebooks use, and what is not offered. */
export const PAIR_REMOVED = entries({
  max_prompt_length: { removed: NO_PROMPT_LIMIT },
  max_completion_length: { removed: NO_PROMPT_LIMIT },
  max_target_length: { removed: NO_PROMPT_LIMIT },
  tokenizer: { removed: "pass the tokenizer to the trainer as processing_class" },
  generate_during_eval: { removed: "TRL dropped it too: call model.generate after training" },
  is_encoder_decoder: { removed: "TRL dropped it too: only decoder models are trained" },
  label_pad_token_id: { removed: "TRL dropped it too: labels are masked, not padded with an id" },
  padding_value: { removed: "TRL dropped it too: the tokenizer's padding token is used" },
  dataset_num_proc: { removed: "rows are tokenised in one process" },
  remove_unused_columns: { removed: "columns that the trainer does not know are never passed to the model" },

  fp16: { refused: "training computes in float32; remove it" },
  bf16: { refused: "training computes in float32; remove it" },
  padding_free: { refused: "pairs are packed without padding between prompt and completions anyway; remove it" },
});

/** For the trainers without a reference, whose TRL counterparts still list some of these names. */
export const REFERENCE_FREE_REMOVED = entries({
  ...PAIR_REMOVED,
  max_completion_length: { removed: "it is for encoder-decoder models in TRL too: only max_length cuts" },
  generate_during_eval: { removed: "call model.generate after training" },
  padding_value: { removed: "completions are packed without padding tokens" },
  ref_model: { removed: "this loss has no reference" },
});
