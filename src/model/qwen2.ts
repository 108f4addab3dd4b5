/**
 * Qwen2 as TensorFlow.js functions of named weights. Names and shapes are the checkpoint's; see transformers'
 * modeling_qwen2.py. Everything here runs eagerly or traced.
 *
 * T tokens, D hidden, F feed-forward, H heads, K key/value heads, hd head size, V vocabulary.
 */
import {
  type TensorMap,
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

/** Attention of one layer: q [T, H·hd] and k, v [T, K·hd] after rotation → [T, H·hd]; in the last layer q may have fewer rows. */
export interface Attend {
  /** @param again `kept`, when a layer is computed once more in the backward pass */
  (layer: number, q: tf.Tensor2D, k: tf.Tensor2D, v: tf.Tensor2D, again?: readonly tf.Tensor[]): tf.Tensor2D;
  /** Intermediate results that it needs in every layer. */
  readonly kept?: readonly tf.Tensor[];
}

type Wanted = number | tf.Tensor1D;

export interface ForwardOptions {
  readonly adapter?: Adapter;
  /** Added to the embeddings, shape [T, D]: NEFTune's noise in training. */
  readonly noise?: tf.Tensor2D | undefined;
  /** Gradient checkpointing: of so many first layers only the input is kept for the backward pass. The later ones are needed there first. */
  readonly recompute?: { readonly layers: number; /** Names of the weights that want gradients. */ readonly trained: ReadonlySet<string> };
  /**
   * The tokens whose final states are wanted: those from this one on, or those at these indices, in rising order; default all. The others are not
   * computed further than the last layer's keys and values.
   */
  readonly wanted?: Wanted | undefined;
  /** Called with the embeddings, then with every layer's output (the last one normalised), as transformers' `hidden_states`. */
  readonly onHidden?: (hidden: tf.Tensor2D) => void;
}

/** Attention under a mask [T, T]. @param wanted as in `ForwardOptions`, when it is indices */
export function maskedAttention(config: Qwen2Config, mask: tf.Tensor2D, wanted?: tf.Tensor1D): Attend {
  const shape = { heads: config.num_attention_heads, kvHeads: config.num_key_value_heads };
  const kept = wanted === undefined ? [mask] : [mask, tf.gather(mask, wanted) as tf.Tensor2D];
  const attend: Attend = (_layer, q, k, v, again) => {
    const masks = (again ?? kept) as tf.Tensor2D[];
    return groupedQueryAttention(q, k, v, (q.shape[0] === k.shape[0] ? masks[0] : masks[1])!, shape);
  };
  return Object.assign(attend, { kept });
}

/**
 * Attention of a sequence of blocks, `prompt | completion | completion`, that each continue the first.
 * @param blocks tokens of each, at least 1
 */
export function blockwiseAttention(config: Qwen2Config, blocks: readonly number[]): Attend {
  const shape = { blocks, heads: config.num_attention_heads, kvHeads: config.num_key_value_heads };
  const masks = blockMasks(shape);
  const attend: Attend = (_layer, q, k, v, again) => blockAttention(q, k, v, (again as tf.Tensor3D[] | undefined) ?? masks, shape);
  return Object.assign(attend, { kept: masks });
}

/**
 * The transformer without its head.
 * @param weights every parameter by its checkpoint name
 * @returns the normalised hidden states of the W tokens that are wanted, shape [W, D]
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
    if (options.recompute === undefined || layer >= options.recompute.layers) {
      x = run(x, {});
      continue;
    }
    const all: TensorMap = { ...weights, ...options.adapter?.weights };
    const names = [...options.recompute.trained].filter((name) => name.includes(`layers.${layer}.`));
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

/** One layer: attention and feed-forward, each added to its input. @param x shape [T, D] @returns shape [W, D] */
function decoderLayer(
  config: Qwen2Config,
  weights: TensorMap,
  sequence: Sequence,
  attend: Attend,
  layer: number,
  x: tf.Tensor2D,
  adapter: Adapter | undefined,
  wantedRows: Wanted = 0,
): tf.Tensor2D {
  const all = wantedRows === 0;
  const wanted = (rows: tf.Tensor2D): tf.Tensor2D => {
    if (typeof wantedRows !== "number") return tf.gather(rows, wantedRows) as tf.Tensor2D;
    return all ? rows : tf.slice(rows, [wantedRows, 0], [rows.shape[0] - wantedRows, rows.shape[1]]);
  };
  const prefix = `model.layers.${layer}.`;
  const norm = (input: tf.Tensor2D, name: string): tf.Tensor2D =>
    rmsNorm(input, weights[`${prefix}${name}.weight`] as tf.Tensor1D, config.rms_norm_eps);
  const projectAs = (of: Adapter | undefined, input: tf.Tensor2D, ...names: ProjectionName[]): tf.Tensor2D[] =>
    linears(
      weights,
      names.map((name) => `${prefix}${PROJECTIONS[name]}`),
      input,
      of,
    );
  const adapterOfWanted = all || adapter?.masks === undefined ? adapter : { ...adapter, masks: mapped(adapter.masks, wanted) };
  const project = (input: tf.Tensor2D, ...names: ProjectionName[]): tf.Tensor2D[] => projectAs(adapterOfWanted, input, ...names);

  const attended = norm(x, "input_layernorm");
  const names = ["q_proj", "k_proj", "v_proj"] as const;
  const [queries, keys, v] = all
    ? project(attended, ...names)
    : [...project(wanted(attended), "q_proj"), ...projectAs(adapter, attended, "k_proj", "v_proj")];
  const q = rotary(queries!, wanted(sequence.cos), wanted(sequence.sin));
  const k = rotary(keys!, sequence.cos, sequence.sin);
  const between = tf.add<tf.Tensor2D>(wanted(x), project(attend(layer, q, k, v!), "o_proj")[0]!);

  const fed = norm(between, "post_attention_layernorm");
  const [gate, up] = project(fed, "gate_proj", "up_proj");
  return tf.add(between, project(swiglu(gate!, up!), "down_proj")[0]!);
}

function mapped(tensors: TensorMap, change: (tensor: tf.Tensor2D) => tf.Tensor2D): TensorMap {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor as tf.Tensor2D)]));
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
