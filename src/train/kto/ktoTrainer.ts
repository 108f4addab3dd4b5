/** Kahneman-Tversky Optimization, arXiv:2402.01306, with TRL's interface. */
import type { CausalLM } from "../../model/index.js";
import { Trainer } from "../loop/trainer.js";
import { type TrainerInput, evalSetsOf, policyOf, referenceOf, tokenizerOf } from "../loop/trainerInput.js";
import { KTOConfig } from "../options/ktoConfig.js";
import { KTOMethod } from "./ktoMethod.js";

/** Rows are `{prompt, completion, label}`, or preference rows, which are unpaired. */
export interface KTOTrainerOptions extends TrainerInput<KTOConfig> {
  /** The reference; by default the policy as it is before the first step (with a fresh adapter that is the model without it). */
  ref_model?: CausalLM;
}

export class KTOTrainer extends Trainer<KTOConfig> {
  /** Tokenises the data; the model's weights are read when training starts.
   *  @throws ConfigError, DataError */
  constructor(options: KTOTrainerOptions) {
    const { model, ref_model, args = new KTOConfig(), train_dataset, peft_config } = options;
    const tokenizer = tokenizerOf(options, "KTOTrainer");
    const method = new KTOMethod({
      model: policyOf(model, peft_config, args.seed, "KTOTrainer"),
      reference: referenceOf(options),
      startsAtReference: ref_model === undefined,
      args,
      tokenizer,
      train: train_dataset,
      evalSets: evalSetsOf(options, "KTOTrainer"),
    });
    super(method, args, tokenizer, options);
  }
}
