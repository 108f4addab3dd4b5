/** HTML tables that read well in both writing directions, with a plain-text twin for terminals. */
import { inspect } from "node:util";
import { ConfigError, nearestName } from "../errors.js";
import { escapeHtml } from "../text/escapeHtml.js";
import { displaySymbol, type Displayable, type MimeBundle } from "./mime.js";
import { isolated, writingDirection } from "../text/writingDirection.js";

export type TableCell = unknown;

export interface TableContent {
  columns: string[];
  rows: TableCell[][];
  /** One label a row; left out: no index column. */
  index?: (string | number)[];
  caption?: string;
  /** Longest table shown whole; of a longer one, this many rows: half from the top, half from the end. Default 20. */
  maxRows?: number;
}

const MAX_ROWS = 20;
const MAX_CELL = 300;
const MAX_PLAIN_CELL = 40;

/** Short numbers (settings such as 0.0004) as they are, others with four digits after the point or in powers of ten. */
function numberText(value: number): string {
  const whole = String(value);
  if (whole.length <= 7 || Number.isInteger(value) || !Number.isFinite(value)) return whole;
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6 ? value.toExponential(3) : value.toFixed(4);
}

function cellText(value: TableCell, maxLength: number): string {
  let text: string;
  if (value === null || value === undefined) text = "null";
  else if (typeof value === "number") text = numberText(value);
  else if (typeof value === "string") text = value;
  else if (typeof value === "object") text = inspect(value, { depth: 2, breakLength: Infinity });
  else text = String(value as boolean | bigint);
  const points = Array.from(text);
  return points.length > maxLength ? `${points.slice(0, maxLength - 1).join("")}…` : text;
}

function cellHtml(value: TableCell): string {
  const shown = cellText(value, MAX_CELL);
  const text = escapeHtml(shown);
  if (value === null || value === undefined) return `<td style="opacity:.5;font-style:italic">null</td>`;
  if (typeof value === "number") return `<td style="text-align:right;font-variant-numeric:tabular-nums">${text}</td>`;
  // An Arabic or Hebrew cell starts at the right, whatever its neighbours do.
  return `<td dir="${writingDirection(shown)}" style="text-align:start;max-width:32em;white-space:pre-wrap;overflow-wrap:anywhere;vertical-align:top">${text}</td>`;
}

function headingHtml(name: string): string {
  return `<th dir="${writingDirection(name)}" style="text-align:start">${escapeHtml(name)}</th>`;
}

/** A table as `text/html` and `text/plain`. Missing values show as null, long text is cut, long tables keep both ends. */
export function htmlTable(table: TableContent): MimeBundle {
  const maxRows = table.maxRows ?? MAX_ROWS;
  const count = table.rows.length;
  const numbers = Array.from({ length: count }, (_, at) => at);
  const half = Math.ceil(maxRows / 2);
  const shown: (number | "gap")[] =
    count <= maxRows ? numbers : [...numbers.slice(0, half), "gap", ...numbers.slice(count - (maxRows - half))];
  const headings = table.index === undefined ? table.columns : ["", ...table.columns];
  const label = (row: number): string => String(table.index![row] ?? row);

  const body = shown.map((row) => {
    if (row === "gap")
      return `<tr><td colspan="${headings.length}" style="text-align:center;opacity:.6">… ${count - maxRows} more rows …</td></tr>`;
    const first = table.index === undefined ? "" : headingHtml(label(row));
    return `<tr>${first}${table.rows[row]!.map(cellHtml).join("")}</tr>`;
  });
  const head = headings.map(headingHtml).join("");
  const caption =
    table.caption === undefined
      ? ""
      : `<caption dir="${writingDirection(table.caption)}" style="caption-side:bottom;text-align:start;opacity:.7">${escapeHtml(table.caption)}</caption>`;
  // Columns follow the headings: those of an Arabic table begin at the right.
  const order = writingDirection(table.columns.join(" ")) === "rtl" ? "rtl" : "ltr";
  const html = `<table class="preflab-table" dir="${order}" style="border-collapse:collapse">${caption}<thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>`;
  return { "text/html": html, "text/plain": plainTable(headings, shown, table, label) };
}

