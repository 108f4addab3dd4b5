import { readFile } from "node:fs/promises";
import readXlsxFile from "read-excel-file/node";
import { DataError } from "../errors.js";
import { checkHeader } from "./header.js";
import { parseMessageRows } from "./messages.js";
import type { ReaderOptions } from "./reader.js";
import type { Row } from "./row.js";

/**
 * Reads one sheet of an .xlsx workbook; its first line names the columns. Text keeps its spaces; number, boolean and date cells keep
 * their type; an empty cell is null; blank lines are skipped; columns of conversations written as JSON text are parsed.
 */
export async function readXlsx(file: string, options: ReaderOptions): Promise<Row[]> {
  const bytes = await readFile(file);
  let sheets: { sheet: string; data: unknown[][] }[];
  try {
    sheets = await readXlsxFile(bytes, { trim: false });
  } catch (error) {
    throw new DataError(
      "data_malformed",
      `must be a whole .xlsx workbook; ${(error as Error).message}; save it again as .xlsx`,
      { file },
      { cause: error },
    );
  }
  const wanted = options.sheet ?? 1;
  const sheet = typeof wanted === "number" ? sheets[wanted - 1] : sheets.find((candidate) => candidate.sheet === wanted);
  if (sheet === undefined) {
    throw new DataError(
      "data_malformed",
      `must have the sheet ${JSON.stringify(wanted)}, got ${sheets.map((each) => each.sheet).join(", ")}`,
      { file },
    );
  }
  const [first, ...lines] = sheet.data.filter((line) => line.some((cell) => cell !== null));
  if (first === undefined)
    throw new DataError("data_malformed", `sheet "${sheet.sheet}" must start with a line of column names, got an empty sheet`, { file });
  const names = first.map((cell) => (cell === null ? "" : String(cell as string | number | boolean | Date)));
  while (names.at(-1) === "" && lines.every((line) => (line[names.length - 1] ?? null) === null)) names.pop();
  checkHeader(names, file);
  const rows = lines.map((line) => Object.fromEntries(names.map((name, i) => [name, line[i] ?? null])));
  return parseMessageRows(rows, names, file);
}
