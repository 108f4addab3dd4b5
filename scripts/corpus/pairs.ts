import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DataError } from "../../src/errors.js";

/** A row of `datasets/*-dpo-mini/*.jsonl`. All columns are non-empty strings; `id` is unique in its file. */
export interface PairRow {
  id: string;
  source: string;
  system: string;
  prompt: string;
  chosen: string;
  rejected: string;
}

/** The columns of a pair, in file order. */
export const pairColumns = ["id", "source", "system", "prompt", "chosen", "rejected"] as const satisfies readonly (keyof PairRow)[];

/** The folders of pairs in `datasets/`. */
export const pairFolders = ["truthy-dpo-mini", "arabic-dpo-mini"] as const;

/** The package's root folder, for both `scripts/` and the compiled `dist/scripts/`. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder)
      throw new DataError(
        "package_root",
        "packageRoot: package.json must lie above this script, got none; run the script inside the repository",
      );
    folder = parent;
  }
  return folder;
}

/** Reads a JSONL file of pairs and checks it. @throws DataError with file and row (from 0) */
export function readPairs(file: string): PairRow[] {
  const ids = new Set<string>();
  const lines = readFileSync(file, "utf8").split("\n");
  if (lines.pop() !== "") throw new DataError("pairs_ending", "pairs: the last line must end with a newline; add one", { file });
  return lines.map((line, row) => {
    const value = parseLine(line, file, row);
    const names = Object.keys(value);
    if (names.join() !== pairColumns.join()) {
      throw new DataError(
        "pairs_columns",
        `pairs: columns must be ${pairColumns.join(", ")}, got ${names.join(", ")}; keep names and order`,
        { file, row },
      );
    }
    for (const name of pairColumns) {
      const text = value[name];
      if (typeof text !== "string" || text.trim() === "" || text !== text.normalize("NFC")) {
        throw new DataError("pairs_text", `pairs: ${name} must be non-empty NFC text, got ${JSON.stringify(text)}; correct the row`, {
          file,
          row,
        });
      }
    }
    const pair = value as unknown as PairRow;
    if (ids.has(pair.id)) throw new DataError("pairs_id", `pairs: id must be unique, got ${pair.id} again; rename it`, { file, row });
    ids.add(pair.id);
    return pair;
  });
}

function parseLine(line: string, file: string, row: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new DataError(
      "pairs_json",
      `pairs: each line must be a JSON object, got ${line.slice(0, 60)}; correct the line`,
      { file, row },
      { cause },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DataError("pairs_json", `pairs: each line must be a JSON object, got ${line.slice(0, 60)}; correct the line`, { file, row });
  }
  return value as Record<string, unknown>;
}
