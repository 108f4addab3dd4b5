/** Chooses the few sizes that sequences are padded to: every size costs a compilation, every padded token costs arithmetic. */
import type { Bucket } from "./pairLayout.js";
import type { SequenceLayout } from "./sequenceInputs.js";

/** What a bucket must hold. */
type Sizes = Pick<SequenceLayout, "ids" | "sources">;

/** What the head costs for a scored token, relative to the layers for any token; 0.38 at the shape of Qwen2-0.5B. */
const SCORED_COST = 0.4;

/** Smallest size of a program. */
const SMALLEST = 8;

/**
 * At most `maxBuckets` sizes that hold all layouts with the least padding in total (dynamic programming over the
 * sorted lengths). A bucket's number of scored tokens is the largest among its layouts. Sizes are not rounded: matrix
 * kernels are as fast at odd sizes, and each size that is used is compiled once either way.
 */
export function chooseBuckets(layouts: Iterable<Sizes>, maxBuckets: number): Bucket[] {
  const sizes = new Map<number, { count: number; scored: number }>();
  for (const { ids, sources } of layouts) {
    const entry = sizes.get(ids.length) ?? { count: 0, scored: 0 };
    sizes.set(ids.length, { count: entry.count + 1, scored: Math.max(entry.scored, sources.length) });
  }
  const sorted = [...sizes].map(([tokens, entry]) => ({ tokens, ...entry })).sort((a, b) => a.tokens - b.tokens);
  const n = sorted.length;
  // best[k][i]: least cost of the i shortest sizes in k buckets; from[k][i]: where the last of them begins.
  const best: number[][] = [[0, ...Array<number>(n).fill(Infinity)]];
  const from: number[][] = [[]];
  for (let k = 1; k <= maxBuckets; k++) {
    best.push([0]);
    from.push([0]);
    for (let i = 1; i <= n; i++) {
      let [count, scored, least, start] = [0, 0, Infinity, 0];
      for (let j = i - 1; j >= 0; j--) {
        count += sorted[j]!.count;
        scored = Math.max(scored, sorted[j]!.scored);
        const cost = best[k - 1]![j]! + count * (sorted[i - 1]!.tokens + SCORED_COST * scored);
        if (cost < least) [least, start] = [cost, j];
      }
      best[k]!.push(least);
      from[k]!.push(start);
    }
  }
  const buckets: Bucket[] = [];
  for (let k = maxBuckets, i = n; i > 0; k--) {
    const start = from[k]![i]!;
    const scored = Math.max(...sorted.slice(start, i).map((size) => size.scored));
    buckets.unshift({ tokens: Math.max(SMALLEST, sorted[i - 1]!.tokens), scored: Math.max(SMALLEST, scored) });
    i = start;
  }
  return buckets;
}

/** The smallest bucket that holds a layout. */
export function bucketOf(buckets: readonly Bucket[], layout: Sizes): Bucket {
  return buckets.find(({ tokens, scored }) => layout.ids.length <= tokens && layout.sources.length <= scored)!;
}
