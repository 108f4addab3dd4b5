/** danfojs frames and series: as tables, and described column by column. */
import { ConfigError } from "../errors.js";
import { displaySymbol, type Displayable, type MimeBundle } from "./mime.js";
import { htmlTable, type TableCell } from "./tables.js";

export interface FrameLike {
  columns: string[];
  index: (string | number)[];
  shape: number[];
  values: unknown[];
}

/** danfojs may be loaded twice in one process, so its values are told by shape and not by class. */
export function frameKind(value: object): "DataFrame" | "Series" | undefined {
  const frame = value as Partial<FrameLike> & { $isSeries?: unknown };
  if (typeof frame.$isSeries !== "boolean" || !Array.isArray(frame.columns) || !Array.isArray(frame.shape)) return undefined;
  return frame.$isSeries ? "Series" : "DataFrame";
}

/** Rows in their own order, never sorted. */
function contentOf(frame: FrameLike, kind: "DataFrame" | "Series"): { columns: string[]; rows: TableCell[][] } {
  const columns = kind === "Series" ? [frame.columns[0] ?? "0"] : frame.columns;
  const rows = kind === "Series" ? frame.values.map((value) => [value]) : (frame.values as unknown[][]).map((row) => [...row]);
  return { columns: columns.map(String), rows };
}

export function showFrame(frame: FrameLike, kind: "DataFrame" | "Series"): MimeBundle {
  return htmlTable({
    ...contentOf(frame, kind),
    index: frame.index,
    caption: `${kind}: ${frame.shape[0] ?? 0} rows${kind === "DataFrame" ? ` × ${frame.shape[1] ?? 0} columns` : ""}`,
  });
}

/** One column of a data set in numbers. What does not apply to its type is null. */
export interface ColumnSummary {
  column: string;
  /** "number", "text", "boolean", "other", or "empty" when every value is missing. */
  type: string;
  /** Values that are there. */
  count: number;
  /** Values that are null, undefined or NaN. */
  missing: number;
  /** Different values; null for other types. */
  unique: number | null;
  mean: number | null;
  /** Of a sample (n − 1), as danfojs and pandas count it; null for fewer than two values. */
  std: number | null;
  min: number | null;
  "25%": number | null;
  "50%": number | null;
  "75%": number | null;
  max: number | null;
  /** The most frequent value (the first of several) of texts and booleans, and how often it comes. */
  top: string | null;
  freq: number | null;
}

export class DataSummary implements Displayable {
  readonly columns: readonly ColumnSummary[];

  constructor(columns: readonly ColumnSummary[]) {
    this.columns = columns;
  }

  [displaySymbol](): MimeBundle {
    const names = ["type", "count", "missing", "unique", "mean", "std", "min", "25%", "50%", "75%", "max", "top", "freq"] as const;
    const used = names.filter((name) => this.columns.some((column) => column[name] !== null));
    return htmlTable({
      columns: used,
      rows: this.columns.map((column) => used.map((name): TableCell => column[name] ?? "")),
      index: this.columns.map(({ column }) => column),
      maxRows: 200,
    });
  }
}

const NOTHING = { unique: null, mean: null, std: null, min: null, "25%": null, "50%": null, "75%": null, max: null, top: null, freq: null };

function isMissing(value: unknown): boolean {
  return value === null || value === undefined || Number.isNaN(value);
}

/** Linear between the two nearest, pandas's default. @param sorted ascending, not empty */
function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  const next = sorted[Math.min(low + 1, sorted.length - 1)]!;
  return sorted[low]! + (next - sorted[low]!) * (place - low);
}

function summarise(column: string, values: readonly unknown[]): ColumnSummary {
  const present = values.filter((value) => !isMissing(value));
  const base = { ...NOTHING, column, count: present.length, missing: values.length - present.length };
  if (present.length === 0) return { ...base, type: "empty" };
  if (present.every((value) => typeof value === "number")) {
    const sorted = [...present].sort((a, b) => a - b);
    const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
    const squares = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return {
      ...base,
      type: "number",
      unique: new Set(present).size,
      mean,
      std: sorted.length < 2 ? null : Math.sqrt(squares / (sorted.length - 1)),
      min: sorted[0]!,
      "25%": quantile(sorted, 0.25),
      "50%": quantile(sorted, 0.5),
      "75%": quantile(sorted, 0.75),
      max: sorted.at(-1)!,
    };
  }
  const type = present.every((value) => typeof value === "string")
    ? "text"
    : present.every((value) => typeof value === "boolean")
      ? "boolean"
      : "other";
  if (type === "other") return { ...base, type };
  const counts = new Map<unknown, number>();
  for (const value of present) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [top, freq] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
  return { ...base, type, unique: counts.size, top: String(top), freq };
}

/**
 * What is in each column of a danfojs frame or series: also with missing values, on which danfojs's own `describe()` throws, and also for texts.
 * Shows itself as a table; `.columns` for the numbers.
 * @throws ConfigError `describe_frame` for anything else
 */
export function describe_frame(frame: object): DataSummary {
  const kind = typeof frame === "object" && frame !== null ? frameKind(frame) : undefined;
  if (kind === undefined)
    throw new ConfigError(
      "describe_frame",
      `describe_frame: must be given a danfojs DataFrame or Series, got ${frame === null ? "null" : typeof frame}; make one with dataset.to_dataframe()`,
    );
  const { columns, rows } = contentOf(frame as FrameLike, kind);
  return new DataSummary(
    columns.map((name, at) =>
      summarise(
        name,
        rows.map((row) => row[at]),
      ),
    ),
  );
}
