import { describe, expect, it } from "vitest";
import { Dataset, filterByLength } from "../../src/data/index.js";
import { DataError } from "../../src/errors.js";

/** Orders of ten rows under seed 7, written down once: a change of the generator or of `fork` shows here. */
const SHUFFLED_7 = [4, 5, 3, 2, 0, 6, 1, 7, 8, 9];
const TEST_7 = [5, 4, 9];

const ten = Dataset.from_rows(
  Array.from({ length: 10 }, (_, i) => ({ i, name: `n${i}` })),
  { file: "ten.jsonl" },
);

describe("Dataset", () => {
  it("has length, columns, rows, iteration and places", () => {
    expect([ten.length, ten.num_rows, ten.column_names]).toEqual([10, 10, ["i", "name"]]);
    expect([...ten]).toEqual(ten.rows());
    expect([ten.at(3), ten.at(-1)]).toEqual([
      { i: 3, name: "n3" },
      { i: 9, name: "n9" },
    ]);
    expect(ten.origin(3)).toEqual({ file: "ten.jsonl", row: 3 });
    expect(ten.column("i")).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const i of [10, -11, 1.5]) expect(() => ten.at(i)).toThrow(`a row index must be an integer in -10..9, got ${i}`);
  });

  it("never changes: rows are frozen copies", () => {
    const own = { a: 1 };
    const dataset = Dataset.from_rows([own]);
    own.a = 2;
    expect(dataset.at(0)).toEqual({ a: 1 });
    expect(() => (dataset.at(0)["a"] = 3)).toThrow(TypeError);
    expect(ten.filter(() => false).length).toBe(0);
    expect(ten.length).toBe(10);
  });

  it("keeps each row's place through every step", () => {
    const steps = ten
      .filter((row) => row["i"] % 2 === 1)
      .map((row) => ({ twice: row["i"] * 2 }))
      .rename_column("name", "label")
      .shuffle({ seed: 1 })
      .select(3);
    expect(steps.column_names).toEqual(["i", "label", "twice"]);
    steps.rows().forEach((row, i) => {
      expect(steps.origin(i)).toEqual({ file: "ten.jsonl", row: row["i"] });
      expect(row["twice"]).toBe(row["i"] * 2);
    });
  });

  it("selects the first n or given rows", () => {
    expect(ten.select(2).column("i")).toEqual([0, 1]);
    expect(ten.select(0).column_names).toEqual(["i", "name"]);
    expect(ten.select([3, -1, 3]).column("i")).toEqual([3, 9, 3]);
    expect(() => ten.select(11)).toThrow(
      "select: n must be an integer in 0..10 (the number of rows), got 11; write select(Math.min(n, dataset.length))",
    );
    expect(() => ten.select([10])).toThrow(DataError);
  });

  it("maps: fields are added or replaced, columns removed on request", () => {
    expect(ten.map((row, index) => ({ i: row["i"] + index, half: null }), { remove_columns: "name" }).at(2)).toEqual({ i: 4, half: null });
    expect(() => ten.map(() => undefined as unknown as object)).toThrow(
      "ten.jsonl row 0: map: the function must return an object of fields, got nothing",
    );
    expect(() => ten.map((row) => row, { remove_columns: ["nane"] })).toThrow(
      "the column must exist, got nane; the columns are i, name; did you mean name?",
    );
  });

  it("names the row in a DataError of a filter or map function, and leaves other errors alone", () => {
    const fail = (): never => {
      throw new DataError("data_type", "odd");
    };
    expect(() => ten.select([7]).filter(fail)).toThrow(
      expect.objectContaining({ message: "ten.jsonl row 7: odd", code: "data_type", row: 7 }),
    );
    expect(() =>
      ten.map(() => {
        throw new RangeError("own");
      }),
    ).toThrow(RangeError);
  });

  it("renames, removes and selects columns", () => {
    expect(ten.rename_column("i", "j").at(0)).toEqual({ j: 0, name: "n0" });
    expect(ten.rename_column("i", "j").column_names).toEqual(["j", "name"]);
    expect(ten.remove_columns(["i"]).column_names).toEqual(["name"]);
    expect(ten.select_columns(["name", "i"]).column_names).toEqual(["name", "i"]);
    expect(() => ten.rename_column("i", "name")).toThrow("rename_column: the new name must be free, got name");
    expect(() => ten.remove_columns("x")).toThrow(expect.objectContaining({ code: "data_columns" }));
  });

  it("fills missing values with null and refuses rows that are none", () => {
    expect(Dataset.from_rows([{ a: 1 }, { b: undefined }]).rows()).toEqual([
      { a: 1, b: null },
      { a: null, b: null },
    ]);
    expect(() => Dataset.from_rows([{}, [1] as never], { file: "f" })).toThrow("f row 1: a row must be an object, got a list");
  });
});

