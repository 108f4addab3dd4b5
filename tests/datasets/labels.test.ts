import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../../scripts/corpus/pairs.js";
import { labelColumns, labelRows, languages } from "../../scripts/labels/index.js";
import { fixTimes, labelsToXlsx } from "../../scripts/labels/workbook.js";
import { load_dataset } from "../../src/data/index.js";

const file = join(packageRoot(), "datasets", "pii-labels", "labels.xlsx");
const rows = labelRows();
const of = (split: string) => rows.filter((row) => row.split === split);
const folded = (text: string): string => text.toLowerCase().normalize("NFKD").replace(/\p{Mark}/gu, "");

describe("labels.xlsx", () => {
  it("holds the rows of the lists and is what make-datasets writes, byte for byte", async () => {
    const dataset = await load_dataset(join(file, ".."));
    expect(dataset.column_names).toEqual(labelColumns);
    expect(dataset.rows()).toEqual(rows);
    expect(Buffer.from(await labelsToXlsx(rows)).equals(readFileSync(file))).toBe(true);
  });

  it("has the documented number of rows, half of them sensitive in every language of every split", () => {
    expect([of("train").length, of("validation").length, of("test").length]).toEqual([640, 128, 256]);
    for (const split of ["train", "validation", "test"]) {
      for (const language of languages) {
        const there = of(split).filter((row) => row.language === language);
        expect(there.length, `${split} ${language}`).toBe(of(split).length / languages.length);
        expect(there.filter((row) => row.sensitive === "yes").length, `${split} ${language}`).toBe(there.length / 2);
      }
    }
  });

  it("has each concept in one split, and each text in one concept, accents and capitals aside", () => {
    const splits = new Map<string, Set<string>>();
    const concepts = new Map<string, Set<string>>();
    const add = (map: Map<string, Set<string>>, key: string, value: string) => map.set(key, (map.get(key) ?? new Set()).add(value));
    for (const row of rows) {
      add(splits, row.concept, row.split);
      add(concepts, folded(row.label), row.concept);
    }
    expect([...splits].filter(([, names]) => names.size > 1)).toEqual([]);
    expect([...concepts].filter(([, names]) => names.size > 1)).toEqual([]);
    expect(splits.size).toBe(128);
    expect(new Set(rows.map(({ language, label }) => `${language}:${folded(label)}`)).size).toBe(rows.length);
  });

  it("writes Arabic in Arabic letters and Chinese in Chinese ones, all in normal form C", () => {
    for (const { label, language } of rows) {
      if (language === "Arabic") expect(label).toMatch(/^[\p{Script=Arabic}\s]+$/u);
      else if (language === "Chinese") expect(label).toMatch(/^(?:IP)?\p{Script=Han}+$/u);
      else expect(label).toMatch(/^[\p{Script=Latin}\s'’-]+$/u);
      expect(label).toBe(label.normalize("NFC"));
    }
  });

  it("gives sensitive and neutral labels the same head words, so that one word does not settle all", () => {
    for (const word of ["number", "name", "date", "code", "address"]) {
      const found = rows.filter(({ language, label }) => language === "English" && label.split(" ").includes(word));
      expect(new Set(found.map(({ sensitive }) => sensitive)), word).toEqual(new Set(["yes", "no"]));
    }
  });
});

describe("fixTimes", () => {
  it("refuses bytes that are no zip archive", () => {
    for (const bytes of [new Uint8Array(3), new Uint8Array(100), readFileSync(file).subarray(0, 5000)])
      expect(() => fixTimes(bytes)).toThrow(expect.objectContaining({ code: "zip_malformed" }));
  });
});

const python = process.env.PREFLAB_PYTHON ?? "python3";
const probe = spawnSync(python, ["-c", "import openpyxl"]);
const missing = probe.status !== 0;

describe.skipIf(missing)(`with Python's openpyxl${missing ? ` (skipped: ${python} does not have it; set PREFLAB_PYTHON)` : ""}`, () => {
  it("reads the same rows", () => {
    const script = `import json, sys, openpyxl
sheet = openpyxl.load_workbook(sys.argv[1])["labels"]
print(json.dumps(list(sheet.values)))`;
    const result = spawnSync(python, ["-W", "ignore", "-c", script, file], { encoding: "utf8" }); // it warns that there is no default style
    expect(result.stderr).toBe("");
    expect(JSON.parse(result.stdout)).toEqual([labelColumns, ...rows.map((row) => labelColumns.map((name) => row[name]))]);
  });
});
