import { defineOptions, type OptionInput, type OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";

/** The options of `BitsAndBytesConfig`, with the names and defaults of transformers' class of that name. */
export const BITS_AND_BYTES_OPTIONS = defineOptions("BitsAndBytesConfig", {
  load_in_4bit: {
    type: "boolean",
    default: false,
    help: "Hold the linear layers in 4 bits (QLoRA, arXiv:2305.14314); embeddings, norms, biases and the head are not quantised",
  },
  load_in_8bit: {
    type: "boolean",
    default: false,
    help: "Hold the linear layers in 8 bits and multiply whole numbers in the forward pass (LLM.int8(), arXiv:2208.07339), which is faster than float32; embeddings, norms, biases and the head are not quantised",
  },
  llm_int8_threshold: {
    type: "number",
    default: 6,
    min: 0,
    help: "With load_in_8bit, the magnitude from which on an input counts as an outlier; columns that have one are multiplied in float32. 0 rounds all columns",
  },
  llm_int8_backward: {
    type: "string",
    default: "int8",
    choices: ["int8", "int16", "float32"],
    help: "Preflab's own. With load_in_8bit, how gradients are multiplied by the weights: rounded to 8 bits by row (as in SwitchBack, arXiv:2304.13013), which is fastest, or to 16, which is as exact as bitsandbytes' half precision, each with a second byte a weight, or in float32, without it",
  },
  llm_int8_skip_modules: {
    type: "string",
    list: true,
    nullable: true,
    default: null,
    help: 'Modules that stay unquantised, by path, end of path ("down_proj") or beginning ("model.layers.0"); the head never is, named or not',
  },
  llm_int8_enable_fp32_cpu_offload: { type: "boolean", default: false, help: "Concerns splitting over a GPU and a CPU; no effect" },
  llm_int8_has_fp16_weight: {
    type: "boolean",
    default: false,
    rule: {
      text: "false (weights beside the codes would have to be trained, and a quantised model is trained through an adapter)",
      accepts: (value: boolean) => !value,
    },
    help: "Keep 16-bit weights beside the codes, to train them; not implemented",
  },
  bnb_4bit_compute_dtype: {
    type: "string",
    nullable: true,
    default: null,
    rule: {
      text: '"float32" (products with 4-bit weights are computed in float32, which bfloat16 and float16 would make less exact and, on a CPU, not faster)',
      accepts: (value: string) => value === "float32",
    },
    help: "Number format of the products; null means float32, the one there is",
  },
  bnb_4bit_quant_type: {
    type: "string",
    default: "fp4",
    choices: ["fp4", "nf4"],
    help: 'The 16 levels; "fp4", bitsandbytes\' default, is not implemented, so "nf4" must be given',
  },
  bnb_4bit_use_double_quant: {
    type: "boolean",
    default: false,
    help: "Quantise the scales of the blocks too: 4.13 bits a weight instead of 4.5",
  },
  bnb_4bit_quant_storage: {
    type: "string",
    nullable: true,
    default: null,
    choices: ["uint8", "int8", "float16", "bfloat16", "float32", "float64"],
    help: "As what bitsandbytes declares the packed bytes; they are the same bytes, here always uint8",
  },
});

export type BitsAndBytesConfigInput = OptionInput<typeof BITS_AND_BYTES_OPTIONS.entries>;
type BitsAndBytesValues = OptionValues<typeof BITS_AND_BYTES_OPTIONS.entries>;

/**
 * How the linear layers of a model are quantised while it is loaded. Option names and defaults are transformers', but for
 * `llm_int8_backward`, which is ours. Two kinds: `{ load_in_4bit: true, bnb_4bit_quant_type: "nf4" }`, with or without double
 * quantisation, and `{ load_in_8bit: true }`.
 */
export class BitsAndBytesConfig implements BitsAndBytesValues {
  readonly load_in_4bit: boolean;
  readonly load_in_8bit: boolean;
  readonly llm_int8_threshold: number;
  readonly llm_int8_backward: BitsAndBytesValues["llm_int8_backward"];
  readonly llm_int8_skip_modules: string[] | null;
  readonly llm_int8_enable_fp32_cpu_offload: boolean;
  readonly llm_int8_has_fp16_weight: boolean;
  readonly bnb_4bit_compute_dtype: BitsAndBytesValues["bnb_4bit_compute_dtype"];
  readonly bnb_4bit_quant_type: BitsAndBytesValues["bnb_4bit_quant_type"];
  readonly bnb_4bit_use_double_quant: boolean;
  readonly bnb_4bit_quant_storage: BitsAndBytesValues["bnb_4bit_quant_storage"];

  /** @throws ConfigError for an unknown name, an impossible value, or a kind of quantisation that is not implemented */
  constructor(input: BitsAndBytesConfigInput = {}) {
    const values = BITS_AND_BYTES_OPTIONS.resolve(input, { where: "BitsAndBytesConfig" });
    if (values.load_in_4bit && values.load_in_8bit)
      throw new ConfigError("option_conflict", "BitsAndBytesConfig: load_in_4bit and load_in_8bit exclude each other, got both; set one");
    if (values.load_in_4bit && values.bnb_4bit_quant_type === "fp4")
      throw new ConfigError(
        "option_unsupported",
        'BitsAndBytesConfig: bnb_4bit_quant_type must be "nf4", got "fp4", which is bitsandbytes\' default and less exact; pass bnb_4bit_quant_type: "nf4"',
      );
    this.load_in_4bit = values.load_in_4bit;
    this.load_in_8bit = values.load_in_8bit;
    this.llm_int8_threshold = values.llm_int8_threshold;
    this.llm_int8_backward = values.llm_int8_backward;
    this.llm_int8_skip_modules = values.llm_int8_skip_modules;
    this.llm_int8_enable_fp32_cpu_offload = values.llm_int8_enable_fp32_cpu_offload;
    this.llm_int8_has_fp16_weight = values.llm_int8_has_fp16_weight;
    this.bnb_4bit_compute_dtype = values.bnb_4bit_compute_dtype;
    this.bnb_4bit_quant_type = values.bnb_4bit_quant_type;
    this.bnb_4bit_use_double_quant = values.bnb_4bit_use_double_quant;
    this.bnb_4bit_quant_storage = values.bnb_4bit_quant_storage;
  }

  /** All options as plain JSON. */
  to_dict(): Record<string, unknown> {
    return BITS_AND_BYTES_OPTIONS.toJson(Object.fromEntries(Object.entries(this)));
  }
}