describe("seeded order", () => {
  it("is the same for a seed in every version: these orders must not change", () => {
    expect(ten.shuffle({ seed: 7 }).column("i")).toEqual(SHUFFLED_7);
    expect(ten.shuffle({ seed: 7 }).column("i")).toEqual(ten.shuffle({ seed: 7 }).column("i"));
    expect(ten.shuffle().column("i")).toEqual(ten.shuffle({ seed: 42 }).column("i"));
    expect(ten.shuffle({ seed: 8 }).column("i")).not.toEqual(SHUFFLED_7);
    expect(ten.shuffle({ seed: 7 }).column("i").sort()).toEqual(ten.column("i"));
    expect(() => ten.shuffle({ seed: 1.5 })).toThrow("shuffle: seed must be an integer, got 1.5");
  });

  it("splits without common rows", () => {
    const { train, test } = ten.train_test_split({ test_size: 0.25, seed: 7 });
    expect([train.length, test.length]).toEqual([7, 3]);
    expect([...train.column("i"), ...test.column("i")].sort()).toEqual(ten.column("i"));
    expect(test.column("i")).toEqual(TEST_7);
    expect(ten.train_test_split({ test_size: 2, shuffle: false }).test.column("i")).toEqual([8, 9]);
    for (const test_size of [0, -1, 1.5, NaN])
      expect(() => ten.train_test_split({ test_size })).toThrow(
        `test_size must be a share in (0, 1) or a number of rows, got ${test_size}`,
      );
    expect(() => ten.train_test_split({ test_size: 10 })).toThrow("both sides must have rows, got test_size 10 of 10 rows");
  });
});

describe("filterByLength", () => {
  const row = (prompt: unknown, chosen: unknown = "xxx", rejected: unknown = "xxx"): Record<string, unknown> => ({
    prompt,
    chosen,
    rejected,
  });

  it("keeps 30 to 300 characters, both included, in all three columns", () => {
    const x = (n: number): string => "x".repeat(n);
    const lengths = [29, 30, 300, 301];
    const dataset = Dataset.from_rows(
      lengths.flatMap((n) => [row(x(n), x(100), x(100)), row(x(100), x(n), x(100)), row(x(100), x(100), x(n))]),
    );
    const kept = dataset.filter(filterByLength({ min: 30, max: 300 }));
    expect(kept.rows().map((each) => [each["prompt"], each["chosen"], each["rejected"]].map((text: string) => text.length))).toEqual([
      [30, 100, 100],
      [100, 30, 100],
      [100, 100, 30],
      [300, 100, 100],
      [100, 300, 100],
      [100, 100, 300],
    ]);
  });

  it("counts code points: an emoji is one character, a base letter and its mark are two", () => {
    const keepsThree = filterByLength({ min: 3, max: 3 });
    for (const text of ["🍵🍵🍵", "شدة", "e\u0301x", "\ud83dab"]) expect(keepsThree(row(text)), text).toBe(true);
    for (const text of ["👍🏽", "سؤال", "🍵🍵"]) expect(keepsThree(row(text)), text).toBe(false);
  });

  it("counts a conversation's contents, and only the columns asked for", () => {
    const turns = [
      { role: "user", content: "ab" },
      { role: "assistant", content: "c" },
    ];
    expect(filterByLength({ min: 3, max: 3 })(row(turns))).toBe(true);
    expect(filterByLength({ max: 2, columns: ["prompt"] })(row(turns))).toBe(false);
    expect(filterByLength({ max: 1, columns: [] })(row(turns))).toBe(true);
  });

  it("refuses bad ranges, unknown options, missing columns and other values", () => {
    expect(() => filterByLength({ min: 5, max: 4 })).toThrow("must have 0 <= min <= max, got min 5 and max 4");
    expect(() => filterByLength({ min: NaN })).toThrow(expect.objectContaining({ name: "ConfigError", code: "option_range" }));
    expect(() => filterByLength({ mim: 3 } as object)).toThrow("options must be known, got mim; did you mean min?");
    const dataset = Dataset.from_rows([{ promt: "a", chosen: "b", rejected: "c" }], { file: "f.csv" });
    expect(() => dataset.filter(filterByLength({ min: 1 }))).toThrow(
      "f.csv row 0: filterByLength: the column must exist, got prompt; did you mean promt?",
    );
    expect(() => filterByLength({ min: 1 })(row(7))).toThrow("filterByLength: prompt must be text or a list of messages, got a number (7)");
  });
});
