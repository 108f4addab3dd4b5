/** Contrastive Preference Optimization, arXiv:2401.08417, with SimPO (arXiv:2405.14734) and AlphaPO (arXiv:2501.03884) by loss_type; with TRL's interface. */
import { Trainer } from "../loop/trainer.js";
import { type TrainerInput, evalSetsOf, policyOf, tokenizerOf } from "../loop/trainerInput.js";
import { CPOConfig } from "../options/cpoConfig.js";
import { PairMethod } from "./pairMethod.js";
import { cpoPreference } from "./preference.js";

export type CPOTrainerOptions = TrainerInput<CPOConfig>;

/** Trains on preference pairs without a reference model. */
export class CPOTrainer extends Trainer<CPOConfig> {
  /** Tokenises the data; the model's weights are read when training starts.
   *  @throws ConfigError, DataError */
  constructor(options: CPOTrainerOptions) {
    const { model, args = new CPOConfig(), train_dataset, peft_config } = options;
    const tokenizer = tokenizerOf(options, "CPOTrainer");
    const method = new PairMethod({
      tag: "cpo",
      model: policyOf(model, peft_config, args.seed, "CPOTrainer"),
      reference: undefined,
      startsAtReference: false,
      args,
      preference: cpoPreference(args),
      references: undefined,
      tokenizer,
      train: train_dataset,
      evalSets: evalSetsOf(options, "CPOTrainer"),
    });
    super(method, args, tokenizer, options);
  }
}
