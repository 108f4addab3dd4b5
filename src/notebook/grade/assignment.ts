/** An instructor's notebook, and what students get of it. */
import { DataError } from "../../errors.js";
import type { Cell, Notebook } from "../nbformat.js";
import { cutRegions, REGIONS } from "./markers.js";
import { gradeChecksum, readGradeMetadata, roleOf, withGradeMetadata, type CellRole, type GradeMetadata } from "./metadata.js";

export interface AssignmentCell {
  cell: Cell;
  role: CellRole;
  metadata: GradeMetadata | undefined;
  /** As the student gets it. */
  student: Cell;
}

export interface Assignment {
  /** The instructor's file, for messages. */
  file: string;
  notebook: Notebook;
  cells: AssignmentCell[];
  /** Points of all tests and of all answers that a person marks. */
  maxPoints: number;
}

const CODE_STUB = ["// YOUR CODE HERE", 'throw new Error("not implemented yet");'];
const TEXT_STUB = ["YOUR ANSWER HERE"];

/** Reads the roles of all cells and makes their student versions. @throws DataError for broken metadata or markers, or without any test */
export function readAssignment(notebook: Notebook, file: string): Assignment {
  const ids = new Set<string>();
  const cells = notebook.cells.map((cell): AssignmentCell => {
    const metadata = readGradeMetadata(cell, file);
    const role = roleOf(metadata);
    if (metadata !== undefined) {
      if (ids.has(metadata.grade_id))
        throw new DataError("grade_id", `cell ${cell.id}: grade_id must be unique, got ${metadata.grade_id} twice; rename one`, { file });
      ids.add(metadata.grade_id);
    }
    return { cell, role, metadata, student: studentCell(cell, role, metadata, file) };
  });
  const marked = cells.filter(({ role }) => role === "test" || role === "manual" || role === "task");
  if (marked.length === 0)
    throw new DataError("assignment_tests", 'assignment: a cell must have points, got none; tag a test cell "points:1"', { file });
  return { file, notebook, cells, maxPoints: marked.reduce((sum, { metadata }) => sum + (metadata?.points ?? 0), 0) };
}

function studentCell(cell: Cell, role: CellRole, metadata: GradeMetadata | undefined, file: string): Cell {
  const where = { file, id: cell.id };
  const writes = role === "solution" || role === "manual";
  const stub = cell.cell_type === "code" ? CODE_STUB : TEXT_STUB;
  const solution = cutRegions(cell.source, "SOLUTION", where, stub);
  const tests = cutRegions(solution.source, "HIDDEN TESTS", where);
  const scheme = cutRegions(tests.source, "MARK SCHEME", where);
  const demand = (found: boolean, right: boolean, region: string, wanted: string): void => {
    if (found && !right)
      throw new DataError(
        "grade_region",
        `cell ${cell.id}: a cell with BEGIN ${region} must be ${wanted}, got a ${role} cell; give it that role`,
        {
          file,
        },
      );
  };
  demand(solution.found, writes, "SOLUTION", 'a solution (tag "solution")');
  demand(tests.found, role === "test", "HIDDEN TESTS", 'a test with points (tag "points:1")');
  demand(scheme.found, role === "task" || role === "manual", "MARK SCHEME", "a task or an answer that a person marks");
  // As in nbgrader: a solution cell without a marked region is all solution.
  const source = writes && !solution.found ? stub.join("\n") : scheme.source;
  const released: Cell = cell.cell_type === "code" ? { ...cell, source, outputs: [], execution_count: null } : { ...cell, source };
  if (metadata === undefined) return released;
  const { checksum: _, ...kept } = metadata;
  return withGradeMetadata(released, { ...kept, checksum: gradeChecksum(released, kept), cell_type: cell.cell_type });
}

/** The notebook that students get: no solutions, no hidden tests, no outputs, locked tests, nbgrader's metadata with checksums. */
export function studentNotebook(assignment: Assignment): Notebook {
  const cells = assignment.cells.map(({ student }) => student);
  for (const region of REGIONS) {
    const left = cells.find((cell) => cell.source.includes(`BEGIN ${region}`));
    if (left !== undefined)
      throw new DataError("grade_region", `cell ${left.id}: BEGIN ${region} must be gone, got it still`, { file: assignment.file });
  }
  const { celltoolbar: _, preflab: __, ...metadata } = assignment.notebook.metadata;
  return { ...assignment.notebook, metadata, cells };
}

/** The names that code declares at the start of a line, or imports. */
export function declaredNames(source: string): Set<string> {
  const names = new Set<string>();
  const declaration =
    /^(?:export\s+|declare\s+|async\s+|abstract\s+)*(?:function\*?|class|const|let|var|enum|interface|type)\s+([\p{L}_$][\p{L}\p{N}_$]*)/gmu;
  for (const match of source.matchAll(declaration)) names.add(match[1]!);
  const lists =
    /^(?:import\s+(?:type\s+)?(?:([\p{L}_$][\p{L}\p{N}_$]*)\s*,?\s*)?(?:\{([^}]*)\}|\*\s+as\s+([\p{L}_$][\p{L}\p{N}_$]*))?\s*from|(?:const|let|var)\s+[{[]([^}\]]*)[}\]]\s*=)/gmu;
  for (const match of source.matchAll(lists)) {
    for (const name of [match[1], match[3]]) if (name !== undefined) names.add(name);
    for (const item of (match[2] ?? match[4] ?? "").split(",")) {
      const name = /([\p{L}_$][\p{L}\p{N}_$]*)\s*(?:=.*)?$/u.exec(item.trim())?.[1];
      if (name !== undefined) names.add(name);
    }
  }
  return names;
}
