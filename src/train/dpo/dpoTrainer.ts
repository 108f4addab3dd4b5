/** Direct Preference Optimization, arXiv:2305.18290, with TRL's interface. */
import { DPOConfig } from "../options/dpoConfig.js";
import { Trainer } from "../loop/trainer.js";
import { type TrainerInput, evalSetsOf, policyOf, referenceOf, tokenizerOf } from "../loop/trainerInput.js";
import type { CausalLM } from "../../model/index.js";
import { createReference } from "../sequence/movingReference.js";
import { PairMethod } from "./pairMethod.js";
import { dpoPreference } from "./preference.js";
import { pairScoring } from "./references.js";

export interface DPOTrainerOptions extends TrainerInput<DPOConfig> {
  /** The reference; by default the policy as it is before the first step (with a fresh adapter that is the model without it). */
  ref_model?: CausalLM;
}

export class DPOTrainer extends Trainer<DPOConfig> {
  /** Tokenises the data; the model's weights are read when training starts.
   *  @throws ConfigError, DataError */
  constructor(options: DPOTrainerOptions) {
    const { model, ref_model, args = new DPOConfig(), train_dataset, peft_config } = options;
    const tokenizer = tokenizerOf(options, "DPOTrainer");
    const policy = policyOf(model, peft_config, args.seed, "DPOTrainer");
    const reference = referenceOf(options);
    const method = new PairMethod({
      tag: "dpo",
      model: policy,
      reference,
      startsAtReference: ref_model === undefined,
      args,
      preference: dpoPreference(args),
      references: createReference(pairScoring(args), policy, reference, args),
      tokenizer,
      train: train_dataset,
      evalSets: evalSetsOf(options, "DPOTrainer"),
    });
    super(method, args, tokenizer, options);
  }
}
