import { ModelError, nearestName } from "../errors.js";
import { parseConfig, type Qwen2Config } from "./config.js";
import type { JsonObject } from "./pythonJson.js";

/** The seven linear projections of a layer, by the names adapters use, with their place in the layer. */
export const PROJECTIONS = {
  q_proj: "self_attn.q_proj",
  k_proj: "self_attn.k_proj",
  v_proj: "self_attn.v_proj",
  o_proj: "self_attn.o_proj",
  gate_proj: "mlp.gate_proj",
  up_proj: "mlp.up_proj",
  down_proj: "mlp.down_proj",
} as const;

export type ProjectionName = keyof typeof PROJECTIONS;
export const PROJECTION_NAMES = Object.keys(PROJECTIONS) as ProjectionName[];

/** Shape of each projection's weight: [outputs, inputs], the same in every layer. */
export function projectionShapes(config: Qwen2Config): Record<ProjectionName, [outputs: number, inputs: number]> {
  const { hidden_size: hidden, intermediate_size: intermediate, head_dim } = config;
  const queries = config.num_attention_heads * head_dim;
  const keys = config.num_key_value_heads * head_dim;
  return {
    q_proj: [queries, hidden],
    k_proj: [keys, hidden],
    v_proj: [keys, hidden],
    o_proj: [hidden, queries],
    gate_proj: [intermediate, hidden],
    up_proj: [intermediate, hidden],
    down_proj: [hidden, intermediate],
  };
}

/** Name and shape of every parameter, in the order of transformers' `state_dict()`. Qwen2 has biases on q, k and v alone;
 *  `lm_head.weight` is there only when it is not tied to the embedding. */
export function parameterShapes(config: Qwen2Config): Map<string, number[]> {
  const { hidden_size: hidden, vocab_size: vocabulary } = config;
  const projections = projectionShapes(config);
  const shapes = new Map<string, number[]>([["model.embed_tokens.weight", [vocabulary, hidden]]]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}.`;
    for (const name of PROJECTION_NAMES) {
      const [outputs, inputs] = projections[name];
      shapes.set(`${prefix}${PROJECTIONS[name]}.weight`, [outputs, inputs]);
      if (name === "q_proj" || name === "k_proj" || name === "v_proj") shapes.set(`${prefix}${PROJECTIONS[name]}.bias`, [outputs]);
    }
    shapes.set(`${prefix}input_layernorm.weight`, [hidden]);
    shapes.set(`${prefix}post_attention_layernorm.weight`, [hidden]);
  }
  shapes.set("model.norm.weight", [hidden]);
  if (!config.tie_word_embeddings) shapes.set("lm_head.weight", [vocabulary, hidden]);
  return shapes;
}

/** Numbers in all parameters; a tied head counts once. */
export function countParameters(config: Qwen2Config): number {
  let total = 0;
  for (const shape of parameterShapes(config).values()) total += shape.reduce((product, size) => product * size, 1);
  return total;
}

/** [hidden, intermediate, layers, heads, key/value heads, vocabulary, tied] of the published models, from their config.json files.
 *  Qwen2 and Qwen2.5 of one size, base and Instruct, have the same shape. */
const SIZES = {
  "0.5B": [896, 4864, 24, 14, 2, 151936, true],
  "1.5B": [1536, 8960, 28, 12, 2, 151936, true],
  "3B": [2048, 11008, 36, 16, 2, 151936, true],
  "7B": [3584, 18944, 28, 28, 4, 152064, false],
} as const;

const PUBLISHED = {
  "Qwen2-0.5B": "0.5B",
  "Qwen2-1.5B": "1.5B",
  "Qwen2-7B": "7B",
  "Qwen2.5-0.5B": "0.5B",
  "Qwen2.5-1.5B": "1.5B",
  "Qwen2.5-3B": "3B",
  "Qwen2.5-7B": "7B",
} as const satisfies Record<string, keyof typeof SIZES>;

export type PublishedShape = keyof typeof PUBLISHED;
export const PUBLISHED_SHAPES = Object.keys(PUBLISHED) as PublishedShape[];

/** The config of a published Qwen2 / Qwen2.5 model, laid out as on the Hub.
 *  @param name "Qwen2-0.5B" and the like; "Qwen/" before and "-Instruct" behind are allowed
 *  @param changes keys to set otherwise, e.g. `{ vocab_size: 4096 }`
 *  @throws ModelError `unknown_shape`, or as `parseConfig` when a change is impossible */
export function publishedConfig(name: string, changes: JsonObject = {}): Qwen2Config {
  const plain = name.replace(/^Qwen\//, "").replace(/-Instruct$/, "");
  if (!Object.hasOwn(PUBLISHED, plain)) {
    const nearest = nearestName(plain, PUBLISHED_SHAPES);
    const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    throw new ModelError("unknown_shape", `publishedConfig: the shape must be one of ${PUBLISHED_SHAPES.join(", ")}, got "${name}"${hint}`);
  }
  const [hidden, intermediate, layers, heads, keyValueHeads, vocabulary, tied] = SIZES[PUBLISHED[plain as PublishedShape]];
  const raw: JsonObject = {
    architectures: ["Qwen2ForCausalLM"],
    attention_dropout: 0,
    // <|endoftext|> and <|im_end|> of the published tokenizers.
    bos_token_id: 151643,
    eos_token_id: name.endsWith("-Instruct") ? 151645 : 151643,
    hidden_act: "silu",
    hidden_size: hidden,
    initializer_range: 0.02,
    intermediate_size: intermediate,
    max_position_embeddings: 32768,
    max_window_layers: layers,
    model_type: "qwen2",
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: keyValueHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 1000000,
    sliding_window: null,
    tie_word_embeddings: tied,
    torch_dtype: "bfloat16",
    use_cache: true,
    use_sliding_window: false,
    vocab_size: vocabulary,
    ...changes,
  };
  return parseConfig(raw, `config of ${plain}`);
}
