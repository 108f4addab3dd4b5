/** Odds Ratio Preference Optimization, arXiv:2403.07691; with TRL's interface. */
import { Trainer } from "../loop/trainer.js";
import { type TrainerInput, evalSetsOf, policyOf, tokenizerOf } from "../loop/trainerInput.js";
import { ORPOConfig } from "../options/orpoConfig.js";
import { PairMethod } from "./pairMethod.js";
import { orpoPreference } from "./preference.js";

export type ORPOTrainerOptions = TrainerInput<ORPOConfig>;

/** Trains on preference pairs without a reference model. */
export class ORPOTrainer extends Trainer<ORPOConfig> {
  /** Tokenises the data; the model's weights are read when training starts.
   *  @throws ConfigError, DataError */
  constructor(options: ORPOTrainerOptions) {
    const { model, args = new ORPOConfig(), train_dataset, peft_config } = options;
    const tokenizer = tokenizerOf(options, "ORPOTrainer");
    const method = new PairMethod({
      tag: "orpo",
      model: policyOf(model, peft_config, args.seed, "ORPOTrainer"),
      reference: undefined,
      startsAtReference: false,
      args,
      preference: orpoPreference(args),
      references: undefined,
      tokenizer,
      train: train_dataset,
      evalSets: evalSetsOf(options, "ORPOTrainer"),
    });
    super(method, args, tokenizer, options);
  }
}
