/** What a student gets back: one page with the points, what was changed that should not be, and the run. Hidden tests stay hidden. */
import { escapeHtml } from "../../text/escapeHtml.js";
import { renderCells } from "../html.js";
import { htmlDocument } from "../htmlDocument.js";
import type { Cell, Output } from "../nbformat.js";
import type { Assignment } from "./assignment.js";
import type { SubmissionResult, TestStatus } from "./grader.js";
import { diffLines } from "./lineDiff.js";
import { PROTECTION_TEXT } from "./sandbox.js";
import type { Finding } from "./submission.js";

const STATUS_TEXT: Record<TestStatus, string> = {
  passed: "passed",
  partial: "partly",
  failed: "not passed",
  not_run: "not run",
  manual: "marked by a person",
};

const STYLE = `<style>
.diff { border: 1px solid var(--line); } .diff del, .diff ins { display: block; text-decoration: none; }
.diff del { background: var(--badsoft); } .diff ins { background: color-mix(in srgb, #2da44e 18%, var(--paper)); }
.failed-row, .not_run-row { color: var(--bad); }
</style>`;

export function renderFeedback(assignment: Assignment, result: SubmissionResult): string {
  const open = result.manual_points > 0 ? `, and ${result.manual_points} that a person will mark` : "";
  const rows = result.tests.map(
    ({ id, status, points, max_points, note }) =>
      `<tr class="${status}-row"><td>${escapeHtml(id)}</td><td>${STATUS_TEXT[status]}</td><td>${points} / ${max_points}</td><td dir="auto">${escapeHtml(note ?? "")}</td></tr>`,
  );
  const parts = [
    STYLE,
    `<h1>${escapeHtml(result.student)}: ${result.score} of ${result.max_score - result.manual_points} points${open}</h1>`,
    ...(result.problem === undefined ? [] : [`<pre class="error" dir="auto">${escapeHtml(result.problem)}</pre>`]),
    `<table><thead><tr><th>test</th><th>result</th><th>points</th><th>why</th></tr></thead><tbody>${rows.join("")}</tbody></table>`,
    ...(result.findings.length === 0
      ? []
      : [`<h2>Changed, though it was not to be</h2>${result.findings.map((finding) => renderFinding(finding)).join("\n")}`]),
    `<p>Protection while it ran: ${escapeHtml(PROTECTION_TEXT[result.protection])}. Time: ${result.seconds.toFixed(1)} s.</p>`,
    "<h2>The run</h2>",
  ];
  return htmlDocument(`Feedback: ${result.student}`, [...parts, renderRun(assignment, result)].join("\n"));
}

/** The run may show any HTML, and whoever opens the page is not its author: it gets a frame without origin and without network. */
const FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:";

function renderRun(assignment: Assignment, result: SubmissionResult): string {
  if (result.notebook === undefined) return "<p>The notebook could not be run.</p>";
  const { html, scripts } = renderCells(withoutHiddenTests(assignment, result.notebook.cells));
  const page = htmlDocument("The run", html, scripts, `<meta http-equiv="Content-Security-Policy" content="${FRAME_POLICY}">`);
  return `<iframe title="The run" sandbox="allow-scripts" style="width: 100%; height: 90vh; border: 1px solid var(--line)" srcdoc="${escapeHtml(page)}"></iframe>`;
}

function renderFinding(finding: Finding): string {
  const head = `<h3>${escapeHtml(finding.id)}: ${escapeHtml(finding.text)}</h3>`;
  if (finding.expected === undefined || finding.submitted === undefined) return head;
  const lines = diffLines(finding.expected, finding.submitted).map(({ kind, text }) => {
    const shown = escapeHtml(text);
    if (kind === "same") return `<span>  ${shown}\n</span>`;
    return kind === "removed" ? `<del>- ${shown}</del>` : `<ins>+ ${shown}</ins>`;
  });
  return `${head}<pre class="diff" dir="ltr" aria-label="lines as given, removed and added">${lines.join("")}</pre>`;
}

/** The cells as the student knows them: the visible part of each test, its errors without the lines of code that a traceback shows. */
export function withoutHiddenTests(assignment: Assignment, cells: readonly Cell[]): Cell[] {
  const tests = new Map(assignment.cells.map(({ cell, student }) => [cell.id, { cell, student }]));
  return cells.map((cell) => {
    const known = tests.get(cell.id);
    if (known === undefined || known.cell.source !== cell.source || known.cell.source === known.student.source) return cell;
    const source = known.student.source;
    if (cell.cell_type !== "code") return { ...cell, source };
    return { ...cell, source, outputs: cell.outputs.filter((output) => output.output_type === "error").map(withoutTraceback) };
  });
}

function withoutTraceback(output: Output): Output {
  return output.output_type === "error" ? { ...output, traceback: [`${output.ename}: ${output.evalue}`] } : output;
}
