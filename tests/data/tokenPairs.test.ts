/** Preference pairs that are token ids already. */
import { describe, expect, it } from "vitest";
import { Dataset, isTokenPreference, ktoExamples, preferencePairs, type Row } from "../../src/data/index.js";

const PAIR = { prompt_ids: [1, 2], chosen_ids: [3], rejected_ids: [4, 5] };

function refused(rows: Row[]): unknown {
  try {
    preferencePairs(Dataset.from_rows(rows, { file: "pairs.jsonl" }));
  } catch (error) {
    return error;
  }
  throw new Error("accepted");
}

describe("pairs of token ids", () => {
  it("come with file and row, and without other columns", () => {
    const pairs = preferencePairs(
      Dataset.from_rows([PAIR, { ...PAIR, prompt_ids: [], prompt: "x", chosen: "y", rejected: "z" }], { file: "f" }),
    );
    expect(pairs).toEqual([
      { ...PAIR, file: "f", row: 0 },
      { ...PAIR, prompt_ids: [], file: "f", row: 1 },
    ]);
    expect(pairs.every(isTokenPreference)).toBe(true);
  });

  it("take the 64-bit integers of Parquet", () => {
    expect(preferencePairs(Dataset.from_rows([{ ...PAIR, chosen_ids: [3n] }]))).toMatchObject([{ chosen_ids: [3] }]);
  });

  it("leave rows of text as they are, for KTO too", () => {
    const text = { prompt: "a", chosen: " b", rejected: " c" };
    expect(preferencePairs(Dataset.from_rows([text]))).toEqual([{ ...text, row: 0 }]);
    expect(ktoExamples(Dataset.from_rows([{ ...text, ...PAIR }]))).toHaveLength(2);
  });

  it.each([
    [
      "a missing column",
      [{ prompt_ids: [1], chosen_ids: [2], rejected: [3] }],
      "data_columns",
      'pairs.jsonl row 0: preference rows of token ids need the columns prompt_ids, chosen_ids and rejected_ids; got prompt_ids, chosen_ids, rejected (missing: rejected_ids); did you mean dataset.rename_column("rejected", "rejected_ids")?',
    ],
    [
      "a row without them",
      [PAIR, { prompt: "a", chosen: "b", rejected: "c" }],
      "data_columns",
      "pairs.jsonl row 1: preference rows of token ids",
    ],
    [
      "text",
      [{ ...PAIR, prompt_ids: "1 2" }],
      "data_type",
      "pairs.jsonl row 0: prompt_ids must be a list of token ids, integers >= 0, got ",
    ],
    [
      "a negative id",
      [PAIR, { ...PAIR, rejected_ids: [4, -1] }],
      "data_type",
      "pairs.jsonl row 1: rejected_ids must be a list of token ids, integers >= 0, got",
    ],
    ["a fraction", [{ ...PAIR, chosen_ids: [1.5] }], "data_type", "pairs.jsonl row 0: chosen_ids must be a list"],
    [
      "no completion",
      [{ ...PAIR, chosen_ids: [] }],
      "data_empty",
      "pairs.jsonl row 0: chosen_ids must hold at least one token id, got none; drop the row",
    ],
  ])("%s is an error with file and row", (_, rows, code, message) => {
    expect(refused(rows as Row[])).toMatchObject({ name: "DataError", code, message: expect.stringContaining(message) as string });
  });
});
