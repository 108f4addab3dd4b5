/** The count of needed arithmetic, the random pairs it counts, and what is derived from both. */
import { describe, expect, test } from "vitest";
import { attentionOperations, checkpointedOperations, neededOperations } from "../../bench/shared/arithmetic.js";
import { shapeConfig } from "../../bench/shared/models.js";
import { pairTokens, randomPairs, scoredTokens } from "../../bench/shared/pairs.js";
import { sgemmRows } from "../../bench/shared/sgemm.js";
import { linearSecondsPerToken } from "../../bench/vs-trl/cases/growth.js";
import { stepsBesideSgemm } from "../../bench/vs-trl/cases/speed.js";

/** D 4, F 6, one layer, one key/value head of 2, V 10: a layer's weights are 2·16 + 2·8 + 3·24 = 120 numbers. */
const SHAPE = {
  hidden_size: 4,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_key_value_heads: 1,
  head_dim: 2,
  vocab_size: 10,
};
/** P 2, C 1 and 2: 5 tokens, 3 of them scored. */
const PAIR = { prompt_ids: [1, 2], chosen_ids: [3], rejected_ids: [4, 5] };

describe("needed arithmetic", () => {
  // Visible pairs of tokens: prompt 1 + 2, chosen 3, rejected 3 + 4 = 13.
  test("attention: scores and mixing forward, four products backward", () => {
    expect(attentionOperations(PAIR, SHAPE)).toBe(2 * 13 * 4 * 6);
    expect(attentionOperations(PAIR, SHAPE, true)).toBe(2 * 13 * 4 * 8);
  });

  test("LoRA: forward, backward to the first layer's adapter, and the head twice on completions only", () => {
    const forward = 2 * 120 * 5;
    // q, k and v of the first layer: 16 + 2·8 numbers.
    const backward = forward - 2 * 32 * 5;
    const head = 2 * 2 * 3 * 10 * 4;
    expect(neededOperations(PAIR, SHAPE)).toBe(forward + backward + head + 2 * 13 * 4 * 6);
    expect(checkpointedOperations(PAIR, SHAPE)).toBe(2 * forward + backward + head + 2 * 13 * 4 * 8);
  });

  test("full weights: every product three times", () => {
    expect(neededOperations(PAIR, SHAPE, "full")).toBe(3 * 2 * 120 * 5 + 3 * 2 * 3 * 10 * 4 + 2 * 13 * 4 * 6);
  });

  test("seconds a token without attention's share", () => {
    const share = attentionOperations(PAIR, SHAPE, true) / checkpointedOperations(PAIR, SHAPE);
    expect(linearSecondsPerToken(10, PAIR, SHAPE)).toBeCloseTo((10 * (1 - share)) / 5, 10);
  });

  test("each step stands beside the mean of plain sgemm before and behind it", () => {
    expect(stepsBesideSgemm({ step_seconds: [2, 4], sgemm: [100, 200, 400] }, 600e9)).toEqual([
      { needed: 300, plain: 150 },
      { needed: 150, plain: 300 },
    ]);
  });
});

describe("random pairs", () => {
  const lengths = { prompt: [60, 30], completion: [80, 40] } as const;

  test("are equal for equal seeds, and of the lengths and ids asked for", () => {
    const pairs = randomPairs(50, 100, 3, lengths);
    expect(randomPairs(50, 100, 3, lengths)).toEqual(pairs);
    expect(randomPairs(50, 100, 4, lengths)).not.toEqual(pairs);
    const prompts = pairs.map(({ prompt_ids }) => prompt_ids.length);
    expect(Math.min(...prompts)).toBeGreaterThanOrEqual(30);
    expect(Math.max(...prompts)).toBeLessThanOrEqual(90);
    expect(new Set(prompts).size).toBeGreaterThan(10);
    const ids = pairs.flatMap(({ prompt_ids, chosen_ids, rejected_ids }) => [...prompt_ids, ...chosen_ids, ...rejected_ids]);
    expect([Math.min(...ids), Math.max(...ids)]).toEqual([0, 99]);
  });

  test("count P + 2C tokens, and completions as scored", () => {
    expect([pairTokens(PAIR), scoredTokens(PAIR)]).toEqual([5, 3]);
    expect(sgemmRows([PAIR, { ...PAIR, rejected_ids: [4] }])).toEqual({ tokens: 5, scored: 3 });
  });
});

test("an unknown shape is an error that lists the known ones", () => {
  expect(() => shapeConfig("Qwen9")).toThrow(
    expect.objectContaining({
      code: "unknown_shape",
      message: expect.stringMatching(/must be one of tiny, small, Qwen2-0\.5B.*"Qwen9"/) as string,
    }),
  );
});
