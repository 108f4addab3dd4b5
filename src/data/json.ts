import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { DataError } from "../errors.js";
import { decodeUtf8 } from "./encoding.js";
import type { ReaderOptions } from "./reader.js";
import { describeValue, isPlainObject, type Row } from "./row.js";

/** Reads JSON Lines: one object a line, blank lines skipped. Streams, so a file may be larger than a string. */
export async function readJsonLines(file: string): Promise<Row[]> {
  const rows: Row[] = [];
  let lineNumber = 0;
  for await (const bytes of linesOf(file)) {
    lineNumber += 1;
    const line = decodeUtf8(bytes, file, { row: rows.length, line: lineNumber });
    if (line.trim() !== "") rows.push(parseLine(line, file, rows.length, lineNumber));
  }
  return rows;
}

/**
 * Reads JSON: a list of objects; `{"column": [...], ...}` with columns of one length; or, with `field`, either of these under that
 * field. A .json file that holds JSON Lines (usual on the Hub) is read as such.
 */
export async function readJson(file: string, options: ReaderOptions): Promise<Row[]> {
  const text = decodeUtf8(await readFile(file), file);
  if (text.trim() === "") throw new DataError("data_malformed", "must hold a list of rows, got an empty file", { file });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    if (holdsJsonLines(text)) {
      const lines = text.split("\n");
      const rows: Row[] = [];
      lines.forEach((line, i) => {
        if (line.trim() !== "") rows.push(parseLine(line, file, rows.length, i + 1));
      });
      return rows;
    }
    throw new DataError(
      "data_malformed",
      `must be JSON; ${describeSyntaxError(error, text)}; fetch or write it again`,
      { file },
      { cause: error },
    );
  }
  if (options.field !== undefined) {
    if (!isPlainObject(content) || !(options.field in content)) {
      const found = isPlainObject(content) ? `the fields ${Object.keys(content).join(", ")}` : describeValue(content);
      throw new DataError("data_malformed", `must have the field "${options.field}", got ${found}`, { file });
    }
    content = content[options.field];
  }
  return rowsOf(content, file);
}

function rowsOf(content: unknown, file: string): Row[] {
  if (Array.isArray(content)) {
    return content.map((row: unknown, i) => {
      if (!isPlainObject(row))
        throw new DataError("data_malformed", `a row must be an object, got ${describeValue(row)}`, { file, row: i });
      return row;
    });
  }
  if (isPlainObject(content)) {
    const columns = Object.entries(content);
    const lists = columns.filter((column): column is [string, unknown[]] => Array.isArray(column[1]));
    if (columns.length > 0 && lists.length === columns.length) {
      const length = lists[0]![1].length;
      const uneven = lists.find(([, values]) => values.length !== length);
      if (uneven !== undefined) {
        throw new DataError(
          "data_malformed",
          `columns must have one length, got ${length} values in ${lists[0]![0]} and ${uneven[1].length} in ${uneven[0]}`,
          { file },
        );
      }
      return Array.from({ length }, (_, i) => Object.fromEntries(lists.map(([name, values]) => [name, values[i] ?? null])));
    }
    const hint = lists.length === 0 ? "write a list of objects" : `pass { field: "${lists[0]![0]}" } if the rows are there`;
    throw new DataError(
      "data_malformed",
      `must hold a list of rows, got an object with the fields ${Object.keys(content).join(", ")}; ${hint}`,
      { file },
    );
  }
  throw new DataError("data_malformed", `must hold a list of rows, got ${describeValue(content)}; write a list of objects`, { file });
}

/** Whether the first line that is not blank is an object of its own: then a syntax error belongs to a later line. */
function holdsJsonLines(text: string): boolean {
  const first = text.split("\n").find((line) => line.trim() !== "");
  try {
    return first !== undefined && isPlainObject(JSON.parse(first));
  } catch {
    return false;
  }
}

function parseLine(line: string, file: string, row: number, lineNumber: number): Row {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    const hint = row === 0 && line.trimStart().startsWith("[") ? `; if the file is one JSON list, name it .json` : "";
    throw new DataError(
      "data_malformed",
      `line ${lineNumber} must be one JSON object; ${(error as Error).message}${hint}`,
      { file, row },
      { cause: error },
    );
  }
  if (!isPlainObject(value)) {
    const hint = Array.isArray(value) && row === 0 ? "; if the file is one JSON list, name it .json" : "";
    throw new DataError("data_malformed", `line ${lineNumber} must be one JSON object, got ${describeValue(value)}${hint}`, { file, row });
  }
  return value;
}

/** V8 tells a character offset, or shows ten characters either side of the fault; people look for a line. */
function describeSyntaxError(error: unknown, text: string): string {
  const message = (error as Error).message;
  const line = (position: number): string => `${message} (line ${text.slice(0, position).split("\n").length})`;
  const position = /at position (\d+)(?! \(line)/.exec(message)?.[1];
  if (position !== undefined) return line(Number(position));
  if (message.includes("end of JSON input")) return line(text.length);
  const context = /^Unexpected token .*?, \.\.\."(.*?)"(?:\.\.\.)? is not valid JSON$/su.exec(message)?.[1];
  const found = context === undefined ? -1 : text.indexOf(context);
  return found === -1 || text.indexOf(context!, found + 1) !== -1 ? message : line(found + 10);
}

/** The lines of a file as bytes, split at "\n" only: JSON text may contain U+2028, at which Node's readline would split. */
async function* linesOf(file: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10, start); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]);
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}
