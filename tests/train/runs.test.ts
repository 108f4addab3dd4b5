/** Rows that run together: which do, and that they have the gradients and scores of rows that run alone. */
import { afterEach, describe, expect, it } from "vitest";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import { CPOConfig, ORPOConfig } from "../../src/train/index.js";
import { cpoPreference, orpoPreference } from "../../src/train/dpo/preference.js";
import { NO_PARTS, layoutPair } from "../../src/train/sequence/pairLayout.js";
import { planRuns } from "../../src/train/sequence/runs.js";
import { neededTokens } from "../../src/train/sequence/blocks.js";
import { layoutText } from "../../src/train/sequence/textLayout.js";
import { ktoGradients, goldenRows, preparedRows, scoreRows } from "./kto/ktoModel.js";
import { gradientsOf, preparedPairs, referenceLogps } from "./microBatches.js";
import { goldenTexts, preparedTexts, textGradients } from "./sftTexts.js";
import { goldenPairs, largestDifference, smallLora, smallModel } from "./tinyModel.js";

interface Gradients {
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly norm: number;
}

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

/** Dropout makes each row's random numbers a part of the comparison. */
async function policy(kind: "lora" | "full"): Promise<{ base: CausalLM; model: CausalLM }> {
  const base = await smallModel();
  models.push(base);
  if (kind === "full") return { base, model: base };
  return { base, model: get_peft_model(base, smallLora({ lora_dropout: 0.25, init_lora_weights: false })) };
}

function expectSameGradients(found: Gradients, expected: Gradients): void {
  expect(expected.norm).toBeGreaterThan(0);
  expect(largestDifference(found.gradients, expected.gradients) / expected.norm).toBeLessThan(1e-5);
}

describe("which rows run together", () => {
  const pair = (tokens: number) =>
    layoutPair({
      row: 0,
      prompt_ids: [1, 2],
      chosen_ids: Array<number>(tokens - 3).fill(3),
      rejected_ids: [4, 5],
      chosen_prompt_start: 0,
      rejected_prompt_start: 0,
      prompt_is_prefix_of_chosen: true,
      prompt_is_prefix_of_rejected: true,
    });
  const text = layoutText([1, 2, 3, 4, 5], [-100, 2, 3, 4, 5], [5]);
  const packed = layoutText([1, 2, 3, 4], [1, 2, 3, 4], [2, 2]);
  const rowsOf = (layouts: Parameters<typeof planRuns>[0], tokens: number): number[][] =>
    planRuns(layouts, tokens).map(({ rows }) => [...rows]);

  it("those that keep within the tokens; a longer row runs alone", () => {
    // The last token of a completion is not computed.
    expect([10, 20, 30].map((tokens) => neededTokens(pair(tokens)).length)).toEqual([9, 19, 29]);
    expect(rowsOf([10, 10, 10, 10, 10].map(pair), 100)).toEqual([[0, 1, 2, 3, 4]]);
    expect(rowsOf([10, 10, 10, 10].map(pair), 18)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(rowsOf([10, 100, 10].map(pair), 30)).toEqual([[0], [1], [2]]);
    expect(rowsOf([10, 10].map(pair), 0)).toEqual([[0], [1]]);
  });

  it("several stand under a mask; a row that is alone is blocks where it can be", () => {
    expect(planRuns([pair(10), text, packed, pair(10)], 100)).toEqual([{ form: 0, rows: [0, 1, 2, 3] }]);
    expect(planRuns([pair(10), text, packed], 5).map(({ form }) => form)).toEqual([3, 2, 0]);
  });

  it("what nothing is predicted from is not computed, but no segment is empty", () => {
    expect(neededTokens(pair(10))).toHaveLength(9);
    // The last token of each text.
    expect(neededTokens(packed)).toEqual([0, 2]);
    expect(neededTokens(layoutText([1, 2, 3], [-100, -100, -100], [3]))).toEqual([0]);
  });
});

describe("gradients, losses and scores are those of rows that run alone", () => {
  const together = { tokens_per_run: 4096 };
  const alone = { tokens_per_run: 0 };

  it.each(["lora", "full"] as const)("DPO, %s, three pairs in a run", async (kind) => {
    const { base, model } = await policy(kind);
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const references = await referenceLogps(base, pairs);
    const options = { disable_dropout: false };
    const one = await gradientsOf(model, pairs, references, { ...options, ...alone });
    const all = await gradientsOf(model, pairs, references, { ...options, ...together });
    expectSameGradients(all, one);
    expect(all.loss).toBeCloseTo(one.loss, 6);
    for (const [i, scores] of all.scores.entries())
      for (const [name, value] of Object.entries(scores)) expect(value).toBeCloseTo(one.scores[i]![name as keyof typeof scores]!, 4);
  });

  it("DPO with a loss that couples the pairs of a batch", async () => {
    const { base, model } = await policy("lora");
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const references = await referenceLogps(base, pairs);
    const options = { loss_type: "aot" as const };
    const one = await gradientsOf(model, pairs, references, { ...options, ...alone });
    const all = await gradientsOf(model, pairs, references, { ...options, ...together });
    expectSameGradients(all, one);
  });

  it("CPO: SimPO and AlphaPO", async () => {
    const { model } = await policy("lora");
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    for (const loss_type of ["simpo", "alphapo"] as const) {
      const preference = cpoPreference(new CPOConfig({ output_dir: "unused", loss_type }));
      const one = await gradientsOf(model, pairs, [], alone, [3], preference);
      const all = await gradientsOf(model, pairs, [], together, [3], preference);
      expectSameGradients(all, one);
    }
  });

  it("ORPO, whose prompts are scored too", async () => {
    const { model } = await policy("lora");
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model, {}, { ...NO_PARTS, prompt: true });
    const preference = orpoPreference(new ORPOConfig({ output_dir: "unused" }));
    const one = await gradientsOf(model, pairs, [], alone, [3], preference);
    const all = await gradientsOf(model, pairs, [], together, [3], preference);
    expect(Number.isFinite(all.norm)).toBe(true);
    expectSameGradients(all, one);
  });

  it("KTO", async () => {
    const { base, model } = await policy("lora");
    const rows = await preparedRows(await goldenRows([0, 1, 2]), model);
    const references = await scoreRows(base, rows);
    const options = { disable_dropout: false };
    const one = await ktoGradients(model, rows, references, { ...options, ...alone });
    const all = await ktoGradients(model, rows, references, { ...options, ...together });
    expect(all.kl).toBeCloseTo(one.kl, 5);
    expectSameGradients(all, one);
  });

  it("SFT with embedding noise", async () => {
    const { model } = await policy("lora");
    const texts = await preparedTexts(await goldenTexts("prompt_completion", 3), model);
    const options = { neftune_noise_alpha: 5 };
    const one = await textGradients(model, texts, { ...options, ...alone });
    const all = await textGradients(model, texts, { ...options, ...together });
    expectSameGradients(all, one);
    expect(all.correct).toBe(one.correct);
  });
});
