/** The options that all trainers on preference pairs share; KTO takes some of them. */
import type { OptionEntries } from "../../config/index.js";

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

/** Names without an effect that TRL's trainers without a reference still list, or that people try there. */
export const REFERENCE_FREE_REMOVED = entries({
  max_completion_length: { removed: "it is for encoder-decoder models in TRL too: only max_length cuts" },
  generate_during_eval: { removed: "call model.generate after training" },
  is_encoder_decoder: { removed: "only decoder models are trained" },
  padding_value: { removed: "nothing is padded with a token" },
  ref_model: { removed: "this loss has no reference" },
});
