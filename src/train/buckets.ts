/** Chooses the few sizes that sequences are padded to: every size costs a compilation, every padded token costs arithmetic. */
import type { Bucket, PairLayout } from "./pairLayout.js";

/** Sizes are multiples of this: matrix kernels work on whole tiles. */
const TILE = 8;

/**
 * At most `maxBuckets` sizes that hold all layouts with the least padding in total (dynamic programming over the
 * sorted lengths). A bucket's number of scored tokens is the largest among its layouts.
 */
export function chooseBuckets(layouts: Iterable<PairLayout>, maxBuckets: number): Bucket[] {
  const sizes = new Map<number, { count: number; scored: number }>();
  for (const { ids, sources } of layouts) {
    const tokens = roundUp(ids.length);
    const entry = sizes.get(tokens) ?? { count: 0, scored: 0 };
    sizes.set(tokens, { count: entry.count + 1, scored: Math.max(entry.scored, roundUp(sources.length)) });
  }
  const sorted = [...sizes].map(([tokens, entry]) => ({ tokens, ...entry })).sort((a, b) => a.tokens - b.tokens);
  const n = sorted.length;
  // best[k][i]: least padded tokens for the i shortest sizes in k buckets; from[k][i]: where the last bucket begins.
  const best: number[][] = [[0, ...Array<number>(n).fill(Infinity)]];
  const from: number[][] = [[]];
  for (let k = 1; k <= maxBuckets; k++) {
    best.push([0]);
    from.push([0]);
    for (let i = 1; i <= n; i++) {
      let count = 0;
      let least = Infinity;
      let start = 0;
      for (let j = i - 1; j >= 0; j--) {
        count += sorted[j]!.count;
        const cost = best[k - 1]![j]! + count * sorted[i - 1]!.tokens;
        if (cost < least) [least, start] = [cost, j];
      }
      best[k]!.push(least);
      from[k]!.push(start);
    }
  }
  const buckets: Bucket[] = [];
  for (let k = maxBuckets, i = n; i > 0; k--) {
    const start = from[k]![i]!;
    const members = sorted.slice(start, i);
    buckets.unshift({ tokens: sorted[i - 1]!.tokens, scored: Math.max(TILE, ...members.map(({ scored }) => scored)) });
    i = start;
  }
  return buckets;
}

/** The smallest bucket that holds a layout. */
export function bucketOf(buckets: readonly Bucket[], layout: PairLayout): Bucket {
  return buckets.find(({ tokens, scored }) => layout.ids.length <= tokens && layout.sources.length <= scored)!;
}

function roundUp(length: number): number {
  return Math.max(TILE, Math.ceil(length / TILE) * TILE);
}
