import { defineOptions, type OptionValues } from "../config/index.js";
import type { CausalLM } from "../model/index.js";

/** Which model, with the names of TRL's ModelConfig. */
export const MODEL_OPTIONS = defineOptions("Model", {
  model_name_or_path: {
    type: "string",
    required: true,
    placeholder: "DIR",
    help: "Folder of a Qwen2 or Qwen2.5 checkpoint with its tokenizer, or its id on the Hugging Face Hub",
  },
  model_revision: {
    type: "string",
    default: null,
    nullable: true,
    help: "Branch, tag or commit of a model on the Hub; null for its main branch",
  },
});

type ModelOptions = OptionValues<(typeof MODEL_OPTIONS)["entries"]>;

export async function loadModel({ model_name_or_path, model_revision }: ModelOptions): Promise<CausalLM> {
  const { AutoModelForCausalLM } = await import("../model/index.js");
  return AutoModelForCausalLM.from_pretrained(model_name_or_path, { revision: model_revision ?? undefined });
}
