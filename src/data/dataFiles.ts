/** Which files of a data set's folder hold a split: by the `configs` of its README, as on the Hugging Face Hub, else by their names. */
import { parse } from "yaml";
import { DataError, nearestName } from "../errors.js";
import { READERS } from "./reader.js";
import type { RepositoryListing } from "./repository.js";
import { isPlainObject } from "./row.js";
import { canonicalSplit, splitOfPath } from "./split.js";

/** Files that belong to a data set's description, not to its rows. */
const DESCRIPTION_FILES = new Set(["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"]);

export interface DataFileQuery {
  /** The split's canonical name. */
  readonly split: string;
  /** One of the configurations of the README, or a folder; default the README's default one. */
  readonly name?: string;
}

/**
 * The files of a split, in order. With `configs` in the README's YAML they are those its patterns name. Without, data files are grouped
 * by the split their name or folder tells (if no file tells one, all are `train`); of the wanted split's files one format is taken, in
 * the order of the readers, because the same rows often lie there twice, as parquet and as text.
 * @throws DataError `data_not_found`, `data_split`, `data_config`, `data_incomplete`
 */
export async function chooseDataFiles(listing: RepositoryListing, { split, name }: DataFileQuery): Promise<string[]> {
  const configs = await readConfigs(listing);
  const files = configs.length > 0 ? byConfig(listing, chooseConfig(listing, configs, name), split) : byName(listing, name, split);
  requireAllShards(listing, files);
  return files;
}

/** A configuration in the README: files by split, or a folder whose files are looked at by their names. */
interface DataConfig {
  readonly name: string;
  readonly isDefault: boolean;
  readonly splits: ReadonlyMap<string, readonly string[]> | undefined;
  readonly folder: string | undefined;
}

