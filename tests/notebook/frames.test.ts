import { describe, expect, test } from "vitest";
import { describe_frame } from "../../src/notebook/index.js";
import { displaySymbol } from "../../src/notebook/mime.js";

/** As danfojs's frames look from outside. */
function frame(columns: string[], rows: unknown[][]): object {
  return { $isSeries: false, columns, index: rows.map((_, at) => at), shape: [rows.length, columns.length], values: rows };
}

describe("describe_frame", () => {
  // pandas 2.3: pd.Series([4, 1, None, 2.5]).describe() → count 3, mean 2.5, std 1.5, min 1, 25% 1.75, 50% 2.5, 75% 3.25, max 4
  test("numbers with missing ones, as pandas counts them", () => {
    expect(describe_frame(frame(["x"], [[4], [1], [null], [2.5]])).columns).toEqual([
      {
        column: "x",
        type: "number",
        count: 3,
        missing: 1,
        unique: 3,
        mean: 2.5,
        std: 1.5,
        min: 1,
        "25%": 1.75,
        "50%": 2.5,
        "75%": 3.25,
        max: 4,
        top: null,
        freq: null,
      },
    ]);
  });

  test("texts, booleans, mixed and empty columns", () => {
    const rows = [
      ["b", true, 1, undefined],
      ["a", false, "x", NaN],
      ["a", true, null, null],
    ];
    const shown = describe_frame(frame(["text", "flag", "mixed", "nothing"], rows)).columns.map(
      ({ type, count, missing, unique, top, freq }) => [type, count, missing, unique, top, freq],
    );
    expect(shown).toEqual([
      ["text", 3, 0, 2, "a", 2],
      ["boolean", 3, 0, 2, "true", 2],
      ["other", 2, 1, null, null, null],
      ["empty", 0, 3, null, null, null],
    ]);
  });

  test("one value has no standard deviation; the data stay as they were", () => {
    const rows = [[3], [1], [2]];
    const [summary] = describe_frame(frame(["x"], rows)).columns;
    expect(summary!["50%"]).toBe(2);
    expect(rows).toEqual([[3], [1], [2]]);
    expect(describe_frame(frame(["x"], [[7]])).columns[0]!.std).toBeNull();
  });

  test("shows itself as a table of the columns that apply, in the order of the frame, with texts in their own direction", () => {
    const bundle = describe_frame(frame(["سؤال", "n"], [["كم؟", 1]]))[displaySymbol]();
    expect(
      String(bundle["text/plain"])
        .split("\n")
        .map((line) => line.trim().split(/\s+/)[0]),
    ).toEqual(["type", "\u2067سؤال\u2069", "n"]);
    expect(bundle["text/html"]).toContain('<td dir="auto"');
    expect(describe_frame(frame(["n"], [[1]]))[displaySymbol]()["text/html"]).not.toContain(">top<");
  });

  test("anything else is refused", () => {
    expect(() => describe_frame([] as never)).toThrow(
      "describe_frame: must be given a danfojs DataFrame or Series, got object; make one with dataset.to_dataframe()",
    );
    expect(() => describe_frame(null as never)).toThrow(expect.objectContaining({ code: "describe_frame" }));
  });
});
