import { describe, expect, it } from "vitest";
import { packRows, type PackingStrategy } from "../../src/text/index.js";
import { readGolden } from "./golden.js";

interface GoldenFile {
  sets: {
    lengths: number[];
    /** Each packed row is a flat list: row, first, length of each piece. */
    cases: { strategy: PackingStrategy; max_length: number; rows: number[][] }[];
  }[];
}
const file = readGolden<GoldenFile>("packing.json");

/** Longer than any row, so that an id tells its row and its place there. */
const OFFSET = 10_000;

function numberedRows(lengths: readonly number[]): { input_ids: number[]; labels: number[] }[] {
  return lengths.map((length, row) => {
    const input_ids = Array.from({ length }, (_, place) => row * OFFSET + place);
    return { input_ids, labels: input_ids.map((id) => -id - 1) };
  });
}

function idsOf(pieces: readonly number[]): number[] {
  const ids: number[] = [];
  for (let i = 0; i < pieces.length; i += 3)
    for (let place = 0; place < pieces[i + 2]!; place++) ids.push(pieces[i]! * OFFSET + pieces[i + 1]! + place);
  return ids;
}

const cases = file.sets.flatMap(({ lengths, cases: each }) => each.map((one) => ({ ...one, lengths, count: lengths.length })));

describe("packed rows equal TRL's pack_dataset", () => {
  it("covers 11 cases, one of more rows than are packed at a time", () => {
    expect(cases).toHaveLength(11);
    expect(Math.max(...cases.map(({ count }) => count))).toBeGreaterThan(1000);
  });

  it.each(cases)("$strategy, $count rows, max_length $max_length", ({ lengths, strategy, max_length, rows: expected }) => {
    const { rows } = packRows(numberedRows(lengths), { max_length, packing_strategy: strategy });
    expect(rows.map(({ input_ids }) => input_ids)).toEqual(expected.map(idsOf));
    rows.forEach(({ input_ids, labels, segments }, r) => {
      const lengthsOfPieces = expected[r]!.filter((_, i) => i % 3 === 2);
      const starts = new Set(segments.map(({ start }) => start));
      expect(segments.map(({ length }) => length)).toEqual(strategy === "wrapped" ? [input_ids.length] : lengthsOfPieces);
      segments.forEach(({ start }, s) => {
        expect(start).toBe(segments.slice(0, s).reduce((sum, { length }) => sum + length, 0));
      });
      expect(labels).toEqual(input_ids.map((id, i) => (strategy !== "wrapped" && starts.has(i) ? -100 : -id - 1)));
    });
  });
});

describe("packRows", () => {
  it("tells of rows that are cut or divided", () => {
    const rows = numberedRows([3, 9, 4]);
    expect(packRows(rows, { max_length: 8 }).warnings).toEqual([
      "1 of 3 rows are cut to max_length 8; raise max_length, or keep all tokens with packing_strategy bfd_split",
    ]);
    expect(packRows(rows, { max_length: 8, packing_strategy: "bfd_split" }).warnings[0]).toContain(
      "1 of 3 rows are divided into pieces of max_length 8 that do not see each other",
    );
    expect(packRows(rows, { max_length: 8, packing_strategy: "wrapped" }).warnings).toEqual([]);
    expect(packRows(rows, { max_length: 9 }).warnings).toEqual([]);
  });

  it("packs nothing into nothing", () => expect(packRows([], { max_length: 8 })).toEqual({ rows: [], warnings: [] }));

  it("refuses bad options", () => {
    const error = (message: string): unknown => expect.objectContaining({ name: "ConfigError", code: "option_range", message });
    expect(() => packRows([], { max_length: 0 })).toThrow(
      error("packRows: max_length must be an integer >= 1, got 0; packing needs a length to pack to") as Error,
    );
    expect(() => packRows([], { max_length: null as unknown as number })).toThrow(
      error("packRows: max_length must be an integer >= 1, got null; packing needs a length to pack to") as Error,
    );
    expect(() => packRows([], { max_length: 8, packing_strategy: "ffd" as "bfd" })).toThrow(
      error("packRows: packing_strategy must be one of bfd, bfd_split, wrapped, got ffd") as Error,
    );
  });
});
