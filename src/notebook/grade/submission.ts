/**
 * A student's file against the assignment: what was tampered with, and the notebook to run for the grade. Cells are matched by grade_id,
 * else by cell id. What is locked comes from the instructor's file whatever the submission holds, so an edited test is never run.
 */
import type { Cell, Notebook } from "../nbformat.js";
import { hasTag } from "../parameters.js";
import { declaredNames, type Assignment, type AssignmentCell } from "./assignment.js";
import { gradeChecksum } from "./metadata.js";

export type FindingKind = "edited" | "deleted" | "duplicated" | "moved" | "points" | "redefined";

/** Something in a submission that its author was not to change. */
export interface Finding {
  kind: FindingKind;
  /** grade_id or id of the cell. */
  id: string;
  text: string;
  /** For an edited cell: as it was given, and as it came back. */
  expected?: string;
  submitted?: string;
}

export interface PreparedSubmission {
  /** To be run: the instructor's locked cells and tests, the student's solutions and other cells. */
  notebook: Notebook;
  findings: Finding[];
  /** Ids of tests that use a name which the submission redefined, with the names. */
  undermined: Map<string, string[]>;
  /** Ids of solution cells that are as they were handed out, or gone. */
  untouched: Set<string>;
}

/** Line ends and blanks at line ends are an editor's, not the student's. */
const normalised = (source: string): string =>
  source
    .replace(/\r\n?/g, "\n")
    .replace(/[ \t]+$/gm, "")
    .trimEnd();

const keyOf = (cell: Cell): string => {
  const id = (cell.metadata["nbgrader"] as { grade_id?: unknown } | undefined)?.grade_id;
  return typeof id === "string" ? id : cell.id;
};

const blank = (cell: Cell): Cell => (cell.cell_type === "code" ? { ...cell, outputs: [], execution_count: null } : cell);

export function prepareSubmission(assignment: Assignment, submission: Notebook): PreparedSubmission {
  const findings: Finding[] = [];
  const known = new Map(assignment.cells.map((entry) => [entry.metadata?.grade_id ?? entry.cell.id, entry]));
  const places = new Map<string, number>();
  /** Cells of the student's own, by the known cell that they follow. */
  const extras = new Map<string | undefined, Cell[]>();
  let previous: string | undefined;
  submission.cells.forEach((cell, at) => {
    const key = keyOf(cell);
    if (!known.has(key)) {
      extras.set(previous, [...(extras.get(previous) ?? []), blank(withoutRole(cell))]);
    } else if (places.has(key)) {
      findings.push({ kind: "duplicated", id: key, text: "the cell is there twice; the first counts", submitted: cell.source });
    } else {
      places.set(key, at);
      previous = key;
    }
  });

  const order = [...known.keys()].filter((key) => places.has(key));
  for (const [at, key] of order.entries()) {
    if (at > 0 && places.get(key)! < places.get(order[at - 1]!)! && known.get(key)!.role !== "free")
      findings.push({ kind: "moved", id: key, text: `the cell must come after ${order[at - 1]!}; it was run there` });
  }

  const cells: Cell[] = [...(extras.get(undefined) ?? [])];
  const untouched = new Set<string>();
  /** The student's words: key → source of the cell as handed out, or undefined for an own cell. */
  const written: { key: string; source: string; given: string | undefined }[] = [];
  for (const cell of cells) written.push({ key: cell.id, source: cell.source, given: undefined });
  for (const [key, entry] of known) {
    const found = places.has(key) ? submission.cells[places.get(key)!]! : undefined;
    findings.push(...compare(key, entry, found));
    const chosen = choose(entry, found);
    if (chosen !== undefined) cells.push(chosen);
    if (entry.role === "solution" || entry.role === "manual") {
      if (found === undefined || normalised(found.source) === normalised(entry.student.source)) untouched.add(key);
    }
    if (found !== undefined && chosen !== undefined && chosen.source === found.source && !isFixed(entry))
      written.push({ key, source: found.source, given: `${entry.cell.source}\n${entry.student.source}` });
    for (const extra of extras.get(key) ?? []) {
      cells.push(extra);
      written.push({ key: extra.id, source: extra.source, given: undefined });
    }
  }
  const redefined = redefinitions(assignment, written);
  for (const [name, key] of redefined)
    findings.push({ kind: "redefined", id: key, text: `the cell redefines ${name}, which a locked cell declares` });
  return {
    notebook: { ...submission, metadata: assignment.notebook.metadata, cells: withUniqueIds(cells) },
    findings,
    undermined: underminedTests(assignment, redefined),
    untouched,
  };
}

