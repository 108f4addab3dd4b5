import { describe, expect, it } from "vitest";
import { Random } from "../../src/random.js";
import { bucketOf, chooseBuckets } from "../../src/train/buckets.js";
import { layoutPair, type PairLayout } from "../../src/train/pairLayout.js";

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

const rounded = (length: number): number => Math.max(8, 8 * Math.ceil(length / 8));
const tokensOf = (layouts: readonly PairLayout[], maxBuckets: number): number => {
  const buckets = chooseBuckets(layouts, maxBuckets);
  return layouts.reduce((sum, layout) => sum + bucketOf(buckets, layout).tokens, 0);
};

/** The least padded total over every choice of at most k sizes. */
function bruteForce(layouts: readonly PairLayout[], k: number): number {
  const sizes = [...new Set(layouts.map(({ ids }) => rounded(ids.length)))].sort((a, b) => a - b);
  let best = Infinity;
  for (let subset = 0; subset < 1 << sizes.length; subset++) {
    const chosen = sizes.filter((_, i) => subset & (1 << i));
    if (chosen.length > k || chosen.at(-1) !== sizes.at(-1)) continue;
    const total = layouts.reduce((sum, { ids }) => sum + chosen.find((size) => size >= ids.length)!, 0);
    best = Math.min(best, total);
  }
  return best;
}

describe("buckets", () => {
  it("hold every pair, number at most k, and pad as little as possible", () => {
    const random = new Random(4);
    for (let round = 0; round < 200; round++) {
      const layouts = Array.from({ length: 1 + random.integer(20) }, () =>
        layoutOf([random.integer(30), 1 + random.integer(30), 1 + random.integer(30)]),
      );
      for (const k of [1, 2, 3, 4, 50]) {
        const buckets = chooseBuckets(layouts, k);
        expect(buckets.length).toBeLessThanOrEqual(k);
        for (const { tokens, scored } of buckets) expect([tokens % 8, scored % 8]).toEqual([0, 0]);
        for (const layout of layouts) {
          const bucket = bucketOf(buckets, layout);
          expect(bucket.tokens).toBeGreaterThanOrEqual(layout.ids.length);
          expect(bucket.scored).toBeGreaterThanOrEqual(layout.sources.length);
        }
        expect(tokensOf(layouts, k)).toBe(bruteForce(layouts, k));
      }
    }
  });

  it("more buckets never cost more; enough of them leave only the rounding", () => {
    const random = new Random(5);
    const layouts = Array.from({ length: 300 }, () => layoutOf([random.integer(400), 1 + random.integer(200), 1 + random.integer(200)]));
    const costs = [1, 2, 3, 4, 8, 16, 1000].map((k) => tokensOf(layouts, k));
    expect([...costs].sort((a, b) => b - a)).toEqual(costs);
    expect(costs[0]).toBe(300 * rounded(Math.max(...layouts.map(({ ids }) => ids.length))));
    expect(costs.at(-1)).toBe(layouts.reduce((sum, { ids }) => sum + rounded(ids.length), 0));
  });

  it("one pair, equal pairs, a pair without a scored token", () => {
    expect(chooseBuckets([layoutOf([3, 2, 2])], 4)).toEqual([{ tokens: 8, scored: 8 }]);
    expect(chooseBuckets([layoutOf([9, 9, 9]), layoutOf([9, 9, 9])], 4)).toEqual([{ tokens: 32, scored: 24 }]);
    const unscored = layoutOf([0, 1, 1]);
    expect(unscored.sources).toEqual([]);
    expect(chooseBuckets([unscored], 1)).toEqual([{ tokens: 8, scored: 8 }]);
  });

  it("a short pair with a long answer and a long pair with a short one share a bucket that holds both", () => {
    const [answer, prompt] = [layoutOf([0, 40, 40]), layoutOf([70, 5, 5])];
    expect(chooseBuckets([answer, prompt], 1)).toEqual([{ tokens: 80, scored: 80 }]);
  });
});
