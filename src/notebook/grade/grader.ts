/** Grades one submission: puts the notebook to run together, runs it shut in, and counts the points of its tests. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DataError } from "../../errors.js";
import { readNotebook, type CodeCell, type Notebook, type Output } from "../nbformat.js";
import { ownPackageRoot } from "../packageRoot.js";
import { injectParameters, type Parameters } from "../parameters.js";
import { runCells, type CellError, type CellOutcome } from "../runner.js";
import type { Assignment, AssignmentCell } from "./assignment.js";
import { sandboxCommand, type Protection } from "./sandbox.js";
import { prepareSubmission, type Finding, type PreparedSubmission } from "./submission.js";

export interface GradeOptions {
  protection: Protection;
  /** Put into the cell tagged `injected-parameters`, as in `preflab run`. */
  parameters: Parameters;
  /** Files and folders copied beside the notebook. */
  files: readonly string[];
  /** Folders that cells may read where they are. */
  readable: readonly string[];
  /** Files that no cell may read: the instructor's notebook, the other submissions. */
  hidden: readonly string[];
  /** Longest time for one cell and for all of them, in milliseconds. */
  cellTimeoutMs: number;
  totalTimeoutMs: number;
  memoryLimitBytes: number;
  signal?: AbortSignal;
}

/** `passed`, `partial`, `failed`; `not_run`: nothing came so far; `manual`: a person marks it. */
export type TestStatus = "passed" | "partial" | "failed" | "not_run" | "manual";

export interface TestResult {
  /** grade_id of the cell. */
  id: string;
  status: TestStatus;
  points: number;
  max_points: number;
  /** Why not all points were given; shows nothing of hidden tests but the error's own message. */
  note?: string;
}

export interface SubmissionResult {
  /** The file's name without .ipynb. */
  student: string;
  file: string;
  /** Sum of what could be marked by itself. */
  score: number;
  /** Sum over all tests and answers. */
  max_score: number;
  /** Points of `max_score` that a person has yet to give. */
  manual_points: number;
  tests: TestResult[];
  findings: Finding[];
  /** A limit that ended the run, or why the file could not be graded. */
  problem?: string;
  protection: Protection;
  seconds: number;
  /** As it was run, hidden tests included; absent when the file could not be read. */
  notebook?: Notebook;
}

const LIMIT_ERRORS = ["RunTimeout", "MemoryLimit", "CellTimeout"];
const INTERRUPT_GRACE_MS = 5_000;

/** @throws what stops all grading: a kernel that does not start. A broken submission is a result with `problem` */
export async function gradeSubmission(assignment: Assignment, file: string, options: GradeOptions): Promise<SubmissionResult> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const student = basename(file, ".ipynb");
  let prepared: PreparedSubmission;
  let notebook: Notebook;
  try {
    prepared = prepareSubmission(assignment, await readNotebook(file));
    notebook = injectParameters(prepared.notebook, options.parameters);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return {
      student,
      file,
      findings: [],
      ...scores(unrun(assignment)),
      problem: error.message,
      protection: options.protection,
      seconds: seconds(),
    };
  }
  const run = await runShutIn(notebook, options);
  const limit = run.cells.find(({ error }) => error !== undefined && LIMIT_ERRORS.includes(error.ename))?.error;
  const tests = gradeTests(assignment, run.notebook, run.cells, prepared);
  return {
    ...{ student, file, findings: prepared.findings, protection: options.protection },
    ...scores(tests),
    ...(limit === undefined ? {} : { problem: `${limit.ename}: ${limit.evalue}` }),
    seconds: seconds(),
    notebook: run.notebook,
  };
}

