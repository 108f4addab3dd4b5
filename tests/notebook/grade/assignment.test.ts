import { describe, expect, test } from "vitest";
import { declaredNames, readAssignment, studentNotebook } from "../../../src/notebook/grade/assignment.js";
import { cutRegions } from "../../../src/notebook/grade/markers.js";
import { gradeChecksum, readGradeMetadata } from "../../../src/notebook/grade/metadata.js";
import { readNotebook, type Cell } from "../../../src/notebook/nbformat.js";
import { code, markdown, notebookOf } from "../notebooks.js";
import { exercise, instructorNotebook } from "./exercise.js";

describe("the student version", () => {
  const cells = new Map(studentNotebook(exercise()).cells.map((cell) => [cell.id, cell]));

  test("has stubs for solutions and no hidden tests", () => {
    expect(cells.get("double")!.source).toBe(
      'function double(x: number): number {\n  // YOUR CODE HERE\n  throw new Error("not implemented yet");\n}',
    );
    expect(cells.get("test-double")!.source).toBe("check(double(2) === 4, 'double(2) is 4');\n");
    expect(cells.get("why")!.source).toBe("Why?\n\nYOUR ANSWER HERE");
    expect(JSON.stringify([...cells.values()])).not.toMatch(/sqrt|double\(5\)|Because|BEGIN/);
  });

  test("has nbgrader's metadata, schema 3, in place of the tags; tests and helpers are locked", () => {
    expect(cells.get("test-double")!.metadata).toEqual({
      deletable: false,
      editable: false,
      nbgrader: {
        ...{ schema_version: 3, grade: true, solution: false, locked: true, task: false, grade_id: "test-double", points: 2 },
        ...{ cell_type: "code", checksum: expect.stringMatching(/^[0-9a-f]{32}$/) },
      },
    });
    expect(cells.get("helpers")!.metadata).toMatchObject({ editable: false, nbgrader: { locked: true, grade: false } });
    expect(cells.get("double")!.metadata).toMatchObject({ deletable: false, nbgrader: { solution: true } });
    expect(cells.get("double")!.metadata).not.toHaveProperty("editable");
    expect(cells.get("parameters")!.metadata).toEqual({ tags: ["parameters"] });
    expect(exercise().maxPoints).toBe(9);
  });

  test("the shipped release is what assign makes of the shipped source", async () => {
    const folder = new URL("../../../notebooks/assignments/", import.meta.url).pathname;
    const source = await readNotebook(`${folder}source/a5-dpo.ipynb`);
    expect(studentNotebook(readAssignment(source, "a5-dpo.ipynb"))).toEqual(await readNotebook(`${folder}release/a5-dpo.ipynb`));
  });

  test("a solution cell without a region is all solution", () => {
    const { cells: released } = studentNotebook(readAssignment(notebookOf(code("secret()", ["solution"]), code("1", ["points:1"])), "a"));
    expect(released[0]!.source).toBe('// YOUR CODE HERE\nthrow new Error("not implemented yet");');
  });
});

describe("what is refused", () => {
  const read =
    (...cells: Cell[]) =>
    () =>
      readAssignment(notebookOf(...cells), "a.ipynb");
  const nbgrader = (metadata: object, cell = code("1", [], "c")): Cell => ({ ...cell, metadata: { nbgrader: metadata } });
  const graded = { schema_version: 3, grade: true, solution: false, locked: true, grade_id: "t", points: 1 };
  test.each([
    ["no test", read(code("1")), 'assignment: a cell must have points, got none; tag a test cell "points:1"'],
    [
      "hidden tests outside a test",
      read(code("// BEGIN HIDDEN TESTS\n// END HIDDEN TESTS", [], "c")),
      "cell c: a cell with BEGIN HIDDEN TESTS must be a test with points",
    ],
    [
      "a solution in a test",
      read(code("// BEGIN SOLUTION\n// END SOLUTION", ["points:1"], "c")),
      "cell c: a cell with BEGIN SOLUTION must be a solution",
    ],
    ["points that are no number", read(code("1", ["points:two"], "c")), 'the tag points: must be followed by a number >= 0, got "two"'],
    [
      "the same grade_id twice",
      read(nbgrader(graded), nbgrader(graded, code("2", [], "d"))),
      "cell d: grade_id must be unique, got t twice",
    ],
    ["negative points", read(nbgrader({ ...graded, points: -1 })), "cell c: points must be a number >= 0, got -1"],
    ["a strange id", read(nbgrader({ ...graded, grade_id: "a b" })), 'grade_id must be letters, digits, _ and -, got "a b"'],
    ["a schema of the future", read(nbgrader({ ...graded, schema_version: 4 })), "schema_version must be 0 to 3, got 4"],
    [
      "a markdown test",
      read(nbgrader(graded, { ...markdown("x"), id: "m" } as never)),
      "a markdown cell must be grade and solution or neither",
    ],
  ])("%s", (_, make, message) => {
    expect(make).toThrow(message);
  });

  test("regions that do not match", () => {
    const cut = (source: string) => () => cutRegions(source, "SOLUTION", { file: "a", id: "c" });
    expect(cut("// BEGIN SOLUTION")).toThrow("BEGIN SOLUTION and END SOLUTION must come in turn, got no END SOLUTION");
    expect(cut("// END SOLUTION")).toThrow("got END SOLUTION alone");
    expect(cut("// BEGIN SOLUTION\n// BEGIN SOLUTION")).toThrow("got BEGIN SOLUTION twice");
  });
});

describe("nbgrader's metadata", () => {
  test("older schemas are read as nbgrader upgrades them", () => {
    const cell = { ...code("1", [], "c"), metadata: { nbgrader: { grade: true, locked: true, grade_id: "t", points: "" } } };
    expect(readGradeMetadata(cell, "a")).toEqual({
      schema_version: 3,
      grade: true,
      solution: false,
      locked: true,
      task: false,
      grade_id: "t",
      points: 0,
    });
    expect(readGradeMetadata({ ...cell, metadata: { nbgrader: { grade: false, solution: false, locked: false } } }, "a")).toBeUndefined();
  });

  test("the checksum is nbgrader's", () => {
    // hashlib.md5 over the strings that nbgrader.utils.compute_checksum takes in turn: "1", "code", "True", "False", "True", "t", "2.0".
    const metadata = { schema_version: 3, grade: true, solution: false, locked: false, task: false, grade_id: "t", points: 2 } as const;
    expect(gradeChecksum({ source: "1", cell_type: "code" }, metadata)).toBe("1caea4dbb273ef632251361092745369");
  });
});

test("declared names: functions, variables, patterns, imports", () => {
  const source =
    "import a, { b, c as d } from 'x';\nimport * as e from 'y';\nasync function f() {}\nconst { g, h: i } = j;\nconst k = 1;\n  const inner = 2;\nclass L {}";
  expect([...declaredNames(source)].sort()).toEqual(["L", "a", "b", "d", "e", "f", "g", "i", "k"]);
  expect(declaredNames(instructorNotebook().cells[2]!.source)).toEqual(new Set(["check"]));
});
