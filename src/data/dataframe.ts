import type { DataFrame } from "danfojs-node";
import { DataError, nearestName } from "../errors.js";
import { parseMessageColumn } from "./messages.js";
import type { Row, RowOrigin } from "./row.js";

export type { DataFrame };

/** What is read of a danfojs DataFrame; any table with these fields will do. */
export interface DataFrameLike {
  readonly columns: readonly string[];
  /** One array a line, in the order of `columns`. */
  readonly values: unknown;
  readonly index: readonly (string | number)[];
}

/** Options of `Dataset.from_dataframe`. */
export interface FromDataFrameOptions {
  /** The file named in errors; none by default. */
  file?: string;
  /** Columns of JSON text to parse, besides columns of message lists, which are found by themselves. */
  json_columns?: readonly string[];
}

/** Rows → DataFrame. danfojs is imported here, when first needed: it takes over half a second to load. */
export async function rowsToDataFrame(rows: readonly Row[], columns: readonly string[]): Promise<DataFrame> {
  const danfo = await import("danfojs-node");
  const values = rows.map((row) => columns.map((name) => cellOf(row[name])));
  return new danfo.DataFrame(values, { columns: [...columns] });
}

/** DataFrame → rows. A numeric index of the frame (kept by query, head, loc …) is the row number in errors. */
export function rowsFromDataFrame(frame: DataFrameLike, options: FromDataFrameOptions): { rows: Row[]; origins: RowOrigin[] } {
  const columns = frame.columns.map(String);
  const lines = (frame.values as unknown[]).map((line) => (Array.isArray(line) ? (line as unknown[]) : [line]));
  const origins = lines.map((_, i): RowOrigin => {
    const label = frame.index[i];
    return { file: options.file, row: typeof label === "number" && Number.isInteger(label) && label >= 0 ? label : i };
  });
  for (const name of options.json_columns ?? []) {
    if (columns.includes(name)) continue;
    const nearest = nearestName(name, columns);
    throw new DataError(
      "data_columns",
      `from_dataframe: json_columns must be columns of the frame, got ${name}; ${nearest === undefined ? `the columns are ${columns.join(", ")}` : `did you mean ${nearest}?`}`,
    );
  }
  const rows = lines.map((): Row => ({}));
  columns.forEach((name, c) => {
    const cells = lines.map((line) => (line[c] === undefined || Number.isNaN(line[c]) ? null : line[c]));
    const values =
      options.json_columns?.includes(name) === true ? parseJsonColumn(cells, name, origins) : parseMessageColumn(cells, name, origins);
    values.forEach((value, i) => (rows[i]![name] = value));
  });
  return { rows, origins };
}

function cellOf(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "object")
    return JSON.stringify(value, (_, field: unknown) => (typeof field === "bigint" ? field.toString() : field));
  return value;
}

function parseJsonColumn(cells: readonly unknown[], name: string, origins: readonly RowOrigin[]): unknown[] {
  return cells.map((cell, i) => {
    if (typeof cell !== "string") return cell;
    try {
      return JSON.parse(cell) as unknown;
    } catch (error) {
      throw new DataError(
        "data_malformed",
        `${name} must be JSON text, got ${JSON.stringify(cell.slice(0, 60))}; ${(error as Error).message}`,
        origins[i],
        { cause: error },
      );
    }
  });
}
