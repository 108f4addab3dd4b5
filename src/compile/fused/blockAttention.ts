import { tf } from "../tensorflow.js";
import {
  type Attended,
  type AttentionShape,
  HIDDEN,
  attended,
  attentionGradients,
  stackQueries,
  stackRows,
  unstackQueries,
  unstackRows,
} from "./attention.js";

/**
 * What stands where in a sequence of blocks: the first block, then others that each continue the first and do not see each other, as
 * `prompt | chosen | rejected` does. Inside a block a token sees itself and what stands before it.
 */
export interface BlockShape extends AttentionShape {
  /** Tokens of each block, at least 1 each; their sum is T. */
  readonly blocks: readonly number[];
}

/**
 * The masks of `blockAttention`, one for each block, the same in all layers: 0 or −1e9, spelled out for every head, since adding equal
 * shapes is several times faster than broadcasting. Shapes [K, G·n, n] for the first block of n tokens, [K, G·m, n + m] for the others.
 */
export function blockMasks({ blocks, heads, kvHeads }: BlockShape): tf.Tensor3D[] {
  const first = blocks[0]!;
  return blocks.map((tokens, i) => {
    const index = tf.range(0, tokens, 1, "int32");
    const seen = tf.lessEqual(tf.reshape(index, [1, tokens]), tf.reshape(index, [tokens, 1]));
    const own = tf.where<tf.Tensor>(seen, tf.scalar(0), tf.scalar(HIDDEN)) as tf.Tensor2D;
    const mask = i === 0 ? own : (tf.concat([tf.fill([tokens, first], 0), own], 1) as tf.Tensor2D);
    return tf.tile(tf.expandDims(mask, 0), [kvHeads, heads / kvHeads, 1]) as tf.Tensor3D;
  });
}

/** One block's queries and what they see, head by head. */
interface Part {
  /** Rows of q. */
  readonly start: number;
  readonly rows: number;
  /** Where the block stands among the keys. */
  readonly at: number;
  readonly tokens: number;
  readonly mask: tf.Tensor3D | undefined;
}

/**
 * Scaled dot-product attention with grouped queries (`groupedQueryAttention`) of a sequence of blocks. Each block is multiplied with what
 * it sees and nothing else: of `prompt | chosen | rejected` that is little more than half of all pairs of tokens.
 * @param q shape [T, H·hd]; or the queries of the last tokens alone, from the last one of the first block on: [T − n + 1, H·hd]
 * @param k @param v shape [T, K·hd]
 * @param masks of `blockMasks`
 * @returns the shape of q
 */
export function blockAttention(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  masks: readonly tf.Tensor3D[],
  { blocks, heads, kvHeads }: BlockShape,
): tf.Tensor2D {
  const [tokens] = k.shape;
  const skipped = tokens - q.shape[0];
  const headSize = q.shape[1] / heads;
  const scale = 1 / Math.sqrt(headSize);
  const first = blocks[0]!;
  const parts: Part[] = [];
  blocks.reduce((at, length, i) => {
    // The last token of the first block sees all of it.
    const alone = i === 0 && skipped > 0;
    parts.push({
      start: i === 0 ? 0 : at - skipped,
      rows: alone ? 1 : length,
      at,
      tokens: length,
      mask: alone ? undefined : masks[i],
    });
    return at + length;
  }, 0);
  const columns = (x: tf.Tensor3D, at: number, count: number): tf.Tensor3D => tf.slice(x, [0, at, 0], [kvHeads, count, headSize]);
  /** What a block sees of keys or values, shape [K, S, hd]. */
  const seenBy = (x: tf.Tensor3D, { at, tokens: own }: Part): tf.Tensor3D =>
    at <= first ? columns(x, 0, at + own) : tf.concat([columns(x, 0, first), columns(x, at, own)], 1);
  const queriesOf = (x: tf.Tensor2D, { start, rows }: Part): tf.Tensor3D =>
    stackQueries(tf.slice(x, [start, 0], [rows, heads * headSize]), heads, kvHeads);

  const op = tf.customGrad((...args: unknown[]) => {
    const [queries, keys, values, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.GradSaveFunc];
    const [ks, vs] = [stackRows(keys, kvHeads), stackRows(values, kvHeads)];
    const results = parts.map((part) => attended(queriesOf(queries, part), seenBy(ks, part), seenBy(vs, part), part.mask, scale));
    save(results.flat());
    return {
      value: concat(
        results.map(([, , , , out]) => unstackQueries(out, heads)),
        0,
      ),
      gradFunc: (dy: tf.Tensor, kept: tf.Tensor[]) => {
        const found = parts.map((part, i) => {
          const result = kept.slice(5 * i, 5 * i + 5) as unknown as Attended;
          return attentionGradients(queriesOf(dy as tf.Tensor2D, part), result, scale);
        });
        const queryParts = found.map(({ dq }) => unstackQueries(dq, heads));
        return [concat(queryParts, 0), unstackRows(gathered(found.map(({ dk }) => dk))), unstackRows(gathered(found.map(({ dv }) => dv)))];
      },
    };
  });
  return op(q, k, v) as tf.Tensor2D;

  /** Every block's share, back at its place: all have the first block in front. */
  function gathered(shares: readonly tf.Tensor3D[]): tf.Tensor3D {
    const toFirst = shares.map((share) => columns(share, 0, first)).reduce((sum, share) => tf.add(sum, share));
    const own = parts.slice(1).map(({ tokens: count }, i) => columns(shares[i + 1]!, first, count));
    return concat([toFirst, ...own], 1);
  }
}

function concat<T extends tf.Tensor>(parts: readonly T[], axis: number): T {
  return parts.length === 1 ? parts[0]! : (tf.concat([...parts], axis) as T);
}
