/**
 * Qwen2 as TensorFlow.js functions of named weights. Names and shapes are the checkpoint's; see transformers'
 * modeling_qwen2.py. Everything here runs eagerly or traced.
 *
 * T tokens, D hidden, F feed-forward, H heads, K key/value heads, hd head size, V vocabulary.
 */
import {
  type BlockShape,
  type TensorMap,
  type TokenRange,
  blockAttention,
  blockMasks,
  groupedQueryAttention,
  recomputed,
  rmsNorm,
  rotary,
  swiglu,
  tf,
} from "../compile/index.js";
import { baseProducts, embeddingRows } from "./baseWeight.js";
import type { Qwen2Config } from "./config.js";
import { type Adapter, adapted } from "./lora.js";
import { PROJECTIONS, type ProjectionName } from "./shapes.js";

/** One sequence, or several side by side that `mask` keeps apart. */
export interface Sequence {
  /** Token ids, shape [T] int32. */
  readonly ids: tf.Tensor1D;
  /** Rotary angles of the tokens' positions, shape [T, hd/2] each. */
  readonly cos: tf.Tensor2D;
  readonly sin: tf.Tensor2D;
}

/** Attention of one layer: q [T, H·hd] and k, v [T, K·hd] after rotation → [T, H·hd]; in the last layer q may have the last rows only. */
export interface Attend {
  /** @param again `kept`, when a layer is computed once more in the backward pass */
  (layer: number, q: tf.Tensor2D, k: tf.Tensor2D, v: tf.Tensor2D, again?: readonly tf.Tensor[]): tf.Tensor2D;
  /** Intermediate results that it needs in every layer. */
  readonly kept?: readonly tf.Tensor[];
}

export interface ForwardOptions {
  readonly adapter?: Adapter;
  /** Added to the embeddings, shape [T, D]: NEFTune's noise in training. */
  readonly noise?: tf.Tensor2D | undefined;
  /** Gradient checkpointing: names of the weights that want gradients. Each layer then keeps its input alone for the backward pass. */
  readonly recompute?: ReadonlySet<string> | undefined;
  /** The tokens whose final states are wanted, default all: the others are not computed further than the last layer's keys and values. */
  readonly wanted?: readonly TokenRange[] | undefined;
  /** Called with the embeddings, then with every layer's output (the last one normalised), as transformers' `hidden_states`. */
  readonly onHidden?: (hidden: tf.Tensor2D) => void;
}

/** Plain attention under a mask [T, T], for training and prefill. */
export function maskedAttention(config: Qwen2Config, mask: tf.Tensor2D): Attend {
  const shape = { heads: config.num_attention_heads, kvHeads: config.num_key_value_heads };
  const attend: Attend = (_layer, q, k, v, again) => groupedQueryAttention(q, k, v, (again?.[0] as tf.Tensor2D | undefined) ?? mask, shape);
  return Object.assign(attend, { kept: [mask] });
}

/**
 * Attention of sequences of blocks, `prompt | completion | completion`, that each continue the first.
 * @param sequences tokens of each block of each sequence, at least 1
 */
export function blockwiseAttention(config: Qwen2Config, sequences: BlockShape["sequences"]): Attend {
  const shape = { sequences, heads: config.num_attention_heads, kvHeads: config.num_key_value_heads };
  const masks = blockMasks(shape);
  const attend: Attend = (_layer, q, k, v, again) => blockAttention(q, k, v, (again as tf.Tensor3D[] | undefined) ?? masks, shape);
  return Object.assign(attend, { kept: masks });
}

/**
 * The transformer without its head.
 * @param weights every parameter by its checkpoint name
 * @returns the normalised hidden states of the tokens that are wanted, in order, shape [T, D] for all
 */
