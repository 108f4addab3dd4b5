/**
 * What an evaluation returns: plain data, rows for a data frame, and a table that a notebook shows as the last value of a cell. The
 * display protocol is that of src/notebook/mime.ts; neither needs the other.
 */
import { type DataFrame, rowsToDataFrame } from "../data/dataframe.js";
import { csvLine } from "../text/csvLine.js";
import { escapeHtml } from "../text/escapeHtml.js";
import { writingDirection } from "../text/writingDirection.js";
import type { Estimate } from "./statistics.js";

export const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

/** A value of a table. null: there is none; where a value was not measured, the table says so in words. */
export type Cell = string | number | boolean | null;
export type TableRow = Readonly<Record<string, Cell>>;

/** MIME type → content. */
export type Shown = Readonly<Record<string, unknown>>;

export abstract class EvaluationResult {
  /** The result as rows of one kind, e.g. for `new DataFrame(result.rows())`. */
  abstract rows(): TableRow[];
  /** Sentences above the table: what was measured, on how many rows, what was left out. */
  abstract summary(): string[];

  /** A danfojs DataFrame of `rows()`. */
  async to_dataframe(): Promise<DataFrame> {
    const rows = this.rows();
    return rowsToDataFrame(
      rows.map((row) => ({ ...row })),
      columnsOf(rows),
    );
  }

  /** Summary and table as plain text. */
  toString(): string {
    return [...this.summary(), "", textTable(this.rows())].join("\n");
  }

  [displaySymbol](): Shown {
    const sentences = this.summary().map((line) => `<div style="max-width:60em">${escapeHtml(line)}</div>`);
    return { "text/html": `${sentences.join("")}${htmlTable(this.rows())}`, "text/plain": this.toString() };
  }
}

/** Columns in the order in which the rows name them first. */
export function columnsOf(rows: readonly TableRow[]): string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

/** Rows as aligned plain text, numbers at the right. */
export function textTable(rows: readonly TableRow[]): string {
  const columns = columnsOf(rows);
  const cells = rows.map((row) => columns.map((name) => cellText(row[name] ?? null)));
  const widths = columns.map((name, i) => Math.max(name.length, ...cells.map((line) => line[i]!.length)));
  const isNumber = columns.map((name) => rows.some((row) => typeof row[name] === "number"));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (isNumber[i] === true ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [line(columns), ...cells.map(line)].join("\n");
}

function htmlTable(rows: readonly TableRow[]): string {
  const columns = columnsOf(rows);
  const head = columns.map((name) => `<th style="text-align:start">${escapeHtml(name)}</th>`).join("");
  const body = rows.map((row) => `<tr>${columns.map((name) => htmlCell(row[name] ?? null)).join("")}</tr>`).join("");
  return `<table class="preflab-table" style="border-collapse:collapse"><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`;
}

function htmlCell(value: Cell): string {
  const text = escapeHtml(cellText(value));
  if (typeof value === "number") return `<td style="text-align:right;font-variant-numeric:tabular-nums">${text}</td>`;
  return `<td dir="${writingDirection(cellText(value))}" style="text-align:start">${text}</td>`;
}

function cellText(value: Cell): string {
  return value === null ? "" : typeof value === "number" ? numberText(value) : String(value);
}

/** Whole numbers as they are, others with four significant digits at least. */
export function numberText(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(3);
  return size >= 1000 ? value.toFixed(1) : size >= 1 ? value.toPrecision(5) : value.toFixed(4);
}

/** `62.5 % (95 % interval 47.9 % to 75.1 %)` */
export function percentText({ value, low, high }: Estimate): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  return `${percent(value)} (95 % interval ${percent(low)} to ${percent(high)})`;
}

/** `1 row`, `2 rows` */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Rows as CSV with a header line. Missing values are empty cells. */
export function csvText(rows: readonly TableRow[], columns = columnsOf(rows)): string {
  return [columns, ...rows.map((row) => columns.map((name) => String(row[name] ?? "")))].map(csvLine).join("");
}
