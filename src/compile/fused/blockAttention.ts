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
 * What stands where: sequences side by side that do not see each other, each of blocks. The first block of a sequence, then others that each
 * continue the first and do not see each other, as `prompt | chosen | rejected` does. Inside a block a token sees itself and what stands
 * before it.
 */
export interface BlockShape extends AttentionShape {
  /** Tokens of each block of each sequence, at least 1 each; their sum is T. */
  readonly sequences: readonly (readonly number[])[];
}

/**
 * The masks of `blockAttention`, one for each block, the same in all layers: 0 or −1e9, spelled out for every head, since adding equal
 * shapes is several times faster than broadcasting. Shapes [K, G·n, n] for a first block of n tokens, [K, G·m, n + m] for the others.
 */
export function blockMasks({ sequences, heads, kvHeads }: BlockShape): tf.Tensor3D[] {
  return sequences.flatMap((blocks) =>
    blocks.map((tokens, i) => {
      const index = tf.range(0, tokens, 1, "int32");
      const seen = tf.lessEqual(tf.reshape(index, [1, tokens]), tf.reshape(index, [tokens, 1]));
      const own = tf.where<tf.Tensor>(seen, tf.scalar(0), tf.scalar(HIDDEN)) as tf.Tensor2D;
      const mask = i === 0 ? own : (tf.concat([tf.fill([tokens, blocks[0]!], 0), own], 1) as tf.Tensor2D);
      return tf.tile(tf.expandDims(mask, 0), [kvHeads, heads / kvHeads, 1]) as tf.Tensor3D;
    }),
  );
}

/** Tokens of a run of neighbours. */
export interface TokenRange {
  readonly start: number;
  readonly count: number;
}

/** Of each sequence the tokens from the last of its first block on. */
export function lastRanges(sequences: BlockShape["sequences"]): TokenRange[] {
  let begin = 0;
  return sequences.map((blocks) => {
    const tokens = blocks.reduce((sum, count) => sum + count);
    const range = { start: begin + blocks[0]! - 1, count: tokens - blocks[0]! + 1 };
    begin += tokens;
    return range;
  });
}

/** One block's queries and what they see, head by head. */
interface Part {
  /** Rows of q. */
  readonly start: number;
  readonly rows: number;
  /** Where the block stands among the keys, and its sequence's first block. */
  readonly at: number;
  readonly tokens: number;
  readonly begin: number;
  readonly first: number;
  readonly mask: tf.Tensor3D | undefined;
}

/** @param lastOnly whether there are queries of `lastRanges` only */
function partsOf(sequences: BlockShape["sequences"], masks: readonly tf.Tensor3D[], lastOnly: boolean): Part[] {
  const parts: Part[] = [];
  let [at, start] = [0, 0];
  for (const blocks of sequences) {
    const begin = at;
    for (const [i, tokens] of blocks.entries()) {
      // The last token of the first block sees all of it.
      const alone = i === 0 && lastOnly;
      const rows = alone ? 1 : tokens;
      parts.push({ start, rows, at, tokens, begin, first: blocks[0]!, mask: alone ? undefined : masks[parts.length] });
      start += rows;
      at += tokens;
    }
  }
  return parts;
}

/**
 * Scaled dot-product attention with grouped queries (`groupedQueryAttention`) of sequences of blocks. Each block is multiplied with what
 * it sees and nothing else: of `prompt | chosen | rejected` that is little more than half of all pairs of tokens.
 * @param q shape [T, H·hd]; or the queries of `lastRanges` alone
 * @param k @param v shape [T, K·hd]
 * @param masks of `blockMasks`
 * @returns the shape of q
 */
export function blockAttention(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  masks: readonly tf.Tensor3D[],
  { sequences, heads, kvHeads }: BlockShape,
): tf.Tensor2D {
  const headSize = q.shape[1] / heads;
  const scale = 1 / Math.sqrt(headSize);
  const parts = partsOf(sequences, masks, q.shape[0] < k.shape[0]);
  const columns = (x: tf.Tensor3D, at: number, count: number): tf.Tensor3D => tf.slice(x, [0, at, 0], [kvHeads, count, headSize]);
  /** What a block sees of keys or values, shape [K, S, hd]. */
  const seenBy = (x: tf.Tensor3D, { at, tokens, begin, first }: Part): tf.Tensor3D =>
    at <= begin + first ? columns(x, begin, at - begin + tokens) : tf.concat([columns(x, begin, first), columns(x, at, tokens)], 1);
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

  /** Every block's share, back at its place: those of a sequence all have its first block in front. */
  function gathered(shares: readonly tf.Tensor3D[]): tf.Tensor3D {
    const places = parts.flatMap(({ at, begin, first, tokens }, i) => {
      if (at > begin) return [columns(shares[i]!, first, tokens)];
      const ofSequence = shares.filter((_, k) => parts[k]!.begin === begin);
      return [ofSequence.map((share) => columns(share, 0, first)).reduce((sum, share) => tf.add(sum, share))];
    });
    return concat(places, 1);
  }
}

function concat<T extends tf.Tensor>(parts: readonly T[], axis: number): T {
  return parts.length === 1 ? parts[0]! : (tf.concat([...parts], axis) as T);
}
