/** Attention over a key/value cache that stands in the store. No gradient. */
import { tf } from "../tensorflow.js";
import { type AttentionShape, groupedQueryAttention } from "./attention.js";
import { squeezed, unsqueezed } from "./leadingAxis.js";
import { onnxOp } from "./onnxOp.js";

export interface CachedAttention {
  /** [Q, H·hd] */
  readonly out: tf.Tensor2D;
  /** The new rows [T, K·hd]. They must be outputs of the program, and each run must `place` them over the last T rows of `keys` and `values`. */
  readonly newKeys: tf.Tensor2D;
  readonly newValues: tf.Tensor2D;
}

/**
 * Attention of the last of T tokens to all S so far, themselves included. Traced, nothing is copied: one operator writes the new rows to their place
 * in the cache and hands the queries on to the one that reads the cache, which therefore comes after it.
 * @param q queries of the last Q ≤ T new tokens, shape [Q, H·hd]
 * @param k @param v keys and values of the new tokens, shape [T, K·hd]
 * @param keys @param values the cache, shape [S, K·hd]; the last T rows are about to be written
 * @param mask shape [Q, S], added to the scores; without it every token sees everything
 */
export function cachedAttention(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  keys: tf.Tensor2D,
  values: tf.Tensor2D,
  mask: tf.Tensor2D | undefined,
  { heads, kvHeads }: AttentionShape,
): CachedAttention {
  const [asked, width] = q.shape;
  const [tokens, narrow] = k.shape;
  const spare = tokens - asked;
  // One operator can only hand on what has as many rows as the keys.
  const rows =
    spare === 0
      ? q
      : tf.pad(q, [
          [spare, 0],
          [0, 0],
        ]);
  const [passed, newKeys, newValues] = tf.split(tf.concat([rows, k, v], 1), [width, narrow, narrow], 1) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  const queries = spare === 0 ? passed : (tf.slice(passed, [spare, 0], [asked, width]) as tf.Tensor2D);
  const [out] = onnxOp(
    {
      opType: "Attention",
      inputs: [unsqueezed(queries), unsqueezed(keys), unsqueezed(values), ...(mask === undefined ? [] : [mask])],
      outputs: [{ dtype: "float32", shape: [1, asked, width] }],
      attributes: { q_num_heads: heads, kv_num_heads: kvHeads },
    },
    () => [
      tf.expandDims(
        groupedQueryAttention(queries, withNewRows(keys, newKeys), withNewRows(values, newValues), mask, { heads, kvHeads }),
        0,
      ),
    ],
  );
  return { out: squeezed(out!) as tf.Tensor2D, newKeys, newValues };
}

function withNewRows(cache: tf.Tensor2D, rows: tf.Tensor2D): tf.Tensor2D {
  const before = cache.shape[0] - rows.shape[0];
  return before === 0 ? rows : (tf.concat([tf.slice(cache, [0, 0], [before, -1]), rows], 0) as tf.Tensor2D);
}
