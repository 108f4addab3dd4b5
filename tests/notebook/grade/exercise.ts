/** A small assignment with every kind of cell, and ways to hand it in. */
import { mkdtempSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readAssignment, studentNotebook, type Assignment } from "../../../src/notebook/grade/assignment.js";
import type { Cell, Notebook } from "../../../src/notebook/nbformat.js";
import { code, markdown, notebookOf } from "../notebooks.js";

const solution = (id: string, source: string): Cell => code(source, ["solution"], id);
const region = (name: string, ...lines: string[]): string[] => [
  `  // ### BEGIN ${name}`,
  ...lines.map((line) => `  ${line}`),
  `  // ### END ${name}`,
];

export function instructorNotebook(): Notebook {
  return notebookOf(
    markdown("# Doubling"),
    code("const n: number = 3;", ["parameters"], "parameters"),
    code(
      "function check(ok: boolean, what: string): void {\n  if (!ok) throw new Error(`check failed: ${what}`);\n}",
      ["locked"],
      "helpers",
    ),
    solution("double", ["function double(x: number): number {", ...region("SOLUTION", "return 2 * x;"), "}"].join("\n")),
    code(
      ["check(double(2) === 4, 'double(2) is 4');", ...region("HIDDEN TESTS", "check(double(5) === 10, 'double(5) is 10');"), ""].join(
        "\n",
      ),
      ["points:2"],
      "test-double",
    ),
    solution("root", ["function root(x: number): number {", ...region("SOLUTION", "return Math.sqrt(x);"), "}"].join("\n")),
    code(
      [
        "const passed = [root(4) === 2];",
        ...region("HIDDEN TESTS", "passed.push(root(9) === 3, root(n) ** 2 > n - 1e-9);"),
        "passed.filter((ok) => ok).length",
      ].join("\n"),
      ["points:3"],
      "test-root",
    ),
    { ...markdown("Why?\n\n### BEGIN SOLUTION\nBecause.\n### END SOLUTION"), id: "why", metadata: { tags: ["points:4"] } },
  );
}

export const exercise = (): Assignment => readAssignment(instructorNotebook(), "exercise.ipynb");

/** The student version with sources put in place of those of some cells, by id. */
export function handIn(changes: Record<string, string>, assignment: Assignment = exercise()): Notebook {
  const notebook = studentNotebook(assignment);
  const cells = notebook.cells.map((cell) => (changes[cell.id] === undefined ? cell : { ...cell, source: changes[cell.id]! }));
  return structuredClone({ ...notebook, cells });
}

export const SOLVED = {
  double: "function double(x: number): number { return x + x; }",
  root: "function root(x: number): number { return x ** 0.5; }",
  why: "As it must be.",
};

export const temporaryFolder = (): string => realpathSync(mkdtempSync(join(tmpdir(), "preflab-grading-")));
