/**
 * What a cell is for, in nbgrader's own metadata (`metadata.nbgrader`, schema 3), so that its tools and front ends understand our
 * notebooks and we theirs. Schemas 0 to 2 are read as nbgrader upgrades them. Source: nbgrader/nbgraderformat/v3.json, utils.py.
 */
import { createHash } from "node:crypto";
import { DataError } from "../../errors.js";
import type { Cell } from "../nbformat.js";

export interface GradeMetadata {
  schema_version: 3;
  /** Has points: an autograded test, or with `solution` an answer that a person marks. */
  grade: boolean;
  /** The student writes here. */
  solution: boolean;
  /** The student may not change it. Tests are locked whatever this says. */
  locked: boolean;
  /** A markdown cell that describes work which a person marks. */
  task: boolean;
  grade_id: string;
  /** Only with `grade` or `task`. */
  points?: number;
  checksum?: string;
  cell_type?: Cell["cell_type"];
}

/** What the pipeline does with a cell. `free`: the student may do as they like. */
export type CellRole = "test" | "solution" | "manual" | "locked" | "task" | "free";

export function roleOf(metadata: GradeMetadata | undefined): CellRole {
  if (metadata === undefined) return "free";
  if (metadata.task) return "task";
  if (metadata.grade) return metadata.solution ? "manual" : "test";
  if (metadata.solution) return "solution";
  return metadata.locked ? "locked" : "free";
}

/** Letters, digits, `_` and `-`, as nbgrader wants ids. */
const GRADE_ID = /^[A-Za-z0-9_-]+$/;

const bad = (file: string, id: string, rule: string, got: unknown, advice: string): DataError =>
  new DataError("grade_metadata", `cell ${id}: ${rule}, got ${JSON.stringify(got) ?? "none"}; ${advice}`, { file });

/**
 * The cell's metadata as schema 3, or undefined when it has no role.
 * Tags are read where there is no such metadata, for front ends without nbgrader's tool bar: `points:3` makes a test of a code cell and a
 * marked answer of a markdown cell, `solution` and `locked` what they say.
 * @param file only for messages. @throws DataError when it breaks nbgrader's rules
 */
export function readGradeMetadata(cell: Cell, file: string): GradeMetadata | undefined {
  const raw = (cell.metadata["nbgrader"] ?? fromTags(cell, file)) as Partial<Record<keyof GradeMetadata, unknown>> | undefined;
  if (raw === undefined) return undefined;
  if (raw === null || typeof raw !== "object" || Array.isArray(raw))
    throw bad(file, cell.id, "metadata.nbgrader must be an object", raw, "remove it");
  const version = raw.schema_version ?? 0;
  if (typeof version !== "number" || version > 3)
    throw bad(file, cell.id, "schema_version must be 0 to 3", version, "open the notebook with the nbgrader that made it");
  const task = raw.task === true;
  const [grade, solution, locked] = [raw.grade === true, raw.solution === true, raw.locked === true];
  if (!grade && !solution && !locked && !task) return undefined;
  if (typeof raw.grade_id !== "string" || !GRADE_ID.test(raw.grade_id))
    throw bad(file, cell.id, "grade_id must be letters, digits, _ and -", raw.grade_id, "name the cell");
  // Schema 0 wrote points as text, and an empty field as 0.
  const points = grade || task ? Number(raw.points === "" || (raw.points === undefined && version === 0) ? 0 : raw.points) : undefined;
  if (points !== undefined && !(points >= 0))
    throw bad(file, cell.id, "points must be a number >= 0", raw.points, "give the cell its points");
  if (task && cell.cell_type !== "markdown") throw bad(file, cell.id, "a task must be a markdown cell", cell.cell_type, "change its type");
  if (!task && cell.cell_type === "markdown" && grade !== solution)
    throw bad(file, cell.id, "a markdown cell must be grade and solution or neither", { grade, solution }, "tests are code cells");
  return {
    schema_version: 3,
    ...{ grade, solution, locked, task, grade_id: raw.grade_id },
    ...(points === undefined ? {} : { points }),
    ...(typeof raw.checksum === "string" ? { checksum: raw.checksum } : {}),
    ...(typeof raw.cell_type === "string" ? { cell_type: raw.cell_type as Cell["cell_type"] } : {}),
  };
}

const POINTS_TAG = /^points:(.*)$/;
const isOwnTag = (tag: string): boolean => tag === "solution" || tag === "locked" || POINTS_TAG.test(tag);

function fromTags(cell: Cell, file: string): Record<string, unknown> | undefined {
  const tags = Array.isArray(cell.metadata.tags) ? cell.metadata.tags : [];
  if (!tags.some(isOwnTag)) return undefined;
  const points = tags.map((tag) => POINTS_TAG.exec(tag)?.[1]).find((text) => text !== undefined);
  if (points !== undefined && !/^\d+(\.\d+)?$/.test(points))
    throw bad(file, cell.id, "the tag points: must be followed by a number >= 0", points, "for example points:2");
  const grade = points !== undefined;
  const solution = tags.includes("solution") || (grade && cell.cell_type === "markdown");
  return {
    schema_version: 3,
    ...{ grade, solution, locked: (grade && !solution) || tags.includes("locked") },
    grade_id: cell.id,
    ...(grade ? { points: Number(points) } : {}),
  };
}

/** Puts the role into the cell as nbgrader writes it, in place of our tags. */
export function withGradeMetadata<C extends Cell>(cell: C, metadata: GradeMetadata): C {
  const { tags, ...others } = cell.metadata;
  const left = (tags ?? []).filter((tag) => !isOwnTag(tag));
  const role = roleOf(metadata);
  return {
    ...cell,
    metadata: {
      ...others,
      ...(left.length > 0 ? { tags: left } : {}),
      nbgrader: { ...metadata },
      ...(role === "free" ? {} : { deletable: false }),
      // nbgrader's LockCells: what a student writes in stays editable.
      ...(role === "test" || role === "locked" || role === "task" ? { editable: false } : {}),
    },
  };
}

/** nbgrader's checksum (utils.compute_checksum): MD5 of source, type, role, id and points, written as Python writes them. */
export function gradeChecksum(cell: Pick<Cell, "source" | "cell_type">, metadata: GradeMetadata): string {
  const python = (value: boolean): string => (value ? "True" : "False");
  const { grade, solution, grade_id, points } = metadata;
  const locked = !solution && (grade || metadata.locked);
  const hash = createHash("md5").update(cell.source).update(cell.cell_type);
  hash.update(python(grade)).update(python(solution)).update(python(locked)).update(grade_id);
  if (grade) hash.update(pythonFloat(points ?? 0));
  return hash.digest("hex");
}

/** `str(float(x))`: 2 → "2.0". */
function pythonFloat(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
