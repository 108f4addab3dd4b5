/** docs/parity.md: every option of TRL's classes has its place here, and what the page says is so. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { PARITY_TABLES, compareOptions, formatParity, readReference } from "../../scripts/parity.js";
import { type OptionEntries, defineOptions } from "../../src/config/index.js";
import { LoraConfig } from "../../src/model/index.js";

const ROOT = resolve(import.meta.dirname, "../..");
const { reference, checked } = readReference(ROOT);
const classes = Object.entries(PARITY_TABLES).map(
  ([name, table]) => [name, table, compareOptions(reference.classes[name]!, table)] as const,
);
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

test("docs/parity.md is what tables, reference and docs/parity-tests.md say (rerun scripts/make-option-docs.ts)", () => {
  expect(read("docs/parity.md")).toBe(formatParity(reference, checked));
});

describe("options", () => {
  test("the reference is TRL 1.13 with all its classes", () => {
    expect(reference.versions).toEqual({ trl: "1.13.0", transformers: "5.18.0", peft: "0.21.0" });
    expect(Object.keys(reference.classes)).toEqual(Object.keys(PARITY_TABLES));
    expect(Object.values(reference.classes).map((options) => Object.keys(options).length)).toEqual([137, 133, 129, 126, 122, 42]);
  });

  test.each(classes)("every option of %s is known", (_name, _table, rows) => {
    expect(rows.filter(({ status }) => status === "unknown").map(({ name }) => name)).toEqual([]);
  });

  test.each(classes)("a supported default that differs says why: %s", (_name, table, rows) => {
    const silent = rows.filter(
      ({ name, sameDefault }) => !sameDefault && table.specs.get(table.canonicalName(name)!)!.differs === undefined,
    );
    expect(silent.map(({ name }) => name)).toEqual([]);
    expect(rows.filter(({ sameDefault }) => !sameDefault).length, "the check sees some").toBeGreaterThan(0);
  });

  test.each(classes)("a value of TRL's that is not offered is refused with a reason, or told: %s", (_name, table, rows) => {
    const silent = rows.filter(({ name, missingValues }) => missingValues.length > 0 && table.specs.get(name)!.differs === undefined);
    expect(silent.map(({ name, missingValues }) => `${name}: ${missingValues.join(", ")}`)).toEqual([]);
  });

  test.each(classes)("TRL's own defaults of what is no option here ask for nothing, silently: %s", (name, table, rows) => {
    const absent = rows.filter(({ status }) => status === "no effect" || status === "refused");
    expect(absent.length).toBeGreaterThan(10);
    const input = Object.fromEntries(absent.map((row) => [row.name, row.theirs.default]));
    if (name === "LoraConfig") {
      // Its keys are sorted by LoraConfig itself; runtime_config is an object in Python.
      expect(() => new LoraConfig({ ...input, runtime_config: null } as object)).not.toThrow();
      return;
    }
    const notes: string[] = [];
    expect(table.check(input, { where: name, onNote: (note) => void notes.push(note) })).toEqual({});
    expect(notes).toEqual([]);
  });

  test("the comparison sees what is wrong", () => {
    const table = defineOptions("made up", {
      same: { type: "number", default: 1, help: "" },
      list: { type: "string", list: true, default: ["x"], choices: ["x", "y"], help: "" },
      told: { type: "boolean", default: true, help: "", differs: "Off there" },
      gone: { removed: "nothing to do" },
    } satisfies OptionEntries);
    const theirs = {
      same: { default: 2 },
      list: { default: "x", values: ["x", "z"] },
      told: { default: false },
      gone: { default: null },
      new: { default: 3 },
    };
    expect(compareOptions(theirs, table)).toMatchObject([
      { name: "same", status: "differs", sameDefault: false, note: "default here `1`" },
      { name: "list", status: "differs", sameDefault: true, missingValues: ["z"], note: "not offered: z. only here: y" },
      { name: "told", status: "differs", sameDefault: false, note: "default here `true`. Off there" },
      { name: "gone", status: "no effect", note: "nothing to do" },
      { name: "new", status: "unknown" },
    ]);
  });
});

describe("where it is checked", () => {
  const rows = checked
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| behaviour"))
    .map((line) => line.split(" | "))
    .map(([behaviour, file, titles, numbers]) => ({ behaviour: behaviour!.slice(2), file: file!.slice(1, -1), titles, numbers: numbers! }));

  test("the table is read", () => {
    expect(rows.length).toBeGreaterThan(40);
  });

  test.each(rows.map((row) => [row.behaviour, row] as const))("%s", (_behaviour, { file, titles, numbers }) => {
    expect(existsSync(join(ROOT, file)), file).toBe(true);
    const text = read(file);
    const named = [...titles!.matchAll(/"([^"]+)"/g)].map(([title]) => title);
    expect(named.length).toBeGreaterThan(0);
    for (const title of named) expect(text).toContain(title);
    const golden = [...numbers.matchAll(/`([^`]+)`/g)].map(([, path]) => path!);
    if (golden.length === 0) expect(numbers).toMatch(/^(derived in the test|Python) \|$/);
    const sources = withImports(file);
    for (const path of golden) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      const name = /tests\/golden\/([\w]+)/.exec(path)![1]!;
      expect(namesFile(sources, name), `${file} or what it imports of tests/ names ${name}`).toBe(true);
    }
  });
});

/** The text of a test and of everything in tests/ and scripts/ that it imports. */
function withImports(file: string, seen = new Set<string>()): string {
  if (seen.has(file) || !existsSync(join(ROOT, file))) return "";
  seen.add(file);
  const text = read(file);
  const imports = [...text.matchAll(/from "(\.[^"]+)\.js"/g)].map(([, path]) => join(dirname(file), `${path!}.ts`));
  return (
    text +
    imports
      .filter((path) => /^(tests|scripts)\//.test(path))
      .map((path) => withImports(path, seen))
      .join("")
  );
}

/** Whether a text names a golden file, whole or as `tokenized_${name}`. */
function namesFile(text: string, name: string): boolean {
  if (text.includes(name)) return true;
  return [...text.matchAll(/([a-z_]+_)\$\{/g)].some(([, start]) => name.startsWith(start!) && text.includes(name.slice(start!.length)));
}