/** Runs every cell in a scratch folder that is gone afterwards. */
async function runShutIn(notebook: Notebook, options: GradeOptions): Promise<{ notebook: Notebook; cells: CellOutcome[] }> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "preflab-grade-")));
  const scratch = join(folder, "scratch");
  const work = join(scratch, "work");
  try {
    mkdirSync(work, { recursive: true });
    for (const path of options.files) cpSync(path, join(work, basename(path)), { recursive: true });
    const { readable, hidden } = options;
    const command = sandboxCommand(options.protection, { scratch, readable, hidden, packageRoot: ownPackageRoot() });
    return await runCells(notebook, work, {
      env: { PREFLAB_USER_COMMAND: JSON.stringify(command) },
      onError: "continue",
      timeoutMs: options.cellTimeoutMs,
      graceMs: INTERRUPT_GRACE_MS,
      totalTimeoutMs: options.totalTimeoutMs,
      memoryLimitBytes: options.memoryLimitBytes,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function scores(tests: TestResult[]): Pick<SubmissionResult, "tests" | "score" | "max_score" | "manual_points"> {
  const sum = (pick: (test: TestResult) => number): number => Number(tests.reduce((total, test) => total + pick(test), 0).toFixed(6));
  return {
    tests,
    score: sum((test) => test.points),
    max_score: sum((test) => test.max_points),
    manual_points: sum((test) => (test.status === "manual" ? test.max_points : 0)),
  };
}

const isMarked = ({ role }: AssignmentCell): boolean => role === "test" || role === "manual" || role === "task";

function unrun(assignment: Assignment): TestResult[] {
  return assignment.cells
    .filter(isMarked)
    .map(({ metadata }) => ({ id: metadata!.grade_id, status: "not_run", points: 0, max_points: metadata!.points ?? 0 }));
}

/** Points by nbgrader's rule, but silence is no pass: a test cell must have run and ended well. A number as its last value is partial credit. */
export function gradeTests(
  assignment: Assignment,
  notebook: Notebook,
  outcomes: readonly CellOutcome[],
  prepared: Pick<PreparedSubmission, "undermined" | "untouched">,
): TestResult[] {
  const cells = new Map(notebook.cells.map((cell) => [cell.id, cell]));
  const ran = new Map(outcomes.map((outcome) => [outcome.id, outcome]));
  return assignment.cells.filter(isMarked).map(({ cell, role, metadata }): TestResult => {
    const id = metadata!.grade_id;
    const max_points = metadata!.points ?? 0;
    const result = (status: TestStatus, points: number, note?: string): TestResult => ({
      ...{ id, status, points, max_points },
      ...(note === undefined ? {} : { note }),
    });
    if (role !== "test") {
      if (prepared.untouched.has(id)) return result("failed", 0, "nothing was written");
      return result("manual", 0, "a person marks this");
    }
    const outcome = ran.get(cell.id);
    if (outcome === undefined) return result("not_run", 0, "the run ended before this test");
    if (outcome.error !== undefined) return result("failed", 0, `${outcome.error.ename}: ${outcome.error.evalue}`);
    const names = prepared.undermined.get(id);
    if (names !== undefined) return result("failed", 0, `the test uses ${names.join(", ")}, which the submission redefined`);
    return creditOf((cells.get(cell.id) as CodeCell).outputs, max_points, result);
  });
}

function creditOf(
  outputs: readonly Output[],
  max: number,
  result: (status: TestStatus, points: number, note?: string) => TestResult,
): TestResult {
  const last = outputs.find((output) => output.output_type === "execute_result");
  const text = last?.data["text/plain"];
  const value = typeof text === "string" && text.trim() !== "" ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) return result("passed", max);
  if (value < 0 || value > max) return result("failed", 0, `the test gave ${value} points, which must be 0 to ${max}`);
  return value === max ? result("passed", max) : result(value === 0 ? "failed" : "partial", value, `${value} of ${max} points`);
}

export interface GradeAllOptions extends GradeOptions {
  /** Submissions at the same time. */
  jobs: number;
  onResult?: (result: SubmissionResult, done: number, total: number) => void;
}

/** Grades files side by side; results in the order of the files. Stops early only for a signal, or when no kernel starts. */
export async function gradeSubmissions(
  assignment: Assignment,
  files: readonly string[],
  options: GradeAllOptions,
): Promise<SubmissionResult[]> {
  const results: SubmissionResult[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < files.length && options.signal?.aborted !== true) {
      const at = next++;
      const hidden = [...options.hidden, ...files.filter((_, other) => other !== at)]
        .filter((path) => existsSync(path))
        .map((path) => realpathSync(path));
      const result = await gradeSubmission(assignment, files[at]!, { ...options, hidden });
      results[at] = result;
      options.onResult?.(result, ++done, files.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, files.length) }, work));
  return results.filter((result) => result !== undefined);
}

/** An assignment's own check: the instructor's version must get every point, and the student's as handed out should get none. */
export interface AssignmentCheck {
  /** Cells of the instructor's version that fail, and tests without full points. */
  problems: string[];
  /** Tests that pass although nothing was written. */
  warnings: string[];
}

/** @param student also run the student version, if the instructor's has no problems */
export async function checkAssignment(
  assignment: Assignment,
  run: (notebook: Notebook) => Promise<{ notebook: Notebook; cells: CellOutcome[] }>,
  student: Notebook | undefined,
): Promise<AssignmentCheck> {
  const nobody = { undermined: new Map<string, string[]>(), untouched: new Set<string>() };
  const own = await run(structuredClone(assignment.notebook));
  const describe = (error: CellError): string => `${error.ename}: ${error.evalue}`;
  const problems = own.cells.flatMap(({ id, error, tolerated }) =>
    error === undefined || tolerated ? [] : [`cell ${id} fails: ${describe(error)}`],
  );
  for (const test of gradeTests(assignment, own.notebook, own.cells, nobody))
    if (test.status !== "manual" && test.points < test.max_points && !problems.some((text) => text.startsWith(`cell ${test.id} `)))
      problems.push(`test ${test.id} gives the instructor's version ${test.points} of ${test.max_points} points: ${test.note ?? ""}`);
  if (student === undefined || problems.length > 0) return { problems, warnings: [] };
  const empty = await run(structuredClone(student));
  const warnings = gradeTests(assignment, empty.notebook, empty.cells, nobody)
    .filter((test) => test.status !== "manual" && test.points > 0)
    .map((test) => `test ${test.id} gives ${test.points} points to a notebook in which nothing was written`);
  return { problems, warnings };
}
