import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { DataError } from "../errors.js";
import { decodeUtf8 } from "./encoding.js";
import { checkHeader } from "./header.js";
import { parseMessageRows } from "./messages.js";
import type { ReaderOptions } from "./reader.js";
import type { Row } from "./row.js";

/**
 * Reads CSV or TSV with a header line (RFC 4180 quoting). Every cell stays text: guessing types would turn the answer "007" into 7.
 * Only columns of conversations written as JSON text are parsed. An empty cell is null; an empty cell in quotes (`""`) is empty text. Blank lines are skipped.
 */
export async function readCsv(file: string, options: ReaderOptions): Promise<Row[]> {
  const text = decodeUtf8(await readFile(file), file);
  const delimiter = options.delimiter ?? (extname(file).toLowerCase() === ".tsv" ? "\t" : ",");
  let header: string[] | undefined;
  let rows: Row[];
  try {
    rows = parse(text, {
      delimiter,
      columns: (cells: string[]) => {
        header = cells;
        checkHeader(cells, file);
        return cells;
      },
      skip_empty_lines: true,
      cast: (value, context) => (value === "" && !context.quoting && !context.header ? null : value),
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const row = header === undefined ? undefined : Math.max(0, Number(error["records"] ?? 0));
    throw new DataError("data_malformed", `must be CSV; ${error.message}${adviseQuotes(error.code)}`, { file, row }, { cause: error });
  }
  if (header === undefined)
    throw new DataError("data_malformed", "must start with a header line of column names, got an empty file", { file });
  const other = [";", "\t", "|"].find((candidate) => candidate !== delimiter && header?.[0]?.includes(candidate));
  if (header.length === 1 && other !== undefined) {
    const name = other === "\t" ? "a tab" : `"${other}"`;
    throw new DataError(
      "data_malformed",
      `the header is one column, ${JSON.stringify(header[0])}, that contains ${name}; pass { delimiter: ${JSON.stringify(other)} }`,
      { file },
    );
  }
  return parseMessageRows(rows, header, file);
}

function adviseQuotes(code: string): string {
  if (code === "CSV_RECORD_INCONSISTENT_COLUMNS" || code === "CSV_RECORD_INCONSISTENT_FIELDS_LENGTH") {
    return `; put quotes around cells that contain the delimiter or a line break`;
  }
  if (code === "CSV_QUOTE_NOT_CLOSED") return `; close the quote, and write a quote inside a quoted cell twice ("")`;
  return "";
}
