/**
 * Runs a model token by token with a key/value cache. The cache stays in the engine's store, one tensor [K, L, hd] per
 * layer for keys and one for values; each step writes its own row and copies nothing else.
 */
import {
  type Engine,
  type HostTensor,
  type HostTensors,
  type InputSpec,
  type Program,
  type SliceTarget,
  type TensorMap,
  blockMask,
  hostTensor,
  rotaryAngles,
  tf,
} from "../compile/index.js";
import { type Attend, type CausalLM, headLogits, maskedAttention, qwen2Hidden } from "../model/index.js";

/** Prompts are padded to a multiple of this, caches to a multiple of `CACHE_STEP`: each size is compiled once. */
const PROMPT_STEP = 32;
const CACHE_STEP = 128;
/** Added to the scores of cache rows that are not filled yet. */
const HIDDEN = -1e9;

export class Decoder {
  readonly #model: CausalLM;
  readonly #engine: Engine;
  readonly #prefill: Program;
  readonly #step: Program;
  #sequences = 0;

  constructor(model: CausalLM, engine: Engine) {
    this.#model = model;
    this.#engine = engine;
    this.#prefill = prefillProgram(model, engine);
    this.#step = stepProgram(model, engine);
  }

  /**
   * Reads a prompt. @param ids at least one
   * @param room tokens that the sequence may grow to, prompt included
   */
  async start(ids: readonly number[], room: number): Promise<DecodedSequence> {
    const { config } = this.#model;
    const cacheTokens = roundUp(Math.max(room, roundUp(ids.length, PROMPT_STEP)), CACHE_STEP);
    const prefix = `cache.${this.#sequences++}/`;
    const shape = [config.num_key_value_heads, cacheTokens, config.head_dim];
    const names = cacheNames(config.num_hidden_layers);
    for (const name of names)
      await this.#engine.put(`${prefix}${name}`, hostTensor(new Float32Array(shape[0]! * shape[1]! * shape[2]!), shape));
    const sequence = new DecodedSequence({ model: this.#model, engine: this.#engine, step: this.#step, prefix, names, cacheTokens });
    const tokens = roundUp(ids.length, PROMPT_STEP);
    const padded = new Int32Array(tokens);
    padded.set(ids);
    const outputs = await this.#prefill.run(
      {
        ids: hostTensor(padded, [tokens]),
        last: hostTensor(Int32Array.of(ids.length - 1), [1]),
        ...angles(
          this.#model,
          padded.map((_, i) => i),
        ),
      },
      { write: sequence.targets(0) },
    );
    return sequence.started(ids.length, outputs["logits"]!.data as Float32Array);
  }

  async dispose(): Promise<void> {
    await this.#prefill.dispose();
    await this.#step.dispose();
  }
}

interface SequenceParts {
  readonly model: CausalLM;
  readonly engine: Engine;
  readonly step: Program;
  readonly prefix: string;
  readonly names: readonly string[];
  readonly cacheTokens: number;
}

/** One sequence that is being generated. */
export class DecodedSequence {
  readonly #parts: SequenceParts;
  readonly #mask: Float32Array;
  #length = 0;
  /** Of the token after the last one read, shape [V]. */
  logits = new Float32Array();

  constructor(parts: SequenceParts) {
    this.#parts = parts;
    this.#mask = new Float32Array(parts.cacheTokens + 1).fill(HIDDEN);
    // The last column is the new token itself.
    this.#mask[parts.cacheTokens] = 0;
  }

  started(length: number, logits: Float32Array): this {
    this.#length = length;
    this.#mask.fill(0, 0, length);
    this.logits = logits as Float32Array<ArrayBuffer>;
    return this;
  }

