/** Grades as files for other programs: CSV for a spreadsheet, JSON for scripts, Gradescope's results.json. */
import type { SubmissionResult, TestResult } from "./grader.js";
import { PROTECTION_TEXT } from "./sandbox.js";

/** A field in quotes where it needs them; what a spreadsheet would take for a formula is made text by an apostrophe. */
function csvField(value: string | number | undefined): string {
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : (value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One row a submission, one column a test. */
export function formatCsv(results: readonly SubmissionResult[]): string {
  const ids = [...new Set(results.flatMap(({ tests }) => tests.map(({ id }) => id)))];
  const head = ["student", "score", "max_score", "manual_points", ...ids, "findings", "problem", "seconds", "protection"];
  const rows = results.map((result) => [
    ...[result.student, result.score, result.max_score, result.manual_points],
    ...ids.map((id) => result.tests.find((test) => test.id === id)?.points),
    result.findings.map(({ kind, id }) => `${kind} ${id}`).join("; "),
    ...[result.problem, Number(result.seconds.toFixed(1)), result.protection],
  ]);
  return [head, ...rows].map((row) => `${row.map(csvField).join(",")}\n`).join("");
}

/** Everything but the notebooks. */
export function formatJson(results: readonly SubmissionResult[]): string {
  return `${JSON.stringify(
    results.map(({ notebook: _, ...result }) => ({ ...result, protection_text: PROTECTION_TEXT[result.protection] })),
    undefined,
    2,
  )}\n`;
}

/** Gradescope's results.json (gradescope-autograders.readthedocs.io/en/latest/specs). Answers that a person marks are left out. */
export function formatGradescope(result: SubmissionResult): string {
  const tests = result.tests
    .filter(({ status }) => status !== "manual")
    .map(({ id, points, max_points, status, note }: TestResult) => ({
      ...{ name: id, score: points, max_score: max_points, status: status === "passed" ? "passed" : "failed" },
      ...(note === undefined ? {} : { output: note }),
      visibility: "visible",
    }));
  const findings = result.findings.map(({ id, text }) => `${id}: ${text}`);
  return `${JSON.stringify(
    {
      score: result.score,
      execution_time: Math.round(result.seconds),
      output: [...(result.problem === undefined ? [] : [result.problem]), ...findings].join("\n"),
      tests,
      extra_data: { protection: PROTECTION_TEXT[result.protection] },
    },
    undefined,
    2,
  )}\n`;
}
