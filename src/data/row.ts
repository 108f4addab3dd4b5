/**
 * A row as a reader yields it: column name → value. Values are text, number, boolean, bigint (Parquet integers beyond ±2^53),
 * null (missing), arrays, plain objects, Date or Uint8Array; never undefined.
 * `any`, not `unknown`: rows are used in notebook cells (`row => row.prompt.length`), and the preference contract checks them.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Row = Record<string, any>;

/** Where a row came from. `row` counts from 0 in file order, headers and blank lines not counted. */
export interface RowOrigin {
  readonly file?: string;
  readonly row: number;
}

/** What a value is, for error messages: `text`, `a list`, `a number (42)`, `null`. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return "text";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "an object";
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return `a ${typeof value} (${value})`;
  return `a ${typeof value}`;
}

/** Whether `value` is an object made of named fields (not an array, date or bytes). */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** `file row 3`, or `row 3` for rows without a file. */
export function describeOrigin(origin: RowOrigin): string {
  return origin.file === undefined ? `row ${origin.row}` : `${origin.file} row ${origin.row}`;
}
