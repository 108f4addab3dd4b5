/** What every `push_to_hub` does: write the files, upload them in one commit, and keep them when that fails. */
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { unknownOption } from "../config/index.js";
import { type RepositoryOptions, isRepositoryId } from "../data/repository.js";
import { ConfigError, HubError, PreflabError } from "../errors.js";
import type { RepositoryAddress } from "./address.js";
import { hubSettings } from "./environment.js";
import { type UploadOptions, uploadFolder } from "./upload.js";

export interface PushToHubOptions {
  /** An access token that may write; false for none. Default: HF_TOKEN, else the one that `hf auth login` saved. */
  token?: string | false;
  /** Whether others may not see a repository that is made by this push. Default: the account's setting, normally public. */
  private?: boolean;
  commit_message?: string;
  /** The rest of the commit's message. */
  commit_description?: string;
  /** Branch to commit to, made from `main` when it is new; default `main`. */
  revision?: string;
  /** Propose the commit in a pull request to `revision`, which needs no right to write there; default false. */
  create_pr?: boolean;
  /** Where the files go without a token (or with HF_HUB_OFFLINE=1), and when the upload fails.
   *  Default `hub/REPO_ID`, of a trainer in its `output_dir`. */
  local_dir?: string;
  /** Told about the upload; default prints to stdout, false for silence. */
  progress?: RepositoryOptions["progress"];
}

/** Either on the Hub (`url` and `commit`) or on this machine (`directory`). */
export interface PushResult {
  url: string | null;
  directory: string | null;
  commit: string | null;
  /** Of the pull request that `create_pr` has opened. */
  pr_url: string | null;
}

/** What is pushed. */
export interface Parcel {
  readonly where: string;
  readonly repo_id: string;
  /** Default "model". */
  readonly kind?: RepositoryAddress["kind"];
  /** Default of `local_dir`. */
  readonly directory: string;
  readonly message: string;
  /** Writes all files into a folder. */
  save(folder: string): Promise<void>;
  readonly upload: Pick<UploadOptions, "obsolete" | "keep">;
}

const OPTION_NAMES = ["token", "private", "commit_message", "commit_description", "revision", "create_pr", "local_dir", "progress"];

/** @param more names of further options @throws HubError, ConfigError; the files then lie in `local_dir` */
export async function push(parcel: Parcel, options: PushToHubOptions, more: readonly string[] = []): Promise<PushResult> {
  const { where, repo_id, kind = "model" } = parcel;
  checkRepoId(where, repo_id);
  checkNames(where, options, [...OPTION_NAMES, ...more]);
  const settings = hubSettings({ token: options.token });
  const directory = resolve(options.local_dir ?? parcel.directory);
  const { token } = settings;
  if (token === undefined || settings.offline) {
    await parcel.save(directory);
    const reason = token === undefined ? "no token (set HF_TOKEN, or run hf auth login)" : "HF_HUB_OFFLINE is set";
    console.log(`${where}: ${reason}; ${repo_id} was written to ${directory}`);
    return { url: null, directory, commit: null, pr_url: null };
  }
  await removeAbandoned();
  const folder = await mkdtemp(join(tmpdir(), `${STAGED}${process.pid}-`));
  try {
    await parcel.save(folder);
    const upload = { ...parcel.upload, ...uploadOptions(options, parcel.message) };
    try {
      const { url, commit, pullRequestUrl } = await uploadFolder(folder, kind, repo_id, { ...settings, token }, upload);
      return { url, directory: null, commit, pr_url: pullRequestUrl ?? null };
    } catch (error) {
      if (!(error instanceof PreflabError)) throw error;
      await cp(folder, directory, { recursive: true });
      throw new HubError(error.code, `${error.message}. Nothing is lost: the files are in ${directory}, and ${where} can be repeated`, {
        cause: error,
      });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A push's options as an upload's. */
export function uploadOptions(options: PushToHubOptions, message: string) {
  const { revision, private: hidden, progress, commit_description: description, create_pr: createPr } = options;
  return { revision, private: hidden, progress, description, createPr, message: options.commit_message ?? message };
}

/** @throws ConfigError `repo_id` */
export function checkRepoId(where: string, repo_id: string): void {
  if (typeof repo_id !== "string" || !isRepositoryId(repo_id.includes("/") ? repo_id : `owner/${repo_id}`)) {
    throw new ConfigError(
      "repo_id",
      `${where}: repo_id must be "owner/name" or "name" (letters, digits, "-", "_", "."; 96 at most), got ${JSON.stringify(repo_id)}`,
    );
  }
}

/** @throws ConfigError `option_unknown` */
export function checkNames(where: string, options: object, names: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) throw unknownOption(unknown, names, { where });
}

const STAGED = "preflab-push-";

/** Folders of pushes whose process was killed. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(new RegExp(`^${STAGED}(\\d+)-`).exec(name)?.[1] ?? process.pid);
    if (pid === process.pid || isRunning(pid)) continue;
    // Another user's cannot be removed, and is no concern of this push.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
