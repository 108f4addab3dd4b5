/** Which tokens of a layout are computed, and which layouts are no blocks. */
import { describe, expect, it } from "vitest";
import { blocksOf } from "../../src/train/sequence/blocks.js";
import { layoutPair } from "../../src/train/sequence/pairLayout.js";
import { computedTokens, scoredSize, sequenceInputs } from "../../src/train/sequence/sequenceInputs.js";
import { layoutText } from "../../src/train/sequence/textLayout.js";
import { smallModel } from "./tinyModel.js";

function pair(prompt: number[], chosen: number[], rejected: number[], starts = [0, 0], promptScored = false) {
  const row = { row: 0, prompt_ids: prompt, chosen_ids: chosen, rejected_ids: rejected };
  const [chosen_prompt_start, rejected_prompt_start] = starts as [number, number];
  const fits = { prompt_is_prefix_of_chosen: true, prompt_is_prefix_of_rejected: true };
  return layoutPair({ ...row, chosen_prompt_start, rejected_prompt_start, ...fits }, promptScored);
}

describe("a pair", () => {
  it("is prompt, chosen and rejected; their last tokens predict nothing and are left out", () => {
    const layout = pair([1, 2, 3], [4, 5, 6], [7, 8]);
    const blocks = blocksOf(layout)!;
    expect(blocks.sizes).toEqual([3, 2, 1]);
    expect(blocks.tokens.map((token) => layout.ids[token])).toEqual([1, 2, 3, 4, 5, 7]);
    // From the prompt's last token on: it predicts both first tokens.
    expect(blocks.sources).toEqual([0, 1, 2, 0, 3]);
    expect(layout.targets).toEqual([4, 5, 6, 7, 8]);
    expect(computedTokens(layout, 3)).toHaveLength(6);
  });

  it("keeps the only token of a completion, since no block may be empty", () => {
    const layout = pair([1, 2], [3], [4, 5]);
    const blocks = blocksOf(layout)!;
    expect(blocks.sizes).toEqual([2, 1, 1]);
    expect(blocks.tokens.map((token) => layout.ids[token])).toEqual([1, 2, 3, 4]);
    expect(blocks.sources).toEqual([0, 0, 2]);
  });

  it.each([
    ["prompts cut at different places", pair([1, 2, 3], [4, 5], [6, 7], [0, 1])],
    ["no prompt", pair([], [4, 5], [6, 7])],
    ["a prompt that is scored too", pair([1, 2, 3], [4, 5], [6, 7], [0, 0], true)],
    ["nothing scored", pair([], [4], [6])],
  ])("is no blocks with %s", (_what, layout) => {
    expect(blocksOf(layout)).toBe(undefined);
    expect(scoredSize([layout])).toBe(Math.max(1, layout.sources.length));
  });

  it("positions restart after the prompt", async () => {
    const model = await smallModel();
    const inputs = sequenceInputs([pair([1, 2, 3], [4, 5, 6], [7, 8])], 3, model.config);
    const half = model.config.head_dim / 2;
    const cosines = (token: number): number[] => [...inputs["cos"]!.data.slice(token * half, (token + 1) * half)].map(Number);
    expect(cosines(3)).toEqual(cosines(5));
    expect(cosines(3)).not.toEqual(cosines(4));
    expect(["ids.0", "ids.1", "ids.2"].map((name) => [...inputs[name]!.data])).toEqual([[1, 2, 3], [4, 5], [7]]);
    await model.dispose();
  });
});

describe("a text", () => {
  it("is what stands before its first label, and the rest up to the last label", () => {
    const layout = layoutText([1, 2, 3, 4, 5, 6], [-100, -100, 3, 4, -100, -100], [6]);
    const blocks = blocksOf(layout)!;
    expect(blocks.sizes).toEqual([2, 1]);
    expect(blocks.tokens).toEqual([0, 1, 2]);
    expect(blocks.sources).toEqual([0, 1]);
  });

  it("of labels alone begins with a block of one token", () => {
    const blocks = blocksOf(layoutText([1, 2, 3], [1, 2, 3], [3]))!;
    expect(blocks.sizes).toEqual([1, 1]);
    expect(blocks.sources).toEqual([0, 1]);
  });

  it("packed with others is no blocks", () => {
    expect(blocksOf(layoutText([1, 2, 3, 4], [1, 2, 3, 4], [2, 2]))).toBe(undefined);
  });
});
