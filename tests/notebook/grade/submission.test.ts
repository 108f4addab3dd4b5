import { describe, expect, test } from "vitest";
import { gradeTests } from "../../../src/notebook/grade/grader.js";
import { diffLines } from "../../../src/notebook/grade/lineDiff.js";
import { prepareSubmission } from "../../../src/notebook/grade/submission.js";
import type { CodeCell, Notebook, Output } from "../../../src/notebook/nbformat.js";
import { code } from "../notebooks.js";
import { exercise, handIn, SOLVED } from "./exercise.js";

const assignment = exercise();
const prepare = (notebook: Notebook) => prepareSubmission(assignment, notebook);
const found = (notebook: Notebook): string[] => prepare(notebook).findings.map(({ kind, id }) => `${kind} ${id}`);
const without = (notebook: Notebook, id: string): Notebook => ({ ...notebook, cells: notebook.cells.filter((cell) => cell.id !== id) });

describe("what was tampered with", () => {
  test("nothing in an honest submission, with cells of its own and other line ends", () => {
    const notebook = handIn(SOLVED);
    notebook.cells.splice(4, 0, code("double(1)", [], "mine"));
    for (const cell of notebook.cells) if (cell.id !== "double") cell.source = cell.source.replaceAll("\n", "\r\n") + "\n";
    const { findings, notebook: run, untouched } = prepare(notebook);
    expect(findings).toEqual([]);
    expect(untouched.size).toBe(0);
    expect(run.cells.map(({ id }) => id).slice(1)).toEqual([
      "parameters",
      "helpers",
      "double",
      "mine",
      "test-double",
      "root",
      "test-root",
      "why",
    ]);
  });

  test("an edited test: it is named, and the instructor's is run with its hidden part", () => {
    const { findings, notebook } = prepare(handIn({ ...SOLVED, "test-double": "check(true, 'easy');" }));
    expect(findings).toMatchObject([{ kind: "edited", id: "test-double", submitted: "check(true, 'easy');" }]);
    expect(notebook.cells.find(({ id }) => id === "test-double")!.source).toContain("double(5) === 10");
  });

  test("deleted cells: tests and helpers come back, a deleted solution counts as not written", () => {
    const gone = without(without(handIn(SOLVED), "test-double"), "root");
    expect(found(gone)).toEqual(["deleted test-double", "deleted root"]);
    const { notebook, untouched } = prepare(gone);
    expect(notebook.cells.find(({ id }) => id === "root")!.source).toContain("YOUR CODE HERE");
    expect([...untouched]).toEqual(["root"]);
    expect(notebook.cells.map(({ id }) => id)).toContain("test-double");
  });

  test("a cell twice, cells in another order, changed points, a forged checksum", () => {
    const twice = handIn(SOLVED);
    twice.cells.push({ ...twice.cells[4]!, id: "copy" });
    expect(found(twice)).toEqual(["duplicated test-double"]);
    const moved = handIn(SOLVED);
    moved.cells.splice(1, 0, ...moved.cells.splice(6, 1));
    expect(found(moved)).toEqual(["moved test-root"]);
    const rich = handIn(SOLVED);
    (rich.cells[4]!.metadata["nbgrader"] as { points: number }).points = 100;
    expect(found(rich)).toEqual(["points test-double"]);
    const forged = handIn(SOLVED);
    (forged.cells[4]!.metadata["nbgrader"] as { checksum: string }).checksum = "0".repeat(32);
    expect(found(forged)).toEqual(["edited test-double"]);
  });

  test("a helper redefined, in an own cell or a solution: the tests that use it give nothing", () => {
    const own = handIn(SOLVED);
    own.cells.splice(3, 0, code("function check(): void {}", [], "mine"));
    expect(found(own)).toEqual(["redefined mine"]);
    expect(prepare(own).undermined).toEqual(new Map([["test-double", ["check"]]]));
    expect(found(handIn({ ...SOLVED, root: `${SOLVED.root}\nconst check = () => {};` }))).toEqual(["redefined root"]);
  });

  test("a cell of the student's own cannot claim to be a test", () => {
    const notebook = handIn(SOLVED);
    notebook.cells.push({ ...code("99", [], "mine"), metadata: { nbgrader: { grade: true, points: 99, grade_id: "extra" } } });
    expect(prepare(notebook).notebook.cells.at(-1)!.metadata).toEqual({});
  });
});

describe("points", () => {
  const clean = { undermined: new Map<string, string[]>(), untouched: new Set<string>() };
  const grade = (outputs: Output[], options: { ran?: boolean; error?: string } = {}, prepared = clean) => {
    const { notebook } = prepare(handIn(SOLVED));
    const at = notebook.cells.findIndex(({ id }) => id === "test-root");
    (notebook.cells[at] as CodeCell).outputs = outputs;
    const error = options.error === undefined ? {} : { error: { ename: "Error", evalue: options.error, traceback: [] } };
    const outcomes = options.ran === false ? [] : [{ index: at, id: "test-root", title: "", seconds: 0, tolerated: false, ...error }];
    const { status, points, note } = gradeTests(assignment, notebook, outcomes, prepared).find(({ id }) => id === "test-root")!;
    return [status, points, note];
  };
  const value = (text: string): Output[] => [
    { output_type: "execute_result", data: { "text/plain": text }, metadata: {}, execution_count: 1 },
  ];

  test("nbgrader's rule, but silence is no pass", () => {
    expect(grade([])).toEqual(["passed", 3, undefined]);
    expect(grade(value("'text'"))).toEqual(["passed", 3, undefined]);
    expect(grade(value("2"))).toEqual(["partial", 2, "2 of 3 points"]);
    expect(grade(value("0"))).toEqual(["failed", 0, "0 of 3 points"]);
    expect(grade(value("3"))).toEqual(["passed", 3, undefined]);
    expect(grade(value("7"))).toEqual(["failed", 0, "the test gave 7 points, which must be 0 to 3"]);
    expect(grade(value("3"), { error: "no" })).toEqual(["failed", 0, "Error: no"]);
    expect(grade([], { ran: false })).toEqual(["not_run", 0, "the run ended before this test"]);
    expect(grade([], {}, { ...clean, undermined: new Map([["test-root", ["check"]]]) })).toEqual([
      ...["failed", 0, "the test uses check, which the submission redefined"],
    ]);
  });

  test("written answers wait for a person, unless nothing was written", () => {
    const status = (untouched: string[]) =>
      gradeTests(assignment, prepare(handIn(SOLVED)).notebook, [], { ...clean, untouched: new Set(untouched) }).find(
        ({ id }) => id === "why",
      );
    expect(status([])).toEqual({ id: "why", status: "manual", points: 0, max_points: 4, note: "a person marks this" });
    expect(status(["why"])).toMatchObject({ status: "failed", note: "nothing was written" });
  });
});

test("diff of lines", () => {
  expect(diffLines("a\nb\nc", "a\nx\nc\nd").map(({ kind, text }) => `${kind[0]}${text}`)).toEqual(["sa", "rb", "ax", "sc", "ad"]);
});
