import { describe, expect, test } from "vitest";
import { renderFeedback } from "../../../src/notebook/grade/feedback.js";
import type { SubmissionResult } from "../../../src/notebook/grade/grader.js";
import { formatCsv, formatGradescope, formatJson } from "../../../src/notebook/grade/reports.js";
import { prepareSubmission } from "../../../src/notebook/grade/submission.js";
import type { CodeCell } from "../../../src/notebook/nbformat.js";
import { exercise, handIn, SOLVED } from "./exercise.js";

const assignment = exercise();
const { notebook, findings } = prepareSubmission(assignment, handIn({ ...SOLVED, "test-root": "3 // <b>" }));
const failed = notebook.cells.find(({ id }) => id === "test-double") as CodeCell;
failed.outputs = [
  { output_type: "stream", name: "stdout", text: "printed by a hidden test" },
  { output_type: "error", ename: "Error", evalue: "wrong", traceback: ["Error: wrong", "   check(double(5) === 10"] },
];
(notebook.cells.find(({ id }) => id === "double") as CodeCell).outputs = [
  { output_type: "display_data", data: { "text/html": "<script>alert(1)</script>" }, metadata: {} },
];
const result: SubmissionResult = {
  ...{ student: "=ada", file: "=ada.ipynb", score: 3.5, max_score: 9, manual_points: 4 },
  tests: [
    { id: "test-double", status: "failed", points: 0, max_points: 2, note: 'Error: "wrong", again' },
    { id: "test-root", status: "passed", points: 3, max_points: 3 },
    { id: "why", status: "manual", points: 0, max_points: 4, note: "a person marks this" },
  ],
  ...{ findings, protection: "bubblewrap", seconds: 2.345, notebook },
};

test("CSV: a column a test, quotes, no formulas", () => {
  expect(formatCsv([result])).toBe(
    "student,score,max_score,manual_points,test-double,test-root,why,findings,problem,seconds,protection\n" +
      "'=ada,3.5,9,4,0,3,0,edited test-root,,2.3,bubblewrap\n",
  );
});

test("JSON: everything but the notebook, with the protection in words", () => {
  const [read] = JSON.parse(formatJson([result])) as Record<string, unknown>[];
  expect(read).toMatchObject({ student: "=ada", tests: result.tests, protection_text: expect.stringContaining("no network") });
  expect(read).not.toHaveProperty("notebook");
});

test("Gradescope: what was marked by itself", () => {
  expect(JSON.parse(formatGradescope(result))).toEqual({
    ...{ score: 3.5, execution_time: 2, output: "test-root: the test cell was changed; the instructor's was used" },
    tests: [
      { name: "test-double", score: 0, max_score: 2, status: "failed", output: 'Error: "wrong", again', visibility: "visible" },
      { name: "test-root", score: 3, max_score: 3, status: "passed", visibility: "visible" },
    ],
    extra_data: { protection: expect.stringContaining("bubblewrap") },
  });
});

describe("feedback", () => {
  const page = renderFeedback(assignment, result);
  test("has points, reasons and the lines that were changed", () => {
    expect(page).toContain("=ada: 3.5 of 5 points, and 4 that a person will mark");
    expect(page).toContain("<td>test-double</td><td>not passed</td><td>0 / 2</td>");
    expect(page).toContain("<ins>+ 3 // &lt;b&gt;</ins>");
    expect(page).toContain("<del>- const passed = [root(4) === 2];</del>");
    expect(page).toContain("no network, nothing can be written");
  });

  test("shows nothing of hidden tests", () => {
    expect(page).not.toMatch(/double\(5\)|printed by a hidden test|root\(9\)/);
  });

  test("what the submission shows is in a frame without origin and network", () => {
    expect(page).not.toContain("<script>alert(1)");
    expect(page).toMatch(/<iframe [^>]*sandbox="allow-scripts"/);
    expect(page).toContain("default-src &#39;none&#39;");
  });
});