function plainTable(headings: string[], shown: (number | "gap")[], table: TableContent, label: (row: number) => string): string {
  const lines = [headings.map((name) => cellText(name, MAX_PLAIN_CELL))];
  for (const row of shown) {
    if (row === "gap") lines.push(headings.map(() => "…"));
    else
      lines.push([
        ...(table.index === undefined ? [] : [label(row)]),
        ...table.rows[row]!.map((value) => cellText(value, MAX_PLAIN_CELL).replace(/\s+/g, " ")),
      ]);
  }
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => Array.from(line[column] ?? "").length)));
  const text = lines.map((line) =>
    line
      .map((cell, column) => isolated(cell) + " ".repeat(Math.max(0, widths[column]! - Array.from(cell).length)))
      .join("  ")
      .trimEnd(),
  );
  return [...text, ...(table.caption === undefined ? [] : [table.caption])].join("\n");
}

/** Rows with a rank, shown as a table. */
export class RankedTable<Row extends object> implements Displayable {
  /** Best first. */
  readonly rows: readonly Row[];
  readonly by: string;

  constructor(rows: readonly Row[], by: string) {
    this.rows = rows;
    this.by = by;
  }

  /** The first row. @throws ConfigError when there is none */
  get best(): Row {
    const row = this.rows[0];
    if (row === undefined)
      throw new ConfigError("ranked_table_empty", "rankedTable: best needs at least one row, got none; run a trial first");
    return row;
  }

  [displaySymbol](): MimeBundle {
    const columns = [...new Set(this.rows.flatMap((row) => Object.keys(row)))];
    const cells = this.rows.map((row) => columns.map((column): TableCell => (row as Record<string, unknown>)[column]));
    return htmlTable({ columns, rows: cells, index: this.rows.map((_, at) => at + 1), caption: `ranked by ${this.by}`, maxRows: 60 });
  }
}

/**
 * Sorts rows by one numeric column and shows them as a table with ranks. Rows without a finite number come last, in their old order.
 * @param options.by the column
 * @param options.ascending true: the smallest is best (a loss). Default false
 * @throws ConfigError when no row has the column, with the nearest known name
 */
export function rankedTable<Row extends object>(
  rows: readonly Row[],
  options: { by: Extract<keyof Row, string>; ascending?: boolean },
): RankedTable<Row> {
  const { by, ascending = false } = options;
  const known = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (rows.length > 0 && !known.includes(by)) {
    const near = nearestName(by, known);
    throw new ConfigError(
      "ranked_table_column",
      `rankedTable: by must be one of ${known.join(", ")}, got ${by}; ${near === undefined ? "name one of these columns" : `did you mean ${near}?`}`,
    );
  }
  const key = (row: Row): number => {
    const value = row[by];
    return typeof value === "number" && Number.isFinite(value) ? (ascending ? value : -value) : Infinity;
  };
  const order = rows.map((row, at) => ({ row, at, key: key(row) })).sort((a, b) => (a.key === b.key ? a.at - b.at : a.key - b.key));
  return new RankedTable(
    order.map((entry) => entry.row),
    by,
  );
}

/** Metrics by name, one column for each of the given sets of them. */
export class MetricsTable implements Displayable {
  readonly columns: Readonly<Record<string, Readonly<Record<string, unknown>>>>;

  constructor(columns: Readonly<Record<string, Readonly<Record<string, unknown>>>>) {
    this.columns = columns;
  }

  [displaySymbol](): MimeBundle {
    const sets = Object.keys(this.columns);
    const names = [...new Set(Object.values(this.columns).flatMap(Object.keys))];
    const rows = names.map((name) => sets.map((set): TableCell => this.columns[set]![name] ?? ""));
    return htmlTable({ columns: sets, rows, index: names, maxRows: 200 });
  }
}

/**
 * Metrics as a table, one row each: of one evaluation, or of several side by side.
 * @param metrics as `trainer.evaluate()` or `output.metrics` give them; or several such objects by a name for each
 * @throws ConfigError `metrics_table` when there is none
 */
export function metricsTable(metrics: Readonly<Record<string, unknown>>): MetricsTable {
  const entries = Object.entries(metrics);
  if (entries.length === 0)
    throw new ConfigError("metrics_table", "metricsTable: must be given metrics, got none; pass what trainer.evaluate() returns");
  const several = entries.every(([, value]) => typeof value === "object" && value !== null);
  return new MetricsTable(several ? (metrics as Record<string, Record<string, unknown>>) : { value: metrics });
}
