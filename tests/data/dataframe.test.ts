import { describe, expect, it } from "vitest";
import { Dataset, load_dataset, preferenceExamples } from "../../src/data/index.js";
import { golden } from "./fixtures.js";

describe("DataFrame", () => {
  it("keeps text, numbers, booleans and null, there and back", async () => {
    const rows = [
      { prompt: "a\n", n: 0.1, ok: true, note: null },
      { prompt: "ش 🍵", n: 12345678901, ok: null, note: "007" },
      { prompt: "", n: null, ok: false, note: "NaN" },
    ];
    const frame = await Dataset.from_rows(rows).to_dataframe();
    expect(frame.columns).toEqual(["prompt", "n", "ok", "note"]);
    expect(frame.shape).toEqual([3, 4]);
    expect(Dataset.from_dataframe(frame).rows()).toEqual(rows);
  });

  it.each(["pairs.jsonl", "pairs_edge.jsonl", "pairs_conversational.jsonl", "pairs_implicit.jsonl"])(
    "%s comes back as the same preference examples",
    async (name) => {
      const dataset = await load_dataset(golden(name));
      const again = Dataset.from_dataframe(await dataset.to_dataframe(), { file: golden(name) });
      expect(again.rows()).toEqual(dataset.rows());
      expect(preferenceExamples(again)).toEqual(preferenceExamples(dataset));
    },
  );

  it("shows conversations as JSON text, dates and large integers as text", async () => {
    const turns = [{ role: "user", content: "One?" }];
    const frame = await Dataset.from_rows([{ turns, when: new Date(0), big: 2n ** 60n, extra: { a: [1] } }]).to_dataframe();
    expect(frame.values).toEqual([[JSON.stringify(turns), "1970-01-01T00:00:00.000Z", "1152921504606846976", '{"a":[1]}']]);
    expect(Dataset.from_dataframe(frame).at(0)).toEqual({
      turns,
      when: "1970-01-01T00:00:00.000Z",
      big: "1152921504606846976",
      extra: '{"a":[1]}',
    });
    expect(Dataset.from_dataframe(frame, { json_columns: ["extra"] }).at(0)["extra"]).toEqual({ a: [1] });
    expect(() => Dataset.from_dataframe(frame, { json_columns: ["when"] })).toThrow(/row 0: when must be JSON text, got "1970/);
    expect(() => Dataset.from_dataframe(frame, { json_columns: ["extras"] })).toThrow(
      "json_columns must be columns of the frame, got extras; did you mean extra?",
    );
  });

  it("numbers rows by the frame's index, so that errors name the row of the table seen", async () => {
    const dataset = Dataset.from_rows(
      Array.from({ length: 5 }, (_, i) => ({ prompt: "p", chosen: i === 3 ? null : "c", rejected: "r", i })),
    );
    const frame = await dataset.to_dataframe();
    const part = Dataset.from_dataframe(frame.query(frame["i"].gt(1)), { file: "table" });
    expect(part.origin(0)).toEqual({ file: "table", row: 2 });
    expect(() => preferenceExamples(part)).toThrow(
      "table row 3: chosen must be text or a list of messages, got null; fill it in or drop the row",
    );
  });

  it("keeps a single column, and a column of nulls", async () => {
    for (const rows of [
      [{ a: "x" }, { a: "y" }],
      [
        { a: null, b: 1 },
        { a: null, b: 2 },
      ],
      [{ a: "x" }],
    ]) {
      expect(Dataset.from_dataframe(await Dataset.from_rows(rows).to_dataframe()).rows()).toEqual(rows);
    }
  });

  it("keeps the columns of an empty data set", async () => {
    const empty = Dataset.from_rows([{ a: 1, b: "x" }]).filter(() => false);
    const frame = await empty.to_dataframe();
    expect(frame.columns).toEqual(["a", "b"]);
    expect(Dataset.from_dataframe(frame).column_names).toEqual(["a", "b"]);
    expect(Dataset.from_dataframe(frame).length).toBe(0);
  });
});
