import { defineOptions, type OptionInput, type OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";
import type { Json, JsonObject } from "./pythonJson.js";
import { PROJECTION_NAMES, type ProjectionName } from "./shapes.js";

/** The options of `LoraConfig`, with the names and defaults of PEFT's class of that name. (TRL's *command line* has its own: r 16, alpha 32, dropout 0.05.) */
export const LORA_OPTIONS = defineOptions("LoraConfig", {
  r: { type: "integer", default: 8, min: 1, help: "Rank of the two small matrices beside each adapted weight" },
  lora_alpha: {
    type: "number",
    default: 8,
    exclusiveMin: 0,
    help: "The adapter's output is multiplied by lora_alpha / r, or by lora_alpha / sqrt(r) with use_rslora",
  },
  lora_dropout: {
    type: "number",
    default: 0,
    min: 0,
    exclusiveMax: 1,
    help: "Probability of dropping an input of the adapter while training",
  },
  target_modules: {
    type: "string",
    list: true,
    nullable: true,
    default: null,
    choices: [...PROJECTION_NAMES, "all-linear"],
    help: 'Which projections get an adapter; "all-linear" stands for all seven, null for q_proj and v_proj',
  },
  bias: { type: "string", default: "none", choices: ["none"], help: "Biases are never trained" },
  use_rslora: { type: "boolean", default: false, help: "Rank-stabilised scale, arXiv:2312.03732" },
  init_lora_weights: {
    type: "boolean",
    default: true,
    rule: { text: "true (A Kaiming-uniform, B zero)", accepts: (value: boolean) => value },
    help: "How A and B start; there is one way",
  },
  task_type: { type: "string", default: "CAUSAL_LM", choices: ["CAUSAL_LM"], help: "What the adapted model is for" },
  base_model_name_or_path: {
    type: "string",
    nullable: true,
    default: null,
    help: "The model the adapter belongs to, as written to adapter_config.json",
  },
});

export type LoraConfigInput = OptionInput<typeof LORA_OPTIONS.entries>;
type LoraValues = OptionValues<typeof LORA_OPTIONS.entries>;

/** PEFT's keys that change what is computed and are not implemented. Their "off" values are accepted. */
const UNSUPPORTED: readonly string[] = [
  "alora_invocation_tokens",
  "alpha_pattern",
  "arrow_config",
  "corda_config",
  "ensure_weight_tying",
  "eva_config",
  "exclude_modules",
  "fan_in_fan_out",
  "kasa_config",
  "layer_replication",
  "layers_pattern",
  "layers_to_transform",
  "loftq_config",
  "lora_bias",
  "lora_ga_config",
  "megatron_config",
  "modules_to_save",
  "monteclora_config",
  "rank_pattern",
  "target_parameters",
  "trainable_token_indices",
  "use_bdlora",
  "use_dora",
  "use_qalora",
  "velora_config",
];

/** PEFT's keys that say nothing about the numbers as long as the unsupported ones are off. */
const INFORMATION: readonly string[] = [
  "auto_mapping",
  "inference_mode",
  "megatron_core",
  "peft_type",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
];

/** The content of an adapter_config.json as PEFT 0.21 writes it for a plain LoRA. */
const WRITTEN: JsonObject = {
  ...Object.fromEntries(UNSUPPORTED.map((key) => [key, null])),
  alpha_pattern: {},
  auto_mapping: null,
  ensure_weight_tying: false,
  fan_in_fan_out: false,
  inference_mode: true,
  loftq_config: {},
  lora_bias: false,
  megatron_core: "megatron.core",
  peft_type: "LORA",
  peft_version: "0.21.0",
  qalora_group_size: 16,
  rank_pattern: {},
  revision: null,
  use_dora: false,
  use_qalora: false,
};

/**
 * Low-rank adapters, arXiv:2106.09685: a frozen weight W [out, in] gets A [r, in] and B [out, r], and y = W x + scaling · B A x.
 * Option names, defaults and the JSON are PEFT's.
 */
export class LoraConfig implements LoraValues {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly target_modules: LoraValues["target_modules"];
  readonly bias: "none";
  readonly use_rslora: boolean;
  readonly init_lora_weights: boolean;
  readonly task_type: "CAUSAL_LM";
  readonly base_model_name_or_path: string | null;
  /** Keys of the file this was read from; what is only information there is kept when it is written again. */
  readonly #raw: JsonObject;

  /** @throws ConfigError for an unknown name, an impossible value, or a feature of PEFT that is not supported */
  constructor(input: LoraConfigInput = {}) {
    const { known, rest } = sortKeys(input, "LoraConfig");
    const values = LORA_OPTIONS.resolve(known, { where: "LoraConfig" });
    if (values.target_modules !== null && values.target_modules.length > 1 && values.target_modules.includes("all-linear")) {
      throw new ConfigError(
        "option_range",
        `LoraConfig: target_modules must be names or "all-linear" alone, got ${values.target_modules.join(", ")}; drop one of the two`,
      );
    }
    this.r = values.r;
    this.lora_alpha = values.lora_alpha;
    this.lora_dropout = values.lora_dropout;
    this.target_modules = values.target_modules === null ? null : [...new Set(values.target_modules)];
    this.bias = values.bias;
    this.use_rslora = values.use_rslora;
    this.init_lora_weights = values.init_lora_weights;
    this.task_type = values.task_type;
    this.base_model_name_or_path = values.base_model_name_or_path;
    this.#raw = rest;
  }

  /** What the adapter's output is multiplied by. */
  get scaling(): number {
    return this.lora_alpha / (this.use_rslora ? Math.sqrt(this.r) : this.r);
  }

  /** The adapted projections, in the order of the layer. */
  get targets(): ProjectionName[] {
    const names: readonly string[] = this.target_modules ?? ["q_proj", "v_proj"];
    return PROJECTION_NAMES.filter((name) => names.includes("all-linear") || names.includes(name));
  }

  /** The content of adapter_config.json. */
  toJson(): JsonObject {
    return {
      ...WRITTEN,
      ...this.#raw,
      ...this.#options(),
      // Python's all-linear would also be resolved: PEFT writes the names it found.
      target_modules: this.target_modules === null || this.target_modules.includes("all-linear") ? this.targets : this.target_modules,
    };
  }

  #options(): JsonObject {
    return LORA_OPTIONS.toJson(Object.fromEntries(Object.entries(this))) as JsonObject;
  }

  /** The same with some options changed. @throws ConfigError as the constructor */
  with(changes: LoraConfigInput): LoraConfig {
    return new LoraConfig({ ...this.#raw, ...this.#options(), ...changes });
  }
}

/** Splits into this class's own options and PEFT's other keys; of those, only "off" and informational ones may be there. */
function sortKeys(input: Record<string, Json | undefined>, where: string): { known: Record<string, Json>; rest: JsonObject } {
  const known: Record<string, Json> = {};
  const rest: JsonObject = {};
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined) continue;
    if (UNSUPPORTED.includes(key)) {
      if (!isOff(value))
        throw new ConfigError("option_unsupported", `${where}: ${key} is not supported, got ${JSON.stringify(value)}; leave it out`);
      rest[key] = value;
    } else if (INFORMATION.includes(key)) {
      rest[key] = value;
    } else {
      known[key] = value;
    }
  }
  return { known, rest };
}

/** Whether a value means that a feature is not used. */
export function isOff(value: Json): boolean {
  if (value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