const isFixed = ({ role }: AssignmentCell): boolean => role === "test" || role === "locked" || role === "task";

function compare(key: string, entry: AssignmentCell, found: Cell | undefined): Finding[] {
  const { role, student, metadata } = entry;
  if (role === "free") return [];
  if (found === undefined) return [{ kind: "deleted", id: key, text: `the ${role} cell is gone`, expected: student.source }];
  const findings: Finding[] = [];
  if (isFixed(entry) && (normalised(found.source) !== normalised(student.source) || found.cell_type !== student.cell_type)) {
    const text = `the ${role} cell was changed; the instructor's was used`;
    findings.push({ kind: "edited", id: key, text, expected: student.source, submitted: found.source });
  }
  const claimed = (found.metadata["nbgrader"] ?? {}) as { points?: unknown; checksum?: unknown };
  if (metadata?.points !== undefined && claimed.points !== undefined && Number(claimed.points) !== metadata.points)
    findings.push({
      kind: "points",
      id: key,
      text: `the points were changed from ${metadata.points} to ${String(claimed.points)}; they count as they were`,
    });
  else if (
    metadata !== undefined &&
    isFixed(entry) &&
    claimed.checksum !== undefined &&
    claimed.checksum !== gradeChecksum(student, metadata) &&
    findings.length === 0
  )
    findings.push({
      kind: "edited",
      id: key,
      text: "the checksum of the cell was changed, or it is from another version of the assignment",
    });
  return findings;
}

/** The cell to run, in the place of the instructor's. */
function choose(entry: AssignmentCell, found: Cell | undefined): Cell | undefined {
  if (isFixed(entry)) return blank(entry.cell);
  // A deleted solution counts as one never written; without the parameters nothing could be set.
  if (found === undefined) return entry.role !== "free" || hasTag(entry.cell, "parameters") ? blank(entry.student) : undefined;
  if (entry.cell.cell_type !== found.cell_type) return blank({ ...entry.student, source: found.source });
  return blank({ ...found, id: entry.cell.id, metadata: entry.student.metadata } as Cell);
}

/** A student's own cell cannot claim to be a test or to be left out of the run. */
function withoutRole(cell: Cell): Cell {
  const { nbgrader: _, ...metadata } = cell.metadata;
  return { ...cell, metadata };
}

function withUniqueIds(cells: readonly Cell[]): Cell[] {
  const ids = new Set<string>();
  return cells.map((cell) => {
    let { id } = cell;
    while (ids.has(id)) id += "-own";
    ids.add(id);
    return { ...cell, id };
  });
}

/** Names of locked cells that the submission declares anew → the cell that does. Where the handed-out cell did so itself, it may. */
function redefinitions(
  assignment: Assignment,
  written: readonly { key: string; source: string; given: string | undefined }[],
): Map<string, string> {
  const locked = new Set(
    assignment.cells.flatMap(({ role, cell }) => (role === "locked" && cell.cell_type === "code" ? [...declaredNames(cell.source)] : [])),
  );
  const found = new Map<string, string>();
  for (const { key, source, given } of written) {
    const own = given === undefined ? new Set<string>() : declaredNames(given);
    for (const name of declaredNames(source)) if (locked.has(name) && !own.has(name)) found.set(name, key);
  }
  return found;
}

function underminedTests(assignment: Assignment, redefined: ReadonlyMap<string, string>): Map<string, string[]> {
  const tests = new Map<string, string[]>();
  for (const { role, cell, metadata } of assignment.cells) {
    if (role !== "test") continue;
    const names = [...redefined.keys()].filter((name) =>
      new RegExp(`(?<![\\p{L}\\p{N}_$.])${name.replace(/\$/g, "\\$")}(?![\\p{L}\\p{N}_$])`, "u").test(cell.source),
    );
    if (names.length > 0) tests.set(metadata!.grade_id, names);
  }
  return tests;
}
