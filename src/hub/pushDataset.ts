/** `push_to_hub` of data sets, with the interface of Python's datasets. */
import { existsSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Dataset } from "../data/index.js";
import { canonicalSplit } from "../data/split.js";
import { ConfigError, DataError } from "../errors.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import { type PushResult, type PushToHubOptions, push } from "./push.js";

export interface PushDatasetOptions extends PushToHubOptions {
  /** Name of the rows, default "train". What the repository has under other names stays. */
  split?: string;
}

/** Bytes of one file, as in Python. */
const SHARD_BYTES = 500e6;

declare module "../data/dataset.js" {
  interface Dataset {
    /**
     * Uploads the rows as JSON Lines (`data/SPLIT-00000-of-00001.jsonl`), which Python's datasets and `load_dataset` read, as one commit.
     * Without a token they are written to a local folder instead, and a line says so.
     * @param repo_id `owner/name`, or `name` in the token's own namespace
     * @throws HubError (the files then lie in `local_dir`); DataError `data_type` for values that JSON has not
     */
    push_to_hub(repo_id: string, options?: PushDatasetOptions): Promise<PushResult>;
  }
}

Dataset.prototype.push_to_hub = async function push_to_hub(
  this: Dataset,
  repo_id: string,
  { split = "train", ...options }: PushDatasetOptions = {},
): Promise<PushResult> {
  // Other names would be read as those, or not at all.
  if (!/^\w[\w.]*$/.test(split) || canonicalSplit(split) !== split) {
    throw new ConfigError("split", `push_to_hub: split must be a word such as train, validation or test, got ${JSON.stringify(split)}`);
  }
  const isShard = (path: string): boolean => path.startsWith(`data/${split}-`);
  return push(
    {
      where: "push_to_hub",
      repo_id,
      kind: "dataset",
      directory: join("hub", String(repo_id)),
      message: "Upload dataset",
      save: async (folder) => {
        await saveShards(this, join(folder, "data"), split);
        const card = join(folder, "README.md");
        if (!existsSync(card)) await writeFileAtomic(card, datasetCard(repo_id, this));
      },
      upload: { obsolete: isShard, keep: (path) => path === "README.md" },
    },
    options,
  );
};

function datasetCard(repo_id: string, { column_names }: Dataset): string {
  const columns = column_names.map((name) => `\`${name}\``).join(", ");
  return `---\ntags:\n  - preflab\n---\n\n# ${repo_id.split("/").at(-1)!}\n\nColumns: ${columns}. Saved by Preflab.\n`;
}

/** The number of files is part of their names, and known only at the end. */
async function saveShards(dataset: Dataset, folder: string, split: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const temporary: string[] = [];
  let [handle, bytes]: [FileHandle | undefined, number] = [undefined, 0];
  const close = async (): Promise<void> => {
    await handle?.sync();
    await handle?.close();
    handle = undefined;
  };
  try {
    for (let i = 0; i < dataset.length || temporary.length === 0; i++) {
      const line = i < dataset.length ? Buffer.from(`${encode(dataset.at(i), dataset, i)}\n`) : Buffer.alloc(0);
      if (handle !== undefined && bytes + line.length > SHARD_BYTES) await close();
      if (handle === undefined) {
        const path = join(folder, `.${split}-${temporary.length}.tmp`);
        temporary.push(path);
        [handle, bytes] = [await open(path, "w"), 0];
      }
      await handle.writeFile(line);
      bytes += line.length;
    }
  } finally {
    await close();
  }
  // Of a folder that was written before, which may have had more files.
  for (const name of await readdir(folder)) if (name.startsWith(`${split}-`)) await rm(join(folder, name));
  const pad = (n: number): string => String(n).padStart(5, "0");
  for (const [i, path] of temporary.entries()) await rename(path, join(folder, `${split}-${pad(i)}-of-${pad(temporary.length)}.jsonl`));
}

/** JSON that keeps integers of any size. @throws DataError `data_type` */
function encode(value: unknown, dataset: Dataset, row: number): string {
  const refuse = (what: string): never => {
    throw new DataError(
      "data_type",
      `push_to_hub: JSON must be able to hold the value, got ${what}; change it with map, or remove the column`,
      dataset.origin(row),
    );
  };
  if (value === null || typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? JSON.stringify(value) : refuse(String(value));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? refuse("a date that is none") : JSON.stringify(value);
  if (ArrayBuffer.isView(value)) return refuse("bytes");
  if (Array.isArray(value)) return `[${value.map((each) => encode(each, dataset, row)).join(",")}]`;
  if (typeof value !== "object") return refuse(`a ${typeof value}`);
  return `{${Object.entries(value!)
    .map(([name, each]) => `${JSON.stringify(name)}:${encode(each ?? null, dataset, row)}`)
    .join(",")}}`;
}
