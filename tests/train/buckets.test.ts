import { describe, expect, it } from "vitest";
import { Random } from "../../src/random.js";
import { bucketOf, chooseBuckets } from "../../src/train/sequence/buckets.js";
import { layoutPair, type PairLayout } from "../../src/train/sequence/pairLayout.js";

/** @param lengths of prompt, chosen and rejected */
function layoutOf(lengths: readonly [number, number, number]): PairLayout {
  const [prompt_ids, chosen_ids, rejected_ids] = lengths.map((length) => Array<number>(length).fill(1)) as [number[], number[], number[]];
  return layoutPair({
    row: 0,
    prompt_ids,
    chosen_ids,
    rejected_ids,
    chosen_prompt_start: 0,
    rejected_prompt_start: 0,
    prompt_is_prefix_of_chosen: true,
    prompt_is_prefix_of_rejected: true,
  });
}

/** What chooseBuckets keeps low: padded tokens, and padded scored tokens at 0.4 of that. */
const costOf = (layouts: readonly PairLayout[], maxBuckets: number): number => {
  const buckets = chooseBuckets(layouts, maxBuckets);
  return layouts.reduce((sum, layout) => {
    const { tokens, scored } = buckets.find((bucket) => bucket.tokens >= layout.ids.length)!;
    return sum + tokens + 0.4 * scored;
  }, 0);
};

/** The least cost over every choice of at most k sizes. */
function bruteForce(layouts: readonly PairLayout[], k: number): number {
  const sizes = [...new Set(layouts.map(({ ids }) => ids.length))].sort((a, b) => a - b);
  let best = Infinity;
  for (let subset = 0; subset < 1 << sizes.length; subset++) {
    const chosen = sizes.filter((_, i) => subset & (1 << i));
    if (chosen.length > k || chosen.at(-1) !== sizes.at(-1)) continue;
    const sizeOf = (layout: PairLayout): number => chosen.find((size) => size >= layout.ids.length)!;
    const scored = new Map<number, number>();
    for (const layout of layouts) scored.set(sizeOf(layout), Math.max(scored.get(sizeOf(layout)) ?? 0, layout.sources.length));
    best = Math.min(
      best,
      layouts.reduce((sum, layout) => sum + sizeOf(layout) + 0.4 * scored.get(sizeOf(layout))!, 0),
    );
  }
  return best;
}

describe("buckets", () => {
  it("hold every pair, number at most k, and pad as little as possible", () => {
    const random = new Random(4);
    for (let round = 0; round < 200; round++) {
      const layouts = Array.from({ length: 1 + random.integer(12) }, () =>
        layoutOf([random.integer(30), 5 + random.integer(30), 5 + random.integer(30)]),
      );
      for (const k of [1, 2, 3, 4, 50]) {
        const buckets = chooseBuckets(layouts, k);
        expect(buckets.length).toBeLessThanOrEqual(k);
        for (const layout of layouts) {
          const bucket = bucketOf(buckets, layout);
          expect(bucket.tokens).toBeGreaterThanOrEqual(layout.ids.length);
          expect(bucket.scored).toBeGreaterThanOrEqual(layout.sources.length);
        }
        expect(costOf(layouts, k)).toBeCloseTo(bruteForce(layouts, k), 6);
      }
    }
  });

  it("more buckets never cost more; enough of them leave no padded token", () => {
    const random = new Random(5);
    const layouts = Array.from({ length: 300 }, () => layoutOf([random.integer(400), 1 + random.integer(200), 1 + random.integer(200)]));
    const costs = [1, 2, 3, 4, 8, 16, 1000].map((k) => costOf(layouts, k));
    expect([...costs].sort((a, b) => b - a)).toEqual(costs);
    const longest = (of: (layout: PairLayout) => number): number => Math.max(...layouts.map(of));
    expect(costs[0]).toBeCloseTo(300 * (longest(({ ids }) => ids.length) + 0.4 * longest(({ sources }) => sources.length)), 6);
    const buckets = chooseBuckets(layouts, 1000);
    for (const layout of layouts) expect(bucketOf(buckets, layout).tokens).toBe(layout.ids.length);
  });

  it("one pair, equal pairs, a pair without a scored token", () => {
    expect(chooseBuckets([layoutOf([3, 2, 2])], 4)).toEqual([{ tokens: 8, scored: 8 }]);
    expect(chooseBuckets([layoutOf([9, 9, 9]), layoutOf([9, 9, 9])], 4)).toEqual([{ tokens: 27, scored: 18 }]);
    const unscored = layoutOf([0, 1, 1]);
    expect(unscored.sources).toEqual([]);
    expect(chooseBuckets([unscored], 1)).toEqual([{ tokens: 8, scored: 8 }]);
  });

  it("a short pair with a long answer and a long pair with a short one share a bucket that holds both", () => {
    const [answer, prompt] = [layoutOf([0, 40, 40]), layoutOf([70, 5, 5])];
    expect(chooseBuckets([answer, prompt], 1)).toEqual([{ tokens: 80, scored: 78 }]);
  });
});
