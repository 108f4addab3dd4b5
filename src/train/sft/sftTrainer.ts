/** Supervised fine-tuning with TRL's interface. */
import type { Dataset, Message, Row } from "../../data/index.js";
import { ConfigError } from "../../errors.js";
import { takeChatTemplate } from "../../text/chatTemplatePath.js";
import { Trainer } from "../loop/trainer.js";
import { type TrainerInput, evalSetsOf, policyOf, tokenizerOf } from "../loop/trainerInput.js";
import { SFTConfig } from "../options/sftConfig.js";
import { applyFormat } from "./formattedRows.js";
import { SFTMethod } from "./sftMethod.js";

/** A row as one text, or as a conversation. */
export type FormattingFunction = (row: Row) => string | readonly Message[];

export interface SFTTrainerOptions extends TrainerInput<SFTConfig> {
  /** Makes a text or a conversation of each row, of the evaluation sets too; the row's own columns are then not looked at. */
  formatting_func?: FormattingFunction;
}

export class SFTTrainer extends Trainer<SFTConfig> {
  /** Tokenises the data; the model's weights are read when training starts. `eos_token` and `chat_template_path` change the tokenizer.
   *  @throws ConfigError, DataError, ModelError */
  constructor(options: SFTTrainerOptions) {
    const { model, args = new SFTConfig(), train_dataset, peft_config, formatting_func } = options;
    const tokenizer = tokenizerOf(options, "SFTTrainer");
    if (formatting_func !== undefined && args.completion_only_loss === true)
      throw new ConfigError(
        "option_conflict",
        "SFTTrainer: completion_only_loss needs rows of prompt and completion, got a formatting_func, which makes whole texts; leave one of them out",
      );
    if (args.chat_template_path !== null) takeChatTemplate(tokenizer, args.chat_template_path);
    const formatted = (dataset: Dataset): Dataset =>
      formatting_func === undefined ? dataset : applyFormat(dataset, formatting_func, args.dataset_text_field);
    const evalSets = Object.entries(evalSetsOf(options, "SFTTrainer"));
    const method = new SFTMethod({
      model: policyOf(model, peft_config, args.seed, "SFTTrainer"),
      args,
      tokenizer,
      train: formatted(train_dataset),
      evalSets: Object.fromEntries(evalSets.map(([name, dataset]) => [name, formatted(dataset)])),
    });
    super(method, args, tokenizer, options);
  }
}
