import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { DataError } from "../errors.js";
import type { Row } from "./row.js";

/**
 * Reads Parquet (all codecs of hyparquet-compressors: snappy, gzip, zstd, brotli, lz4). Lists and structs become arrays and
 * objects; 64-bit integers become numbers where a number holds them exactly, else stay bigint.
 */
export async function readParquet(file: string): Promise<Row[]> {
  try {
    const buffer = await asyncBufferFromFile(file);
    const rows = await parquetReadObjects({ file: buffer, compressors });
    return rows.map((row) => plainValue(row) as Row);
  } catch (error) {
    throw new DataError(
      "data_malformed",
      `must be a whole Parquet file; ${(error as Error).message}; download or write it again`,
      { file },
      { cause: error },
    );
  }
}

/** Typed arrays, bigints and undefined as hyparquet yields them → the values that `Row` promises. */
function plainValue(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== "object" || value instanceof Date || value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array, plainValue);
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plainValue(field)]));
}
