/** Names for content: SHA-256 of files, rows, tokenizers and trained tensors. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, readdir, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Dataset } from "../../data/index.js";
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import type { DataRecord, FileRecord, Place } from "./runManifest.js";

export function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** `models--owner--name/snapshots/COMMIT/path`: how the Hub's cache keeps a repository. */
const SNAPSHOT = /(?:^|\/)(?:models|datasets)--([^/]+?)--([^/]+)\/snapshots\/([0-9a-f]{40})(?:\/(.+))?$/;

/** What others would call a path: a file of the Hub's cache by its repository and commit. */
export function placeOf(path: string): Place {
  const absolute = resolve(path);
  const cached = SNAPSHOT.exec(absolute.split(sep).join("/"));
  if (cached === null) return { path: absolute };
  const [, owner, name, commit, inside = ""] = cached;
  return { path: inside, repository: `${owner!}/${name!}`, commit: commit! };
}

/** By place, size and time of change: the trials of a grid share a base model of gigabytes. */
const hashed = new Map<string, Promise<FileHash>>();

interface FileHash {
  readonly bytes: number;
  readonly sha256: string;
}

/** @throws the file system's error */
export async function hashFile(path: string): Promise<FileHash> {
  const place = await realpath(path);
  const { size, mtimeMs, ctimeMs } = await stat(place);
  const key = `${place} ${size} ${mtimeMs} ${ctimeMs}`;
  const known = hashed.get(key) ?? readHash(place);
  hashed.set(key, known);
  known.catch(() => hashed.delete(key));
  return known;
}

async function readHash(place: string): Promise<FileHash> {
  const hash = createHash("sha256");
  let bytes = 0;
  await pipeline(createReadStream(place, { highWaterMark: 1 << 20 }), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  });
  return { bytes, sha256: hash.digest("hex") };
}

export async function recordFile(path: string): Promise<FileRecord> {
  return { ...placeOf(path), ...(await hashFile(path)) };
}

/** Of every value of every row, in order, with the names of the columns. */
export function hashRows(dataset: Dataset): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify(dataset.column_names));
  for (const row of dataset)
    hash.update(
      `\n${JSON.stringify(row, (_, value: unknown) => (typeof value === "bigint" ? { bigint: String(value) } : (value as object)))}`,
    );
  return hash.digest("hex");
}

export async function recordData(dataset: Dataset): Promise<DataRecord> {
  const files: string[] = [];
  const segments: { file: number; start: number; count: number }[] = [];
  let whole = true;
  for (let i = 0; i < dataset.length; i++) {
    const { file, row } = dataset.origin(i);
    if (file === undefined) {
      whole = false;
      continue;
    }
    if (!files.includes(file)) files.push(file);
    const at = files.indexOf(file);
    const last = segments.at(-1);
    if (last?.file === at && last.start + last.count === row) last.count++;
    else segments.push({ file: at, start: row, count: 1 });
  }
  const records: FileRecord[] = [];
  for (const file of files) records.push(await recordFile(file));
  return {
    rows: dataset.length,
    columns: dataset.column_names,
    sha256: hashRows(dataset),
    files: records,
    order: whole ? segments.map(({ file, start, count }) => `${file}:${start}+${count}`).join(" ") : null,
  };
}

/** The file and row numbers that `DataRecord.order` lists. */
export function parseOrder(order: string): { file: number; row: number }[] {
  if (order === "") return [];
  return order.split(" ").flatMap((segment) => {
    const [file, start, count] = segment.split(/[:+]/).map(Number) as [number, number, number];
    return Array.from({ length: count }, (_, i) => ({ file, row: start + i }));
  });
}

/** Of the files that saving it would write: two tokenizers with one hash do the same. */
export async function hashTokenizer(tokenizer: PreTrainedTokenizer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "preflab-tokenizer-"));
  try {
    await tokenizer.save_pretrained(folder);
    return await hashFolder(folder, () => true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of the names and contents of a folder's files. */
export async function hashFolder(folder: string, wanted: (name: string) => boolean): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile() && wanted(entry.name)).map((entry) => join(entry.parentPath, entry.name));
  const named = paths.map((path) => ({ path, name: relative(folder, path).split(sep).join("/") }));
  const hash = createHash("sha256");
  for (const { path, name } of named.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const content = await readFile(path);
    hash.update(`${name}\n${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

/** Of the trained tensors as they are now, by name. */
export async function hashWeights(model: CausalLM): Promise<string> {
  const engine = await model.load();
  const hash = createHash("sha256");
  for (const [name, shape] of [...model.trainable()].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { data } = await engine.fetch(model.storeName(name));
    hash.update(`${name} ${shape.join("x")}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}
