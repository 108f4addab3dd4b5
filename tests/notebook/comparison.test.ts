import { expect, test } from "vitest";
import { compareNotebooks, compareTexts } from "../../src/notebook/comparison.js";
import type { CodeCell, Notebook, Output } from "../../src/notebook/nbformat.js";
import { recordRun } from "../../src/notebook/runRecord.js";
import { code, notebookOf } from "./notebooks.js";

const ran = (source: string, count: number | null, ...outputs: Output[]): CodeCell => ({
  ...(code(source) as CodeCell),
  execution_count: count,
  outputs,
});
const print = (text: string): Output => ({ output_type: "stream", name: "stdout", text });
const result = (data: Record<string, unknown>): Output => ({ output_type: "execute_result", data, metadata: {}, execution_count: 1 });
const kinds = (held: Notebook, fresh: Notebook = held, options = {}): string[] =>
  compareNotebooks(held, fresh, options).map(
    ({ kind, index, note }) => `${kind}${index === undefined ? "" : ` ${index}`}${note ? " (note)" : ""}`,
  );
const again = (held: Notebook): Notebook => ({
  ...held,
  cells: held.cells.map((cell, at) => (cell.cell_type === "code" ? { ...cell, execution_count: at + 1 } : cell)),
});

test("numbers near each other are the same, words must be equal", () => {
  expect(compareTexts("loss 0.693147 at 1e-4", "loss 0.6931471 at 0.0001", {})).toBeUndefined();
  expect(compareTexts("a\nloss 0.693", "a\nloss 0.694", {})).toBe('line 2 was "loss 0.693", is "loss 0.694"');
  expect(compareTexts("loss 0.693", "loss 0.694", { rtol: 0.01 })).toBeUndefined();
  expect(compareTexts("loss 1", "lass 1", { rtol: 1 })).toContain("line 1 was");
  expect(compareTexts("1 2", "1", {})).toContain("line 1 was");
  expect(compareTexts("v1.2.3", "v1.2.4", { rtol: 1 })).toContain("line 1 was");
  expect(compareTexts("done in 12 s", "done in 9 s", { ignore: [/in \d+ s/gu] })).toBeUndefined();
});

test("the same outputs: nothing is found; streams count as whole texts", () => {
  const held = notebookOf(ran("a", 1, print("1\n"), print("2\n")), ran("b", 2, result({ "text/plain": "3", "image/png": "AAAA" })));
  const fresh = notebookOf(ran("a", 1, print("1\n2\n")), ran("b", 2, result({ "text/plain": "3", "image/png": "BBBB" })));
  expect(kinds(held, fresh)).toEqual([]);
});

test("other values, other kinds, numbers deep in JSON", () => {
  const held = notebookOf(ran("a", 1, print("1")), ran("b", 2, result({ "application/json": { data: [{ y: [1, 2] }] } })), ran("c", 3));
  const fresh = notebookOf(
    ran("a", 1, print("2")),
    ran("b", 2, result({ "application/json": { data: [{ y: [1, 2.1] }] } })),
    ran("c", 3, print("new")),
  );
  expect(compareNotebooks(held, fresh).map(({ text }) => text)).toEqual([
    'stdout: line 1 was "1", is "2"',
    "application/json: data: 0: y: 1: was 2, is 2.1",
    "it showed nothing, now stdout",
  ]);
});

test("order: before a cell above, not run, a gap, outputs of an earlier run, nothing at all", () => {
  const order = notebookOf(ran("a", 3), ran("b", 1), ran("c", 4));
  expect(kinds(order, again(order))).toEqual(["gap 0 (note)", "out_of_order 1"]);
  const unrun = notebookOf(ran("a", 1), ran("b", null), ran("c", null, print("old")));
  expect(kinds(unrun, { ...again(unrun) })).toEqual(["not_run 1", "stale 2"]);
  expect(kinds(notebookOf(code("a"), code("b")))).toEqual(["not_run"]);
});

test("errors: new, gone, and cells that are not reached", () => {
  const error: Output = { output_type: "error", ename: "Error", evalue: "no", traceback: [] };
  const held = notebookOf(ran("a", 1), ran("b", 2, error), ran("c", 3));
  const fresh = notebookOf(ran("a", 1, error), ran("b", 2), ran("c", null));
  expect(compareNotebooks(held, fresh).map(({ kind, text }) => `${kind}: ${text}`)).toEqual([
    "error: it fails with Error: no",
    "error: it failed with Error: no, and no longer does",
    "not_run: it could not be run again: a cell above it fails",
  ]);
});

test("the record: a source changed since, another seed, another environment", () => {
  const seed: CodeCell = { ...ran("const seed = 1;", 1), metadata: { tags: ["parameters"] } };
  const held = notebookOf(seed, ran("b", 2, print("x")));
  recordRun(held, [{ index: 0 }, { index: 1 }]);
  expect(kinds(held)).toEqual([]);
  expect(held.metadata["preflab"]).toMatchObject({ run: { seed: "1", environment: { node: process.versions.node } } });
  (held.metadata["preflab"] as { run: { environment: { node: string } } }).run.environment.node = "1.2.3";
  seed.source = "const seed = 2; // another";
  expect(kinds(held)).toEqual(["stale 0", "seed", "environment (note)"]);
});

test("a tag keeps a cell from being compared", () => {
  const held = notebookOf({ ...ran("a", 1, print("1")), metadata: { tags: ["nbval-ignore-output"] } });
  expect(kinds(held, notebookOf(ran("a", 1, print("2"))))).toEqual([]);
});
