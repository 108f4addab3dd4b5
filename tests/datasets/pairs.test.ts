import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PairRow } from "../../scripts/corpus/pairs.js";
import { packageRoot, pairFolders, readPairs } from "../../scripts/corpus/pairs.js";
import { chatsToJsonl, listFiles, pairsToParquet, updateTable } from "../../scripts/make-datasets.js";
import { load_dataset } from "../../src/data/index.js";
import { DataError } from "../../src/errors.js";

const datasets = join(packageRoot(), "datasets");
const read = (folder: string, split: string): PairRow[] => readPairs(join(datasets, folder, `${split}.jsonl`));
const texts = (row: PairRow): [string, string, string] => [row.prompt, row.chosen, row.rejected];
const inRange = (text: string): boolean => text.length >= 30 && text.length <= 300;

const expectedRows: Record<string, { train: number; test: number }> = {
  "truthy-dpo-mini": { train: 142, test: 48 },
  "arabic-dpo-mini": { train: 48, test: 14 },
};

describe.each(pairFolders)("%s", (folder) => {
  const train = read(folder, "train");
  const test = read(folder, "test");

  it("has the documented number of rows", () => {
    expect({ train: train.length, test: test.length }).toEqual(expectedRows[folder]);
  });

  it.each(["train", "test"])("%s.parquet holds the rows of the JSONL and is what make-datasets writes", async (split) => {
    const bytes = readFileSync(join(datasets, folder, `${split}.parquet`));
    const file = new Uint8Array(bytes).buffer;
    expect(await parquetReadObjects({ file })).toEqual(read(folder, split));
    expect(Buffer.from(pairsToParquet(read(folder, split))).equals(bytes)).toBe(true);
  });

  it("shares no prompt and no answer between train and test", () => {
    const known = new Set(train.flatMap(texts).map((text) => text.toLowerCase()));
    expect(test.flatMap(texts).filter((text) => known.has(text.toLowerCase()))).toEqual([]);
  });

  it("names each test pair after a train pair of the same area", () => {
    for (const row of test) {
      const partner = train.find(({ id }) => `${id}.test` === row.id);
      expect(partner?.source, row.id).toBe(row.source);
    }
  });

  it("has no prompt twice, and no pair of equal answers", () => {
    for (const rows of [train, test]) {
      expect(new Set(rows.map(({ prompt }) => prompt)).size).toBe(rows.length);
      expect(rows.filter(({ chosen, rejected }) => chosen === rejected)).toEqual([]);
    }
  });
});

describe("truthy-dpo-mini", () => {
  const train = read("truthy-dpo-mini", "train");

  it("has 14 rows outside 30 to 300 characters, too short and too long ones in every column", () => {
    expect(train.filter((row) => !texts(row).every(inRange))).toHaveLength(14);
    for (const column of ["prompt", "chosen", "rejected"] as const) {
      expect(train.filter((row) => row[column].length < 30).length, `short ${column}`).toBeGreaterThan(0);
      expect(train.filter((row) => row[column].length > 300).length, `long ${column}`).toBeGreaterThan(0);
    }
  });

  it("has such rows among the first seven, so that filtering first or selecting first makes a difference", () => {
    expect(train.slice(0, 7).filter((row) => !texts(row).every(inRange)).length).toBeGreaterThan(0);
  });

  it("keeps every test pair inside 30 to 300 characters", () => {
    expect(read("truthy-dpo-mini", "test").filter((row) => !texts(row).every(inRange))).toEqual([]);
  });

  it("has true answers with yes and with no, so that one word does not settle all", () => {
    const count = (word: string) => train.filter(({ chosen }) => chosen.startsWith(`${word}, `)).length;
    expect(count("Yes")).toBeGreaterThanOrEqual(14);
    expect(count("No")).toBeGreaterThanOrEqual(40);
  });
});

describe("arabic-dpo-mini", () => {
  it("is written in Arabic letters throughout", () => {
    for (const row of [...read("arabic-dpo-mini", "train"), ...read("arabic-dpo-mini", "test")]) {
      for (const text of [...texts(row), row.system]) {
        expect(text, row.id).toMatch(/^[\p{Script=Arabic}\p{Script=Inherited}\s.,:،؟]+$/u);
        expect(text, row.id).not.toMatch(/,/); // the Arabic comma is meant
      }
    }
  });
});

describe("truthy-sft-mini", () => {
  it.each(["train", "test"] as const)("holds the prompts and better answers of the pairs (%s)", async (split) => {
    const chats = await load_dataset(join(datasets, "truthy-sft-mini"), { split });
    expect(chats.rows().map(({ messages }) => messages)).toEqual(
      read("truthy-dpo-mini", split).map(({ prompt, chosen }) => [
        { role: "user", content: prompt },
        { role: "assistant", content: chosen },
      ]),
    );
    expect(readFileSync(join(datasets, "truthy-sft-mini", `${split}.jsonl`), "utf8")).toBe(chatsToJsonl(read("truthy-dpo-mini", split)));
  });
});

describe("datasets/README.md", () => {
  const readme = readFileSync(join(datasets, "README.md"), "utf8");

  it("states rows and SHA-256 of every file as they are", () => {
    const files = listFiles(datasets);
    expect(files).toHaveLength(11);
    for (const { file, rows, sha256 } of files) expect(readme).toContain(`| \`${file}\` | ${rows} | \`${sha256}\` |`);
    expect(updateTable(readme, files)).toBe(readme);
  });

  it("cannot lose its table silently", () => {
    expect(() => updateTable("no markers", [])).toThrow(/datasets\/README\.md must hold <!-- files/);
  });
});

describe("readPairs", () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "pairs-"))));
  afterAll(() => rmSync(folder, { recursive: true }));

  const good = { id: "a", source: "s", system: "y", prompt: "p", chosen: "c", rejected: "r" };
  const attempt = (content: string): DataError => {
    const file = join(folder, "rows.jsonl");
    writeFileSync(file, content);
    try {
      readPairs(file);
    } catch (error) {
      if (error instanceof DataError) return error;
      throw error;
    }
    throw new Error("readPairs accepted the file");
  };
  const lines = (...rows: unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

  it.each([
    ["broken JSON", `${lines(good)}{"id": \n`, "pairs_json", 1],
    ["an array", lines([1]), "pairs_json", 0],
    ["an empty line", `${lines(good)}\n`, "pairs_json", 1],
    ["a missing column", lines({ ...good, chosen: undefined }), "pairs_columns", 0],
    ["another order of columns", lines(Object.fromEntries(Object.entries(good).reverse())), "pairs_columns", 0],
    ["an empty answer", lines({ ...good, chosen: " " }), "pairs_text", 0],
    ["a number", lines({ ...good, prompt: 3 }), "pairs_text", 0],
    ["text that is not in normal form C", lines({ ...good, prompt: "cafe\u0301" }), "pairs_text", 0],
    ["an id used twice", lines(good, good), "pairs_id", 1],
  ])("refuses %s and names the row", (_, content, code, row) => {
    expect(attempt(content)).toMatchObject({ code, row });
  });

  it("refuses a last line without its newline", () => {
    expect(attempt(lines(good).trimEnd())).toMatchObject({ code: "pairs_ending" });
  });
});