async function readConfigs(listing: RepositoryListing): Promise<DataConfig[]> {
  if (!listing.files.includes("README.md")) return [];
  const header = /^---\r?\n([\s\S]*?)\r?\n---/.exec(await listing.read("README.md"))?.[1];
  if (header === undefined || !/^configs:/m.test(header)) return [];
  let card: unknown;
  try {
    card = parse(header);
  } catch (error) {
    throw new DataError(
      "data_config",
      `README.md must begin with valid YAML, got ${(error as Error).message}; repair it, or pass the data files`,
      { file: listing.where },
      { cause: error },
    );
  }
  const configs: unknown = isPlainObject(card) ? card["configs"] : undefined;
  if (!Array.isArray(configs)) return [];
  return configs.filter(isPlainObject).map((config) => ({
    name: textOf(config["config_name"]) ?? "default",
    isDefault: config["default"] === true,
    splits: splitsOf(config["data_files"]),
    folder: textOf(config["data_dir"]),
  }));
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** `data_files` is one pattern, a list of patterns (all of `train`), a list of {split, path}, or an object of patterns by split. */
function splitsOf(value: unknown): Map<string, string[]> | undefined {
  if (value === undefined || value === null) return undefined;
  const splits = new Map<string, string[]>();
  const add = (split: string, patterns: unknown): void => {
    const known = splits.get(canonicalSplit(split)) ?? [];
    splits.set(canonicalSplit(split), [...known, ...[patterns].flat().filter((each) => typeof each === "string")]);
  };
  if (isPlainObject(value)) for (const [split, patterns] of Object.entries(value)) add(split, patterns);
  else {
    for (const entry of [value].flat()) {
      if (isPlainObject(entry)) add(textOf(entry["split"]) ?? "train", entry["path"]);
      else add("train", entry);
    }
  }
  return splits;
}

function chooseConfig({ where }: RepositoryListing, configs: readonly DataConfig[], name: string | undefined): DataConfig {
  const names = configs.map((config) => config.name);
  if (name !== undefined) {
    const found = configs.find((config) => config.name === name);
    if (found !== undefined) return found;
    const nearest = nearestName(name, names);
    const advice = nearest === undefined ? `the configurations are ${names.join(", ")}` : `did you mean ${nearest}?`;
    throw new DataError("data_config", `must have the configuration ${name}, got others; ${advice}`, { file: where });
  }
  const usual =
    configs.length === 1 ? configs[0] : (configs.find((config) => config.isDefault) ?? configs.find((config) => config.name === "default"));
  if (usual !== undefined) return usual;
  throw new DataError(
    "data_config",
    `one configuration must be chosen, got ${names.length}: ${names.join(", ")}; pass { name: "${names[0]!}" }`,
    { file: where },
  );
}

function byConfig(listing: RepositoryListing, config: DataConfig, split: string): string[] {
  const { where } = listing;
  if (config.splits === undefined) return byName(listing, config.folder, split);
  const patterns = config.splits.get(split);
  if (patterns === undefined) throw splitError(where, split, [...config.splits.keys()]);
  const globs = patterns.map((pattern) =>
    globExpression(config.folder === undefined ? pattern : `${config.folder.replace(/\/$/, "")}/${pattern}`),
  );
  const files = [...listing.files].sort().filter((file) => globs.some((glob) => glob.test(file)) && !isHidden(file));
  const foreign = files.find((file) => !READERS.has(extensionOf(file)));
  if (foreign !== undefined) {
    throw new DataError("data_file_type", `its files must be one of ${[...READERS.keys()].join(", ")}, got ${foreign}; convert it`, {
      file: where,
    });
  }
  if (files.length === 0) {
    throw new DataError(
      "data_not_found",
      `must hold the files that its README names, got none for ${patterns.join(", ")} among ${listing.files.length} files`,
      { file: where },
    );
  }
  return files;
}

function byName({ where, files }: RepositoryListing, folder: string | undefined, split: string): string[] {
  const prefix = folder === undefined ? "" : `${folder.replace(/^\.?\/|\/$/g, "")}/`;
  const found = [...files].sort().filter((file) => file.startsWith(prefix) && !isHidden(file));
  if (folder !== undefined && found.length === 0) {
    throw new DataError(
      "data_config",
      `must have the configuration ${folder}, got none of that name, neither in README.md nor as a folder; leave name out`,
      { file: where },
    );
  }
  const data = found
    .filter((file) => READERS.has(extensionOf(file)) && !DESCRIPTION_FILES.has(file.split("/").at(-1)!))
    .map((file) => ({ file, split: splitOfPath(file.slice(prefix.length)) }));
  if (data.length === 0) throw noDataError(where, found);
  const told = data.some((each) => each.split !== undefined);
  const wanted = told ? data.filter((each) => each.split === split) : split === "train" ? data : [];
  if (wanted.length === 0) {
    throw splitError(
      where,
      split,
      told ? [...new Set(data.map((each) => each.split).filter((known) => known !== undefined))].sort() : ["train"],
    );
  }
  const extension = [...READERS.keys()].find((known) => wanted.some(({ file }) => extensionOf(file) === known));
  return wanted.map(({ file }) => file).filter((file) => extensionOf(file) === extension);
}

function noDataError(where: string, files: readonly string[]): DataError {
  const advice = files.some((file) => file.endsWith(".arrow"))
    ? "; .arrow files come from save_to_disk: write them with to_parquet instead"
    : files.some((file) => file.endsWith(".py"))
      ? '; it is made by a script: the Hub has its rows as parquet, pass { revision: "refs/convert/parquet" }'
      : "";
  return new DataError(
    "data_not_found",
    `must hold data files (${[...READERS.keys()].join(", ")}), got none among ${files.length} files${advice}`,
    { file: where },
  );
}

function splitError(where: string, split: string, known: readonly string[]): DataError {
  return new DataError("data_split", `must hold the split ${split}, got ${known.join(", ")}; pass { split: "${known[0]!}" }`, {
    file: where,
  });
}

/** A missing shard would silently be missing rows. */
function requireAllShards({ where }: RepositoryListing, files: readonly string[]): void {
  const shards = new Map<string, number>();
  for (const file of files) {
    const family = /^(.*)-\d{5}(-of-\d{5}\.\w+)$/.exec(file);
    if (family !== null) shards.set(`${family[1]!}-*${family[2]!}`, (shards.get(`${family[1]!}-*${family[2]!}`) ?? 0) + 1);
  }
  for (const [family, count] of shards) {
    const total = Number(/-of-(\d{5})\.\w+$/.exec(family)![1]);
    if (count !== total) {
      throw new DataError(
        "data_incomplete",
        `all ${total} files ${family} must be there, got ${count}; fetch the rest, or pass one file to read only that`,
        { file: where },
      );
    }
  }
}

function isHidden(file: string): boolean {
  return file.split("/").some((part) => part.startsWith("."));
}

function extensionOf(file: string): string {
  return /\.\w+$/.exec(file)?.[0].toLowerCase() ?? "";
}

/** `*` stays in a folder, `**` crosses folders, `?` is one character, `[ab]` one of them. */
function globExpression(glob: string): RegExp {
  const source = glob.replace(/^\.\//, "").replace(/\*\*\/|\*\*|\*|\?|\[[^\]]*\]|[.+^${}()|\\]/g, (part) => {
    const special: Record<string, string> = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };
    return special[part] ?? (part.startsWith("[") ? part.replace(/^\[!/, "[^") : `\\${part}`);
  });
  return new RegExp(`^${source}$`);
}
