/**
 * Where a loader's files come from: a local folder, or a repository on the Hugging Face Hub. Loaders live left of `hub/` in the order
 * of the pipeline, so they name what they need here, and `hub/` fills in how it is fetched. Importing the package's index does that.
 */
import { readdir, stat } from "node:fs/promises";
import { unknownOption } from "../config/index.js";
import { ConfigError, HubError, nearestName } from "../errors.js";

/** How a Hub id is fetched; without effect on a local path, except `revision`, which is refused there. Names are transformers'. */
export interface RepositoryOptions {
  /** Branch, tag or commit; default `main`. */
  revision?: string;
  /** An access token (`hf_…`); false for none. Default: HF_TOKEN, else the one that `hf auth login` saved. */
  token?: string | false;
  /** Folder of the cache, shared with Python's huggingface_hub. Default: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
  cache_dir?: string;
  /** Use what is in the cache and ask nobody; default false, true with HF_HUB_OFFLINE=1. */
  local_files_only?: boolean;
  /** Told about the download; default prints to stdout, false for silence. */
  progress?: TransferListener | false;
}

const REPOSITORY_OPTION_NAMES: readonly (keyof RepositoryOptions)[] = ["revision", "token", "cache_dir", "local_files_only", "progress"];

/** Parts a loader's options into those about the repository and its own.
 *  @param ownNames names of its own options
 *  @throws ConfigError `option_unknown` */
export function takeRepositoryOptions<Options extends RepositoryOptions>(
  where: string,
  options: Options,
  ownNames: readonly Exclude<keyof Options & string, keyof RepositoryOptions>[],
): [repository: RepositoryOptions, own: Omit<Options, keyof RepositoryOptions>] {
  const known = [...ownNames, ...REPOSITORY_OPTION_NAMES] as readonly string[];
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw unknownOption(unknown, known, { where });
  const { revision, token, cache_dir, local_files_only, progress, ...own } = options;
  return [{ revision, token, cache_dir, local_files_only, progress }, own];
}

/** A moment of a transfer. Sizes are in bytes and count what was there already; times are in seconds. */
export interface TransferProgress {
  /** The repository, as in its address: `Qwen/Qwen2-0.5B-Instruct`, `datasets/jondurbin/truthy-dpo-v0.1`. */
  readonly repository: string;
  readonly direction: "download" | "upload";
  /** The file on its way, as its path in the repository. */
  readonly file: string;
  readonly done_bytes: number;
  readonly total_bytes: number;
  readonly elapsed_seconds: number;
  /** Undefined before there is a rate. */
  readonly remaining_seconds: number | undefined;
  /** True once, at the end. */
  readonly finished: boolean;
}
export type TransferListener = (progress: TransferProgress) => void;

/** What a loader sees of a repository before anything large is fetched. */
export interface RepositoryListing {
  /** For messages: `Qwen/Qwen2-0.5B-Instruct`. */
  readonly where: string;
  /** Every file's path, with `/`. */
  readonly files: readonly string[];
  /** Fetches one small text file of the repository. */
  readonly read: (file: string) => Promise<string>;
}

/** What a loader wants. */
export interface RepositoryRequest {
  /** The Hub keeps models (adapters and tokenizers too) and data sets apart. */
  readonly kind: "model" | "dataset";
  /** Picks the files to fetch. @throws a PreflabError that says what the repository lacks */
  select(listing: RepositoryListing): readonly string[] | Promise<readonly string[]>;
}

/** A repository's selected files on this machine. */
export interface FetchedRepository {
  /** Holds the files under their paths in the repository. */
  readonly dir: string;
  /** The selected paths. */
  readonly files: readonly string[];
  /** The commit they are of. */
  readonly commit: string;
}

export type RepositoryResolver = (id: string, request: RepositoryRequest, options: RepositoryOptions) => Promise<FetchedRepository>;

let resolver: RepositoryResolver | undefined;

/** Says how repositories are fetched; called by `hub/`. */
export function setRepositoryResolver(resolve: RepositoryResolver): void {
  resolver = resolve;
}

/** A name the Hub accepts for a repository with an owner, by the rules of huggingface_hub's `validate_repo_id`. */
export function isRepositoryId(text: string): boolean {
  if (text.length > 96 || !/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(text)) return false;
  return !/--|\.\.|\.git$|[.-]$|[.-]\/|\/-|^-/.test(text);
}

/** Endings that make `a/b.jsonl` a mistyped file rather than a repository. */
const FILE_ENDING = /\.(parquet|jsonl?|csv|tsv|xlsx?|txt|md|ya?ml|safetensors|bin|pt|gguf|onnx|zip|gz)$/i;

/**
 * Fetches `pathOrId` if it is a Hub id. An existing path always wins; `owner/name` is an id otherwise.
 * @param where the loader, for messages
 * @returns undefined for what is to be read as a local path (which may not exist: the loader knows best what to say then)
 * @throws ConfigError `revision_of_path`; HubError
 */
export async function fetchRepository(
  where: string,
  pathOrId: string,
  request: RepositoryRequest,
  options: RepositoryOptions = {},
): Promise<FetchedRepository | undefined> {
  const exists = await stat(pathOrId).then(
    () => true,
    () => false,
  );
  if (exists && options.revision !== undefined) {
    throw new ConfigError(
      "revision_of_path",
      `${where}: revision is for Hub ids, got "${options.revision}" with the local path ${pathOrId}; leave it out, or rename the path if the repository is meant`,
    );
  }
  if (exists || !isRepositoryId(pathOrId) || FILE_ENDING.test(pathOrId)) return undefined;
  if (resolver === undefined) {
    throw new HubError(
      "hub_not_loaded",
      `${where}: the Hub must be loaded to fetch "${pathOrId}", got only a part of the package; import "preflab" as a whole, or pass a local folder`,
    );
  }
  try {
    return await resolver(pathOrId, request, options);
  } catch (error) {
    throw error instanceof HubError ? await mentionFolder(error, pathOrId) : error;
  }
}

/** `runs/modle` looks like an id; where there is a folder `runs`, the error says what it holds. */
async function mentionFolder(error: HubError, path: string): Promise<HubError> {
  const [folder, name] = path.split("/") as [string, string];
  const neighbours = await readdir(folder).catch(() => undefined);
  if (neighbours === undefined) return error;
  const nearest = nearestName(name, neighbours);
  const advice = nearest === undefined ? "" : `; did you mean ${folder}/${nearest}?`;
  return new HubError(error.code, `${error.message}. There is a local folder ${folder}, but no ${name} in it${advice}`, { cause: error });
}