export function qwen2Hidden(
  config: Qwen2Config,
  weights: TensorMap,
  sequence: Sequence,
  attend: Attend,
  options: ForwardOptions = {},
): tf.Tensor2D {
  const weight = (name: string): tf.Tensor => weights[name]!;
  let x = embeddingRows(weights, "model.embed_tokens.weight", sequence.ids); // [T, D]
  if (options.noise !== undefined) x = tf.add(x, options.noise);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    options.onHidden?.(x);
    const run = (input: tf.Tensor2D, changed: TensorMap, kept?: readonly tf.Tensor[]): tf.Tensor2D => {
      const adapter = options.adapter && { ...options.adapter, weights: { ...options.adapter.weights, ...changed } };
      const attendHere: Attend = (at, q, k, v) => attend(at, q, k, v, kept);
      const wanted = layer === config.num_hidden_layers - 1 ? options.wanted : undefined;
      return decoderLayer(config, { ...weights, ...changed }, sequence, attendHere, layer, input, adapter, wanted);
    };
    if (options.recompute === undefined) {
      x = run(x, {});
      continue;
    }
    const all: TensorMap = { ...weights, ...options.adapter?.weights };
    const names = [...options.recompute].filter((name) => name.includes(`layers.${layer}.`));
    x = recomputed(
      (input, tensors, kept) => run(input, Object.fromEntries(names.map((name, i) => [name, tensors[i]!])), kept),
      x,
      names.map((name) => all[name]!),
      attend.kept,
    );
  }
  const normalised = rmsNorm(x, weight("model.norm.weight") as tf.Tensor1D, config.rms_norm_eps);
  options.onHidden?.(normalised);
  return normalised;
}

/** Some rows of a tensor, [T, n] → [Σ count, n]. */
function rowsAt(x: tf.Tensor2D, ranges: readonly TokenRange[]): tf.Tensor2D {
  const parts = ranges.map(({ start, count }) => tf.slice(x, [start, 0], [count, x.shape[1]]));
  return parts.length === 1 ? parts[0]! : tf.concat(parts);
}

/** One layer: attention and feed-forward, each added to its input. @param x shape [T, D] @returns the rows that are wanted */
function decoderLayer(
  config: Qwen2Config,
  weights: TensorMap,
  sequence: Sequence,
  attend: Attend,
  layer: number,
  x: tf.Tensor2D,
  adapter: Adapter | undefined,
  ranges: readonly TokenRange[] | undefined,
): tf.Tensor2D {
  const wanted = (rows: tf.Tensor2D): tf.Tensor2D => (ranges === undefined ? rows : rowsAt(rows, ranges));
  const prefix = `model.layers.${layer}.`;
  const norm = (input: tf.Tensor2D, name: string): tf.Tensor2D =>
    rmsNorm(input, weights[`${prefix}${name}.weight`] as tf.Tensor1D, config.rms_norm_eps);
  const ofWanted =
    adapter?.masks === undefined ? adapter : { ...adapter, masks: mapped(adapter.masks, (mask) => wanted(mask as tf.Tensor2D)) };
  const projectAll = (input: tf.Tensor2D, of: Adapter | undefined, ...names: ProjectionName[]): tf.Tensor2D[] =>
    linears(
      weights,
      names.map((name) => `${prefix}${PROJECTIONS[name]}`),
      input,
      of,
    );
  const project = (input: tf.Tensor2D, ...names: ProjectionName[]): tf.Tensor2D[] => projectAll(input, ofWanted, ...names);

  const attended = norm(x, "input_layernorm");
  const names = ["q_proj", "k_proj", "v_proj"] as const;
  const [queries, keys, v] =
    ranges === undefined
      ? project(attended, ...names)
      : [...project(wanted(attended), "q_proj"), ...projectAll(attended, adapter, "k_proj", "v_proj")];
  const q = rotary(queries!, wanted(sequence.cos), wanted(sequence.sin));
  const k = rotary(keys!, sequence.cos, sequence.sin);
  const between = tf.add<tf.Tensor2D>(wanted(x), project(attend(layer, q, k, v!), "o_proj")[0]!);

  const fed = norm(between, "post_attention_layernorm");
  const [gate, up] = project(fed, "gate_proj", "up_proj");
  return tf.add(between, project(swiglu(gate!, up!), "down_proj")[0]!);
}

function mapped(tensors: TensorMap, change: (tensor: tf.Tensor) => tf.Tensor): TensorMap {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));
}

/** `x Wᵀ + b` of several weights, with the adapter's low-rank parts where it has them. */
function linears(weights: TensorMap, paths: readonly string[], x: tf.Tensor2D, adapter?: Adapter): tf.Tensor2D[] {
  const products = baseProducts(weights, paths, x);
  return paths.map((path, i) => {
    const bias = weights[`${path}.bias`];
    const y = bias === undefined ? products[i]! : (tf.add(products[i]!, bias) as tf.Tensor2D);
    return adapter === undefined ? y : adapted(adapter, weights, path, x, y);
  });
}
