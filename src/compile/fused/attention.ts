import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/** Added to the scores of positions that must not be seen; exp of it is 0, and a row of nothing else stays finite. */
export const HIDDEN = -1e9;

/**
 * Which position sees which, as numbers to add to attention scores: 0 or −1e9.
 * A token sees itself and, among earlier tokens, those of its own segment and of the segment that its own continues.
 * So a pair stands as `prompt | chosen | rejected` with both answers continuing the prompt and blind to each other.
 * @param segments shape [T] int32, the segment of each token
 * @param parents shape [T] int32, the segment that each token's segment continues; −1 for none
 * @returns shape [T, T], rows are the tokens that look
 */
export function blockMask(segments: tf.Tensor1D, parents: tf.Tensor1D): tf.Tensor2D {
  const [tokens] = segments.shape;
  const index = tf.range(0, tokens, 1, "int32");
  const causal = tf.lessEqual(tf.reshape(index, [1, tokens]), tf.reshape(index, [tokens, 1]));
  const seen = tf.reshape(segments, [1, tokens]);
  const own = tf.equal(seen, tf.reshape(segments, [tokens, 1]));
  const parent = tf.equal(seen, tf.reshape(parents, [tokens, 1]));
  const visible = tf.logicalAnd(causal, tf.logicalOr(own, parent));
  return tf.where<tf.Tensor>(visible, tf.scalar(0), tf.scalar(HIDDEN)) as tf.Tensor2D;
}

export interface AttentionShape {
  /** H, query heads. */
  readonly heads: number;
  /** K, key/value heads; divides H. Query heads of one group read the same key/value head. */
  readonly kvHeads: number;
}

/**
 * Scaled dot-product attention with grouped queries, arXiv:2305.13245: softmax(q kᵀ/√hd + mask) v.
 * Queries of a group are stacked as rows, so keys and values are never repeated.
 * @param q shape [T, H·hd]
 * @param k @param v shape [S, K·hd]
 * @param mask shape [T, S], added to the scores; no gradient; without it every token sees everything
 * @returns shape [T, H·hd]
 */
export function groupedQueryAttention(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  mask: tf.Tensor2D | undefined,
  { heads, kvHeads }: AttentionShape,
): tf.Tensor2D {
  const scale = 1 / Math.sqrt(q.shape[1] / heads);
  const op = tf.customGrad((...args: unknown[]) => {
    const [queries, keys, values, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.GradSaveFunc];
    // Spelled out for every head: adding equal shapes is several times faster than broadcasting, and all layers share it.
    const wideMask = mask && (tf.tile(tf.expandDims(mask, 0), [kvHeads, heads / kvHeads, 1]) as tf.Tensor3D);
    const saved = attended(stackQueries(queries, heads, kvHeads), stackRows(keys, kvHeads), stackRows(values, kvHeads), wideMask, scale);
    save([...saved]);
    return {
      value: unstackQueries(saved[4], heads),
      gradFunc: (dy: tf.Tensor, kept: tf.Tensor[]) => {
        const { dq, dk, dv } = attentionGradients(stackQueries(dy as tf.Tensor2D, heads, kvHeads), kept as unknown as Attended, scale);
        return [unstackQueries(dq, heads), unstackRows(dk), unstackRows(dv)];
      },
    };
  });
  return op(q, k, v);
}

/** What the backward pass needs: queries [K, G·T, hd], keys and values [K, S, hd], softmax [K, G·T, S], result [K, G·T, hd]. */
export type Attended = readonly [qs: tf.Tensor3D, ks: tf.Tensor3D, vs: tf.Tensor3D, weights: tf.Tensor3D, out: tf.Tensor3D];

/** softmax(scale · q kᵀ + mask) v head by head. @param mask shape [K, G·T, S] */
export function attended(qs: tf.Tensor3D, ks: tf.Tensor3D, vs: tf.Tensor3D, mask: tf.Tensor3D | undefined, scale: number): Attended {
  const scores = scaledMatMul(qs, ks, scale);
  const weights = tf.softmax(mask === undefined ? scores : tf.add(scores, mask)) as tf.Tensor3D;
  return [qs, ks, vs, weights, tf.matMul(weights, vs) as tf.Tensor3D];
}

/** dS = P ∘ (dP − rowsum(dO ∘ O)) / √hd, arXiv:2205.14135 eq. 3 to 4. @param dOut shape [K, G·T, hd] */
export function attentionGradients(
  dOut: tf.Tensor3D,
  [qs, ks, vs, p, out]: Attended,
  scale: number,
): { dq: tf.Tensor3D; dk: tf.Tensor3D; dv: tf.Tensor3D } {
  const dP = tf.matMul(dOut, vs, false, true);
  const rowSum = tf.sum(tf.mul(dOut, out), -1, true);
  const dS = tf.mul(p, tf.sub(dP, rowSum)) as tf.Tensor3D;
  return {
    dq: scaledMatMul(dS, ks, scale, false),
    dk: scaledMatMul(dS, qs, scale, false, true),
    dv: tf.matMul(p, dOut, true, false) as tf.Tensor3D,
  };
}

/** Queries by key/value head, those of a group one below the other, so that keys and values need not be repeated: [T, H·hd] → [K, G·T, hd]. */
export function stackQueries(x: tf.Tensor2D, heads: number, kvHeads: number): tf.Tensor3D {
  const [tokens, width] = x.shape;
  const [group, headSize] = [heads / kvHeads, width / heads];
  return tf.reshape(tf.transpose(tf.reshape(x, [tokens, kvHeads, group, headSize]), [1, 2, 0, 3]), [kvHeads, group * tokens, headSize]);
}

/** Back: [K, G·T, hd] → [T, H·hd]. */
export function unstackQueries(x: tf.Tensor3D, heads: number): tf.Tensor2D {
  const [kvHeads, rows, headSize] = x.shape;
  const group = heads / kvHeads;
  const tokens = rows / group;
  return tf.reshape(tf.transpose(tf.reshape(x, [kvHeads, group, tokens, headSize]), [2, 0, 1, 3]), [tokens, heads * headSize]);
}

/** Keys or values by head: [S, K·hd] → [K, S, hd]. */
export function stackRows(x: tf.Tensor2D, kvHeads: number): tf.Tensor3D {
  const [tokens, width] = x.shape;
  return tf.transpose(tf.reshape(x, [tokens, kvHeads, width / kvHeads]), [1, 0, 2]);
}

/** Back: [K, S, hd] → [S, K·hd]. */
export function unstackRows(x: tf.Tensor3D): tf.Tensor2D {
  const [kvHeads, tokens, headSize] = x.shape;
  return tf.reshape(tf.transpose(x, [1, 0, 2]), [tokens, kvHeads * headSize]);
}

/** `scale · a·b` in one operator when traced. */
function scaledMatMul(a: tf.Tensor3D, b: tf.Tensor3D, scale: number, transposeB = true, transposeA = false): tf.Tensor3D {
  const [batch, rowsA, columnsA] = a.shape;
  const shape = [batch, transposeA ? columnsA : rowsA, transposeB ? b.shape[1] : b.shape[2]];
  const [y] = onnxOp(
    {
      opType: "FusedMatMul",
      domain: "com.microsoft",
      inputs: [a, b],
      outputs: [{ dtype: "float32", shape }],
      attributes: { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: scale } },
    },
    () => [tf.mul(tf.matMul(a, b, transposeA, transposeB), scale)],
  );
  return y as tf.Tensor3D;
}
