import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { ConfigError, DataError, nearestName } from "../errors.js";
import { chooseDataFiles, type DataFileQuery } from "./dataFiles.js";
import { Dataset } from "./dataset.js";
import { READERS, type ReaderOptions } from "./reader.js";
import { fetchRepository, type RepositoryListing, type RepositoryOptions, takeRepositoryOptions } from "./repository.js";
import { parseSplit, splitOfPath, takeSlice } from "./split.js";

/** Options of `load_dataset`. */
export interface LoadDatasetOptions extends ReaderOptions, RepositoryOptions {
  /** `train` (default), `validation`, `test`, or a part of one: `train[:100]`, `train[10%:20%]`. */
  split?: string;
  /** Of a data set with several configurations (languages, subsets), the wanted one; for directories and Hub ids. */
  name?: string;
}

const OPTION_NAMES = ["split", "name", "field", "delimiter", "sheet"] as const;

/**
 * Loads one split of a data set from a file, a directory, or the Hugging Face Hub (`owner/name`, when no such path exists).
 *
 * A file is read by its extension: .parquet, .jsonl, .json, .csv, .tsv, .xlsx; its rows are the split its name tells
 * (`test.jsonl`, `data/validation-00000-of-00001.parquet`), else `train`.
 *
 * A directory (and its sub-directories) and a repository of the Hub are read alike: if the YAML head of README.md has `configs`, the
 * split's files are those named there; else data files are grouped by the split their name or folder tells (if none tells one, all are
 * `train`), and of the wanted split's files one format is taken, in the order parquet, jsonl, json, csv, tsv, xlsx (the same rows often
 * lie there twice, as parquet and as text). The files are joined in order of their names. From the Hub, only these are fetched.
 *
 * @throws DataError `data_not_found` (no such path; says what was tried), `data_file_type`, `data_split`, `data_config`,
 * `data_incomplete`, `data_malformed`
 * @throws ConfigError for an unknown option, or one that the format does not have; HubError
 */
export async function load_dataset(pathOrId: string, options: LoadDatasetOptions = {}): Promise<Dataset> {
  const [repository] = takeRepositoryOptions("load_dataset", options, OPTION_NAMES);
  const split = parseSplit(options.split ?? "train");
  const query = { split: split.name, name: options.name };
  const select = (listing: RepositoryListing): Promise<string[]> => chooseDataFiles(listing, query);
  const fetched = await fetchRepository("load_dataset", pathOrId, { kind: "dataset", select }, repository);
  const files = fetched === undefined ? await chooseFiles(pathOrId, query) : fetched.files.map((file) => join(fetched.dir, file));
  const parts: Dataset[] = [];
  for (const file of files) parts.push(await readFileRows(file, options));
  const dataset = Dataset.concatenate(parts);
  return takeSlice(dataset, split);
}

async function readFileRows(file: string, options: LoadDatasetOptions): Promise<Dataset> {
  const extension = extname(file).toLowerCase();
  const reader = READERS.get(extension)!;
  for (const name of ["field", "delimiter", "sheet"] as const) {
    if (options[name] !== undefined && !reader.options.includes(name)) {
      const formats = [...READERS].filter(([, other]) => other.options.includes(name)).map(([other]) => other);
      throw new ConfigError("option_unused", `load_dataset: ${name} is for ${formats.join(", ")} files, got it with ${file}; leave it out`);
    }
  }
  try {
    return Dataset.from_rows(await reader.read(file, options), { file });
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).syscall !== "string") throw error;
    throw new DataError("data_not_found", `cannot be read; ${(error as Error).message}`, { file }, { cause: error });
  }
}

async function chooseFiles(path: string, query: DataFileQuery): Promise<string[]> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) throw await describeMissing(path);
  if (status.isDirectory()) {
    const files = (await listFiles(path)).map((file) => relative(path, file).split(sep).join("/"));
    const chosen = await chooseDataFiles({ where: path, files, read: (file) => readFile(join(path, file), "utf8") }, query);
    return chosen.map((file) => join(path, file));
  }
  if (!READERS.has(extname(path).toLowerCase())) {
    throw new DataError(
      "data_file_type",
      `must be one of ${[...READERS.keys()].join(", ")}, got ${extname(path) || "no extension"}; convert or rename it`,
      { file: path },
    );
  }
  const own = splitOfPath(basename(path)) ?? "train";
  if (query.split !== own && query.split !== "train") {
    throw new DataError("data_split", `must hold the split ${query.split}, got a file of the split ${own}; leave split out to read it`, {
      file: path,
    });
  }
  if (query.name !== undefined) {
    throw new ConfigError("option_unused", `load_dataset: name is for directories and Hub ids, got it with ${path}; leave it out`);
  }
  return [path];
}

/** All files below a directory, hidden ones left out, in order of their paths. Links are followed (the Hub's cache is made of them),
 *  each directory once; a link that leads nowhere is left out. */
async function listFiles(directory: string, seen = new Set<string>()): Promise<string[]> {
  const place = await realpath(directory);
  if (seen.has(place)) return [];
  seen.add(place);
  const files: string[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (name.startsWith(".")) continue;
    const path = join(directory, name);
    const status = await stat(path).catch(() => undefined);
    if (status?.isDirectory() === true) files.push(...(await listFiles(path, seen)));
    else if (status?.isFile() === true) files.push(path);
  }
  return files;
}

async function describeMissing(path: string): Promise<DataError> {
  const tried = `tried the path ${resolve(path)}`;
  const neighbours = await readdir(dirname(resolve(path))).catch(() => [] as string[]);
  const nearest = nearestName(basename(path), neighbours);
  const spelled = nearest === undefined ? "" : `; did you mean ${join(dirname(path), nearest)}?`;
  return new DataError(
    "data_not_found",
    `load_dataset: must be a file or a directory, got "${path}" (${tried}: nothing is there)${spelled}; check the path, or pass the directory that holds the data files, or a Hub id (owner/name)`,
  );
}