  /** Reads one more token. */
  async push(id: number): Promise<void> {
    const { model, step, prefix, names, cacheTokens } = this.#parts;
    const at = this.#length;
    const outputs = await step.run(
      {
        ids: hostTensor(Int32Array.of(id), [1]),
        mask: hostTensor(this.#mask.slice(), [1, cacheTokens + 1]),
        ...angles(model, [at]),
      },
      { write: this.targets(at), bind: Object.fromEntries(names.map((name) => [name, `${prefix}${name}`])) },
    );
    this.#mask[at] = 0;
    this.#length++;
    this.logits = outputs["logits"]!.data as Float32Array<ArrayBuffer>;
  }

  /** Where a run's new keys and values go. */
  targets(offset: number): Record<string, SliceTarget> {
    const { prefix, names } = this.#parts;
    return Object.fromEntries(names.map((name) => [`new.${name}`, { into: `${prefix}${name}`, axis: 1, offset }]));
  }

  async dispose(): Promise<void> {
    const { engine, prefix, names } = this.#parts;
    await engine.remove(...names.map((name) => `${prefix}${name}`));
  }
}

function cacheNames(layers: number): string[] {
  return Array.from({ length: layers }, (_, layer) => [`k.${layer}`, `v.${layer}`]).flat();
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

function angles({ config }: CausalLM, positions: ArrayLike<number>): HostTensors {
  const { cos, sin } = rotaryAngles(positions, config.head_dim, config.rope_theta);
  const shape = [positions.length, config.head_dim / 2];
  const table = (data: Float32Array): HostTensor => hostTensor(data, shape);
  return { cos: table(cos), sin: table(sin) };
}

/** [T, K·hd] → [K, T, hd], as it stands in the cache. */
function toCache(x: tf.Tensor2D, kvHeads: number, headSize: number): tf.Tensor3D {
  return tf.transpose(tf.reshape(x, [-1, kvHeads, headSize]), [1, 0, 2]) as tf.Tensor3D;
}

/** T tokens are bound by the padded prompt. Outputs: `logits` [1, V], `new.k.LAYER` and `new.v.LAYER` [K, T, hd]. */
function prefillProgram(model: CausalLM, engine: Engine): Program {
  const { config } = model;
  const half = config.head_dim / 2;
  const signature: Record<string, InputSpec> = {
    ...model.signature(),
    ids: { shape: ["T"], dtype: "int32" },
    last: { shape: [1], dtype: "int32" },
    cos: { shape: ["T", half] },
    sin: { shape: ["T", half] },
  };
  const prefill = (inputs: TensorMap): TensorMap => {
    const { weights, adapter } = model.tensors(inputs);
    const tokens = inputs["ids"]!.shape[0]!;
    const attention = maskedAttention(config, blockMask(tf.zeros([tokens], "int32"), tf.fill([tokens], -1, "int32")));
    const outputs: TensorMap = {};
    const attend: Attend = (layer, q, k, v) => {
      outputs[`new.k.${layer}`] = toCache(k, config.num_key_value_heads, config.head_dim);
      outputs[`new.v.${layer}`] = toCache(v, config.num_key_value_heads, config.head_dim);
      return attention(layer, q, k, v);
    };
    const hidden = qwen2Hidden(config, weights, inputs as never, attend, { adapter });
    outputs["logits"] = headLogits(config, weights, tf.gather(hidden, inputs["last"] as tf.Tensor1D) as tf.Tensor2D);
    return outputs;
  };
  return engine.compile(prefill, signature, { name: "prefill" });
}

/** L cache rows are bound by the stored cache. Outputs: `logits` [1, V], `new.k.LAYER` and `new.v.LAYER` [K, 1, hd]. */
function stepProgram(model: CausalLM, engine: Engine): Program {
  const { config } = model;
  const { num_key_value_heads: kvHeads, head_dim: headSize } = config;
  const half = headSize / 2;
  const signature: Record<string, InputSpec> = {
    ...model.signature(),
    ids: { shape: [1], dtype: "int32" },
    cos: { shape: [1, half] },
    sin: { shape: [1, half] },
    mask: { shape: [1, "L+1"] },
  };
  for (const name of cacheNames(config.num_hidden_layers)) signature[name] = { shape: [kvHeads, "L", headSize], role: "state" };
  const step = (inputs: TensorMap): TensorMap => {
    const { weights, adapter } = model.tensors(inputs);
    const outputs: TensorMap = {};
    const attend: Attend = (layer, q, k, v) => {
      const key = toCache(k, kvHeads, headSize); // [K, 1, hd]
      const value = toCache(v, kvHeads, headSize);
      outputs[`new.k.${layer}`] = key;
      outputs[`new.v.${layer}`] = value;
      return cachedAttention(q, key, value, inputs[`k.${layer}`] as tf.Tensor3D, inputs[`v.${layer}`] as tf.Tensor3D, inputs["mask"]!);
    };
    const hidden = qwen2Hidden(config, weights, inputs as never, attend, { adapter });
    outputs["logits"] = headLogits(config, weights, hidden);
    return outputs;
  };
  return engine.compile(step, signature, { name: "decode" });
}

/** Attention of one new token over the cache and itself. @param q [1, H·hd] @param mask [1, L + 1] @returns [1, H·hd] */
function cachedAttention(
  q: tf.Tensor2D,
  key: tf.Tensor3D,
  value: tf.Tensor3D,
  keys: tf.Tensor3D,
  values: tf.Tensor3D,
  mask: tf.Tensor,
): tf.Tensor2D {
  const [kvHeads, cacheTokens, headSize] = keys.shape;
  const queries = tf.mul(tf.reshape(q, [kvHeads, -1, headSize]), 1 / Math.sqrt(headSize)) as tf.Tensor3D; // [K, G, hd]
  const scores = tf.concat([tf.matMul(queries, keys, false, true), tf.matMul(queries, key, false, true)], 2); // [K, G, L + 1]
  const [overCache, own] = tf.split(tf.softmax(tf.add(scores, mask)) as tf.Tensor3D, [cacheTokens, 1], 2) as [tf.Tensor3D, tf.Tensor3D];
  const mixed = tf.add(tf.matMul(overCache, values), tf.mul(own, value)); // [K, G, hd]
  return tf.reshape(mixed, [1, -1]);
}
