import { readJson, readJsonLines } from "./json.js";
import type { Row } from "./row.js";

/**
 * A reader turns one file into rows.
 *
 * It promises: rows in file order; every row a plain object with its own fields; missing values null, never undefined; text exactly
 * as stored (no trimming, no guessing that "007" is a number), except that formats whose cells cannot hold lists (csv, tsv, xlsx) give
 * columns of conversations as JSON text, which are parsed. Malformed bytes are a DataError with the file, the row where one is
 * known, and the cause; never a half-read result.
 * It may hold the whole file in memory. It does not know what a preference is: that is preference.ts.
 */
export type Reader = (file: string, options: ReaderOptions) => Promise<Row[]>;

/** Options of single formats; giving one to another format is an error. */
export interface ReaderOptions {
  /** json: name of the field that holds the list of rows, for files like `{"version": 1, "data": [...]}`. */
  field?: string;
  /** csv, tsv: the character between cells; default "," for .csv and a tab for .tsv. */
  delimiter?: string;
  /** xlsx: name or number (from 1) of the sheet; default the first. */
  sheet?: string | number;
}

/** Their libraries are loaded with the first file of the kind. */
const readParquet: Reader = async (file) => (await import("./parquet.js")).readParquet(file);
const readCsv: Reader = async (file, options) => (await import("./csv.js")).readCsv(file, options);
const readXlsx: Reader = async (file, options) => (await import("./xlsx.js")).readXlsx(file, options);

/** Readers by extension, in the order in which a directory's files are chosen: the most exact format first. */
export const READERS: ReadonlyMap<string, { read: Reader; options: readonly (keyof ReaderOptions)[] }> = new Map([
  [".parquet", { read: readParquet, options: [] }],
  [".jsonl", { read: readJsonLines, options: [] }],
  [".json", { read: readJson, options: ["field"] }],
  [".csv", { read: readCsv, options: ["delimiter"] }],
  [".tsv", { read: readCsv, options: ["delimiter"] }],
  [".xlsx", { read: readXlsx, options: ["sheet"] }],
]);
