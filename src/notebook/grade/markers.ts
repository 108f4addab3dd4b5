/**
 * Regions of an instructor's cells, between lines that contain `BEGIN X` and `END X` in any comment: `### BEGIN SOLUTION` as in nbgrader,
 * usually written `// ### BEGIN SOLUTION`. X is SOLUTION, HIDDEN TESTS or MARK SCHEME.
 */
import { DataError } from "../../errors.js";

export const REGIONS = ["SOLUTION", "HIDDEN TESTS", "MARK SCHEME"] as const;
export type Region = (typeof REGIONS)[number];

/** A source cut at one kind of region. */
export interface CutSource {
  source: string;
  /** Whether there was such a region. */
  found: boolean;
}

/**
 * Takes the regions out and puts `stub` in their place, indented as the line that begins them.
 * @param stub lines, or none to leave nothing @param where for messages: the cell @throws DataError for a region without end or beginning
 */
export function cutRegions(source: string, region: Region, where: { file: string; id: string }, stub: readonly string[] = []): CutSource {
  const kept: string[] = [];
  let open = false;
  let found = false;
  const broken = (got: string): DataError =>
    new DataError("grade_markers", `cell ${where.id}: BEGIN ${region} and END ${region} must come in turn, got ${got}; add or remove one`, {
      file: where.file,
    });
  for (const line of source.split("\n")) {
    if (line.includes(`BEGIN ${region}`)) {
      if (open) throw broken(`BEGIN ${region} twice`);
      open = found = true;
      const indent = /^\s*/.exec(line)![0];
      kept.push(...stub.map((text) => `${indent}${text}`));
    } else if (line.includes(`END ${region}`)) {
      if (!open) throw broken(`END ${region} alone`);
      open = false;
    } else if (!open) {
      kept.push(line);
    }
  }
  if (open) throw broken(`no END ${region}`);
  return { source: found ? kept.join("\n") : source, found };
}
