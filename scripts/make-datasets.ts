/**
 * Makes the parquet files of `datasets/*-dpo-mini/` from their JSONL files, which are the source, and brings the table of
 * files in `datasets/README.md` up to date:
 *
 *     node dist/scripts/make-datasets.js
 *
 * The same JSONL gives the same bytes.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { DataError } from "../src/errors.js";
import type { PairRow } from "./corpus/pairs.js";
import { packageRoot, pairColumns, pairFolders, readPairs } from "./corpus/pairs.js";

const splits = ["train", "test"] as const;

/** A parquet file of the rows: one string column per field, none nullable, one row group. */
export function pairsToParquet(rows: readonly PairRow[]): Uint8Array {
  const columnData = pairColumns.map((name) => ({ name, data: rows.map((row) => row[name]), type: "STRING" as const, nullable: false }));
  return new Uint8Array(parquetWriteBuffer({ columnData, createdBy: "preflab" }));
}

/** A line of the table: file below `datasets/`, rows, SHA-256 in hexadecimal. */
export interface FileEntry {
  file: string;
  rows: number;
  sha256: string;
}

/** Rows and hashes of all files of pairs, as they are on disk. JSONL and parquet of a split share the rows. */
export function listFiles(datasets: string): FileEntry[] {
  return pairFolders.flatMap((folder) =>
    splits.flatMap((split) => {
      const rows = readPairs(join(datasets, folder, `${split}.jsonl`)).length;
      return ["jsonl", "parquet"].map((format) => {
        const file = `${folder}/${split}.${format}`;
        return {
          file,
          rows,
          sha256: createHash("sha256")
            .update(readFileSync(join(datasets, file)))
            .digest("hex"),
        };
      });
    }),
  );
}

const tableStart = "<!-- files: written by scripts/make-datasets.ts -->";
const tableEnd = "<!-- end of files -->";

/** `readme` with the table between its two markers replaced. @throws DataError when a marker is missing */
export function updateTable(readme: string, files: readonly FileEntry[]): string {
  const start = readme.indexOf(tableStart);
  const end = readme.indexOf(tableEnd);
  if (start < 0 || end < start) {
    throw new DataError(
      "readme_markers",
      `make-datasets: datasets/README.md must hold ${tableStart} and ${tableEnd}, got none; put them back`,
    );
  }
  const lines = files.map(({ file, rows, sha256 }) => `| \`${file}\` | ${rows} | \`${sha256}\` |`);
  const table = ["| File | Rows | SHA-256 |", "| --- | --- | --- |", ...lines].join("\n");
  return `${readme.slice(0, start)}${tableStart}\n\n${table}\n\n${readme.slice(end)}`;
}

function main(): void {
  const datasets = join(packageRoot(), "datasets");
  for (const folder of pairFolders) {
    for (const split of splits) {
      const rows = readPairs(join(datasets, folder, `${split}.jsonl`));
      writeFileSync(join(datasets, folder, `${split}.parquet`), pairsToParquet(rows));
      console.log(`${folder}/${split}: ${rows.length} rows`);
    }
  }
  const readme = join(datasets, "README.md");
  writeFileSync(readme, updateTable(readFileSync(readme, "utf8"), listFiles(datasets)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
