/** What all trainers take: the same names as TRL's, checked the same way. */
import { noteOnce } from "../../config/index.js";
import { Dataset } from "../../data/index.js";
import { ConfigError } from "../../errors.js";
import { type CausalLM, type LoraConfig, PeftModel, Qwen2ForCausalLM, get_peft_model } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import type { TrainerCallback } from "./callbacks.js";

export interface TrainerInput<Config> {
  /** The policy: trained in place, or, with `peft_config`, frozen below a fresh adapter. */
  model: CausalLM;
  args?: Config;
  train_dataset: Dataset;
  /** One set, or several by name: their metrics are called `eval_NAME_…`. */
  eval_dataset?: Dataset | Readonly<Record<string, Dataset>>;
  /** The model's tokenizer. */
  processing_class?: PreTrainedTokenizer;
  /** The older name of `processing_class`. */
  tokenizer?: PreTrainedTokenizer;
  /** Train a fresh LoRA adapter instead of all weights. */
  peft_config?: LoraConfig;
  callbacks?: TrainerCallback[];
}

/** @throws ConfigError `processing_class` */
export function tokenizerOf({ processing_class, tokenizer }: TrainerInput<unknown>, where: string): PreTrainedTokenizer {
  if (tokenizer !== undefined) noteOnce(`${where}: tokenizer is called processing_class now; it is used`);
  const given = processing_class ?? tokenizer;
  if (given === undefined || (tokenizer !== undefined && processing_class !== undefined && tokenizer !== processing_class))
    throw new ConfigError(
      "processing_class",
      `${where}: processing_class must be the model's tokenizer, got ${given === undefined ? "none" : "another one as tokenizer"}; pass AutoTokenizer.from_pretrained(…) once`,
    );
  return given;
}

/** Evaluation sets by name; a single one has the empty name. */
export function evalSetsOf({ eval_dataset }: TrainerInput<unknown>, where: string): Record<string, Dataset> {
  if (eval_dataset === undefined) return {};
  if (eval_dataset instanceof Dataset) return { "": eval_dataset };
  const sets = Object.entries(eval_dataset);
  if (sets.length === 0 || sets.some(([name, set]) => name === "" || !(set instanceof Dataset)))
    throw new ConfigError(
      "eval_dataset",
      `${where}: eval_dataset must be a data set or an object of named ones, got names ${JSON.stringify(sets.map(([name]) => name))}`,
    );
  return { ...eval_dataset };
}

/** What reference log-probs come from: the given model, with a fresh adapter the model below it, or undefined for the policy before the first step. */
export function referenceOf({ model, ref_model, peft_config }: TrainerInput<unknown> & { ref_model?: CausalLM }): CausalLM | undefined {
  // A fresh adapter starts as the model below it, which also has the files that the reference cache is keyed by.
  return ref_model ?? (peft_config === undefined ? undefined : model);
}

/** What is trained: the model, or a fresh adapter on it; adapters that it has already stay as they are beneath. @throws ConfigError `model_type` */
export function policyOf(model: CausalLM, peft_config: LoraConfig | undefined, seed: number, where: string): CausalLM {
  if (peft_config === undefined) return model;
  if (!(model instanceof Qwen2ForCausalLM || model instanceof PeftModel))
    throw new ConfigError("model_type", `${where}: peft_config needs a model from AutoModelForCausalLM or PeftModel`);
  return get_peft_model(model, peft_config, { seed });
}
