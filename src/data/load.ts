import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { ConfigError, DataError, nearestName } from "../errors.js";
import { Dataset } from "./dataset.js";
import { READERS, type ReaderOptions } from "./reader.js";
import { parseSplit, splitOfPath, takeSlice } from "./split.js";

/** Options of `load_dataset`. */
export interface LoadDatasetOptions extends ReaderOptions {
  /** `train` (default), `validation`, `test`, or a part of one: `train[:100]`, `train[10%:20%]`. */
  split?: string;
}

const OPTION_NAMES: readonly (keyof LoadDatasetOptions)[] = ["split", "field", "delimiter", "sheet"];

/** Files that belong to a data set's description, not to its rows. */
const DESCRIPTION_FILES = new Set(["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"]);

/**
 * Loads one split of a data set from a file or a directory.
 *
 * A file is read by its extension: .parquet, .jsonl, .json, .csv, .tsv, .xlsx; its rows are the split its name tells
 * (`test.jsonl`, `data/validation-00000-of-00001.parquet`), else `train`.
 *
 * A directory (and its sub-directories) is read so: data files are grouped by the split their name or folder tells; if no file tells
 * one, all are `train`. Of the wanted split's files one format is taken, in the order parquet, jsonl, json, csv, tsv, xlsx (the same
 * rows often lie there twice, as parquet and as text), and all its files are joined in order of their names.
 *
 * @throws DataError `data_not_found` (no such path; says what was tried), `data_file_type`, `data_split`, `data_malformed`
 * @throws ConfigError for an unknown option, or one that the format does not have
 */
export async function load_dataset(pathOrDir: string, options: LoadDatasetOptions = {}): Promise<Dataset> {
  for (const name of Object.keys(options)) {
    if (!(OPTION_NAMES as readonly string[]).includes(name)) {
      const nearest = nearestName(name, OPTION_NAMES);
      const advice = nearest === undefined ? `the options are ${OPTION_NAMES.join(", ")}` : `did you mean ${nearest}?`;
      throw new ConfigError("option_unknown", `load_dataset: options must be known, got ${name}; ${advice}`);
    }
  }
  const split = parseSplit(options.split ?? "train");
  const files = await chooseFiles(pathOrDir, split.name);
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

async function chooseFiles(path: string, split: string): Promise<string[]> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) throw await describeMissing(path);
  if (!status.isDirectory()) {
    if (!READERS.has(extname(path).toLowerCase())) {
      throw new DataError(
        "data_file_type",
        `must be one of ${[...READERS.keys()].join(", ")}, got ${extname(path) || "no extension"}; convert or rename it`,
        { file: path },
      );
    }
    const own = splitOfPath(basename(path)) ?? "train";
    if (split !== own && split !== "train") {
      throw new DataError("data_split", `must hold the split ${split}, got a file of the split ${own}; leave split out to read it`, {
        file: path,
      });
    }
    return [path];
  }
  const found = (await listFiles(path)).map((file) => ({ file, split: splitOfPath(relative(path, file)) }));
  const data = found.filter(({ file }) => READERS.has(extname(file).toLowerCase()) && !DESCRIPTION_FILES.has(basename(file)));
  if (data.length === 0) {
    const arrow = found.some(({ file }) => file.endsWith(".arrow"))
      ? "; .arrow files come from save_to_disk: write them with to_parquet instead"
      : "";
    throw new DataError(
      "data_not_found",
      `must hold data files (${[...READERS.keys()].join(", ")}), got none among ${found.length} files${arrow}`,
      { file: path },
    );
  }
  const told = data.some((each) => each.split !== undefined);
  const wanted = told ? data.filter((each) => each.split === split) : split === "train" ? data : [];
  if (wanted.length === 0) {
    const splits = told ? [...new Set(data.map((each) => each.split).filter((name) => name !== undefined))].sort() : ["train"];
    throw new DataError("data_split", `must hold the split ${split}, got ${splits.join(", ")}; pass { split: "${splits[0]!}" }`, {
      file: path,
    });
  }
  for (const extension of READERS.keys()) {
    const files = wanted.map((each) => each.file).filter((file) => extname(file).toLowerCase() === extension);
    if (files.length > 0) return files;
  }
  throw new Error("unreachable: every data file has a known extension");
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
  const hub =
    /^[\w.-]+\/[\w.-]+$/.test(path) && !READERS.has(extname(path).toLowerCase())
      ? "; if it is a Hugging Face Hub id, download its data files and pass their directory"
      : "; check the path, or pass the directory that holds the data files";
  return new DataError(
    "data_not_found",
    `load_dataset: must be a file or a directory, got "${path}" (${tried}: nothing is there)${spelled}${hub}`,
  );
}
