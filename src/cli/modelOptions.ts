import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineOptions, type OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";
import type { CausalLM } from "../model/index.js";

/** Which model and how it is held, with the names and defaults of TRL's ModelConfig. */
export const MODEL_OPTIONS = defineOptions("Model", {
  model_name_or_path: {
    type: "string",
    required: true,
    placeholder: "DIR",
    help: "Folder of a Qwen2 or Qwen2.5 checkpoint with its tokenizer, or its id on the Hugging Face Hub. The folder of a LoRA adapter loads its base model too: the adapter is trained on, or with --use_peft stays as it is under a fresh one",
  },
  model_revision: {
    type: "string",
    default: null,
    nullable: true,
    help: "Branch, tag or commit of a model on the Hub; null for its main branch",
  },
  load_in_4bit: {
    type: "boolean",
    default: false,
    help: "QLoRA, arXiv:2305.14314: hold the linear layers of the base model in 4 bits; needs an adapter to train",
  },
  bnb_4bit_quant_type: { type: "string", choices: ["nf4"], default: "nf4", help: "The 16 levels of load_in_4bit" },
  use_bnb_nested_quant: { type: "boolean", default: false, help: "With load_in_4bit, quantise the scales of the blocks too" },
  load_in_8bit: {
    type: "boolean",
    default: false,
    help: "LLM.int8(), arXiv:2208.07339: hold the linear layers of the base model in 8 bits and multiply whole numbers, faster than float32; needs an adapter to train",
  },
  bnb_4bit_quant_storage: { removed: "the packed bytes are the same bytes under any name" },
  dtype: { removed: "training computes in float32, which is more exact", off: [null, "float32", "auto"] },
  torch_dtype: { removed: "training computes in float32, which is more exact", off: [null, "float32", "auto"] },
  attn_implementation: { removed: "there is one attention, written for packed sequences" },
});

type ModelOptions = OptionValues<(typeof MODEL_OPTIONS)["entries"]>;

/** @throws ConfigError `option_conflict` @param names options that were given at all */
export function checkModelOptions({ load_in_4bit, load_in_8bit }: ModelOptions, names: ReadonlySet<string>, where: string): void {
  const idle = ["bnb_4bit_quant_type", "use_bnb_nested_quant"].find((name) => names.has(name));
  if (!load_in_4bit && idle !== undefined) throw new ConfigError("option_conflict", `${where}: --${idle} needs --load_in_4bit`);
  if (load_in_4bit && load_in_8bit)
    throw new ConfigError("option_conflict", `${where}: --load_in_4bit and --load_in_8bit exclude each other; give one`);
}

/** The model, or the adapter with its base, that the options name. */
export async function loadModel(options: ModelOptions): Promise<CausalLM> {
  const { model_name_or_path: path, model_revision, load_in_4bit, load_in_8bit, bnb_4bit_quant_type, use_bnb_nested_quant } = options;
  const { AutoModelForCausalLM, AutoPeftModelForCausalLM, BitsAndBytesConfig } = await import("../model/index.js");
  const quantization_config = load_in_4bit
    ? new BitsAndBytesConfig({ load_in_4bit, bnb_4bit_quant_type, bnb_4bit_use_double_quant: use_bnb_nested_quant })
    : load_in_8bit
      ? new BitsAndBytesConfig({ load_in_8bit })
      : undefined;
  const how = { revision: model_revision ?? undefined, ...(quantization_config === undefined ? {} : { quantization_config }) };
  const isAdapter = existsSync(join(path, "adapter_config.json")) && !existsSync(join(path, "config.json"));
  return isAdapter ? AutoPeftModelForCausalLM.from_pretrained(path, how) : AutoModelForCausalLM.from_pretrained(path, how);
}
