/**
 * Makes the parquet files of `datasets/*-dpo-mini/` from their JSONL files, which are the source, `datasets/truthy-sft-mini/` from the
 * good answers of `truthy-dpo-mini/`, and the workbook of `datasets/pii-labels/` from `scripts/labels/`, and brings the table of files in
 * `datasets/README.md` up to date:
 *
 *     node dist/scripts/make-datasets.js
 *
 * The same sources give the same bytes.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { DataError } from "../src/errors.js";
import type { PairRow } from "./corpus/pairs.js";
import { packageRoot, pairColumns, pairFolders, readPairs } from "./corpus/pairs.js";
import { labelRows } from "./labels/index.js";
import { labelsToXlsx } from "./labels/workbook.js";

const splits = ["train", "test"] as const;

/** A parquet file of the rows: one string column per field, none nullable, one row group. */
export function pairsToParquet(rows: readonly PairRow[]): Uint8Array {
  const columnData = pairColumns.map((name) => ({ name, data: rows.map((row) => row[name]), type: "STRING" as const, nullable: false }));
  return new Uint8Array(parquetWriteBuffer({ columnData, createdBy: "preflab" }));
}

/** Chats made of the pairs of this folder. */
const CHATS = { folder: "truthy-sft-mini", from: "truthy-dpo-mini" } as const;

/** JSONL of conversations for supervised fine-tuning: the prompt, and the better answer. */
export function chatsToJsonl(rows: readonly PairRow[]): string {
  const messages = ({ prompt, chosen }: PairRow) => [
    { role: "user", content: prompt },
    { role: "assistant", content: chosen },
  ];
  return rows.map((row) => `${JSON.stringify({ messages: messages(row) })}\n`).join("");
}

const WORKBOOK = "pii-labels/labels.xlsx";

/** A line of the table: file below `datasets/`, rows, SHA-256 in hexadecimal. */
export interface FileEntry {
  file: string;
  rows: number;
  sha256: string;
}

/** Rows and hashes of all files, as they are on disk. JSONL and parquet of a split share the rows. */
export function listFiles(datasets: string): FileEntry[] {
  const entry = (file: string, rows: number): FileEntry => {
    const hash = createHash("sha256").update(readFileSync(join(datasets, file)));
    return { file, rows, sha256: hash.digest("hex") };
  };
  const count = (folder: string, split: string): number => readPairs(join(datasets, folder, `${split}.jsonl`)).length;
  const pairs = pairFolders.flatMap((folder) =>
    splits.flatMap((split) => ["jsonl", "parquet"].map((format) => entry(`${folder}/${split}.${format}`, count(folder, split)))),
  );
  const chats = splits.map((split) => entry(`${CHATS.folder}/${split}.jsonl`, count(CHATS.from, split)));
  return [...pairs, ...chats, entry(WORKBOOK, labelRows().length)];
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

async function main(): Promise<void> {
  const datasets = join(packageRoot(), "datasets");
  for (const folder of pairFolders) {
    for (const split of splits) {
      const rows = readPairs(join(datasets, folder, `${split}.jsonl`));
      writeFileSync(join(datasets, folder, `${split}.parquet`), pairsToParquet(rows));
      console.log(`${folder}/${split}: ${rows.length} rows`);
    }
  }
  mkdirSync(join(datasets, CHATS.folder), { recursive: true });
  for (const split of splits) {
    const rows = readPairs(join(datasets, CHATS.from, `${split}.jsonl`));
    writeFileSync(join(datasets, CHATS.folder, `${split}.jsonl`), chatsToJsonl(rows));
  }
  mkdirSync(join(datasets, "pii-labels"), { recursive: true });
  writeFileSync(join(datasets, WORKBOOK), await labelsToXlsx(labelRows()));
  const readme = join(datasets, "README.md");
  writeFileSync(readme, updateTable(readFileSync(readme, "utf8"), listFiles(datasets)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
