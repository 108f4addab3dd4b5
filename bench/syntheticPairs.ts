/** Random pairs of usual lengths, for benchmarks. */
import type { Qwen2Config } from "../src/model/index.js";
import { Random } from "../src/random.js";
import type { PreparedPair } from "../src/train/dpo/pairBatch.js";
import { bucketOf, chooseBuckets } from "../src/train/sequence/buckets.js";
import { layoutPair } from "../src/train/sequence/pairLayout.js";

/** Prompts of 30 to 90 tokens, completions of 40 to 120, in at most 4 sizes. */
export function syntheticPairs(count: number, config: Qwen2Config, seed: number): PreparedPair[] {
  const random = new Random(seed);
  const ids = (mean: number, spread: number): number[] => {
    const length = mean - spread + random.integer(2 * spread + 1);
    return Array.from({ length }, () => random.integer(config.vocab_size));
  };
  const layouts = Array.from({ length: count }, (_, row) =>
    layoutPair({
      row,
      prompt_ids: ids(60, 30),
      chosen_ids: ids(80, 40),
      rejected_ids: ids(80, 40),
      chosen_prompt_start: 0,
      rejected_prompt_start: 0,
      prompt_is_prefix_of_chosen: true,
      prompt_is_prefix_of_rejected: true,
    }),
  );
  const buckets = chooseBuckets(layouts, 4);
  return layouts.map((layout, i) => {
    const bucket = bucketOf(buckets, layout);
    return { layout, bucket, origin: `row ${i}` };
  });
}
