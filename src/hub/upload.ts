/** A folder as one commit of a repository on the Hub. */
import { readFile, readdir, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import {
  type CommitOperation,
  type CommitOutput,
  HubApiError,
  commitIter,
  createBranch,
  createRepo,
  datasetInfo,
  listFiles,
  modelInfo,
  whoAmI,
} from "@huggingface/hub";
import type { RepositoryOptions } from "../data/repository.js";
import { HubError } from "../errors.js";
import { type RepositoryAddress, repositoryAddress, repositoryUrl } from "./address.js";
import type { HubSettings, HubToken } from "./environment.js";
import { connectionError, refusalError } from "./failures.js";
import { TransferMeter } from "./progress.js";
import { type RequestRules, hubFetch } from "./request.js";

export interface UploadOptions {
  /** Branch to commit to, made from `main` when it is new; default `main`. */
  readonly revision?: string;
  /** Of a repository that is new: whether others may not see it. Default: the account's setting, normally public. */
  readonly private?: boolean;
  readonly message: string;
  /** The rest of the commit's message. */
  readonly description?: string;
  /** Propose the commit in a pull request to `revision`; default false. */
  readonly createPr?: boolean;
  readonly progress?: RepositoryOptions["progress"];
  /** Files of the folder that are left out. */
  readonly ignore?: (path: string) => boolean;
  /** Files of the repository that this set makes obsolete, to be deleted unless written anew. */
  readonly obsolete?: (path: string) => boolean;
  /** Files that stay as they are when the repository has them already. */
  readonly keep?: (path: string) => boolean;
}

export interface Upload {
  readonly id: string;
  readonly url: string;
  readonly commit: string;
  readonly pullRequestUrl: string | undefined;
}

/**
 * Uploads every file of a folder in one commit; makes the repository and the branch if they are new. Large files that the Hub has
 * already are not sent again, so a failed upload can be repeated.
 * @param name `owner/name`, or `name` in the token's own namespace
 * @throws HubError; `hub_conflict` when `private` is asked for a repository that is public
 */
export async function uploadFolder(
  folder: string,
  kind: RepositoryAddress["kind"],
  name: string,
  settings: HubSettings & { token: HubToken },
  options: UploadOptions,
): Promise<Upload> {
  const id = name.includes("/") ? name : `${await ownNamespace(settings, kind, name)}/${name}`;
  const repository = repositoryAddress(kind, id);
  const branch = options.revision ?? "main";
  const rules: RequestRules = { settings, repository, revision: branch };
  const access = { hubUrl: settings.endpoint, accessToken: settings.token.value, fetch: hubFetch(rules) };
  const repo = { type: kind, name: id };
  const all = (await listFolder(folder)).filter(({ path }) => options.ignore?.(path) !== true);
  await refuseToken(repository, settings.token, folder, all);
  const isNew = await ensureRepository(rules, access, options);
  if (branch !== "main" && options.createPr !== true) await createBranch({ ...access, repo, branch }).catch(ignoreConflict);

  const present = isNew ? [] : await filesAt(repo, branch, access);
  const files = all.filter(({ path }) => !(present.includes(path) && options.keep?.(path) === true));
  const written = new Set(files.map(({ path }) => path));
  const operations: CommitOperation[] = [
    ...files.map(({ path }) => ({ operation: "addOrUpdate" as const, path, content: pathToFileURL(join(folder, path)) })),
    ...present
      .filter((path) => options.obsolete?.(path) === true && !written.has(path))
      .map((path) => ({ operation: "delete" as const, path })),
  ];
  const { message: title, description, createPr } = options;
  const params = { ...access, repo, branch, title, description, isPullRequest: createPr, operations };
  const { commit, pullRequestUrl } = await commitFiles(rules, params, files, options.progress);
  const page = repositoryUrl(settings, repository);
  return { id, url: branch === "main" ? page : `${page}/tree/${encodeURIComponent(branch)}`, commit: commit.oid, pullRequestUrl };
}

interface Access {
  readonly hubUrl: string;
  readonly accessToken: string;
  readonly fetch: typeof fetch;
}

async function ownNamespace(settings: HubSettings & { token: HubToken }, kind: RepositoryAddress["kind"], name: string): Promise<string> {
  const rules: RequestRules = { settings, repository: repositoryAddress(kind, name) };
  const user = await whoAmI({ hubUrl: settings.endpoint, accessToken: settings.token.value, fetch: hubFetch(rules) });
  return user.name;
}

/** @returns whether it was made just now */
async function ensureRepository(
  { repository, settings }: RequestRules,
  access: Access,
  { private: hidden }: UploadOptions,
): Promise<boolean> {
  const { kind, id } = repository;
  const visibility = hidden === undefined ? undefined : hidden ? "private" : "public";
  try {
    await createRepo({ ...access, repo: { type: kind, name: id }, visibility });
    return true;
  } catch (error) {
    // Who may write to a repository of an organisation need not be allowed to make one.
    if (!(error instanceof HubError) || !["hub_conflict", "hub_forbidden"].includes(error.code)) throw error;
    const info = await (kind === "model" ? modelInfo({ ...access, name: id }) : datasetInfo({ ...access, name: id })).catch(
      () => undefined,
    );
    if (info === undefined) throw error;
    if (hidden === true && !info.private) {
      throw new HubError(
        "hub_conflict",
        `Hub ${repository.name}: a private repository was asked for, got one that exists and is public; choose another name, or make it private at ${repositoryUrl(settings, repository)}/settings`,
      );
    }
    return false;
  }
}

function ignoreConflict(error: unknown): void {
  if (!(error instanceof HubError) || error.code !== "hub_conflict") throw error;
}

async function filesAt(repo: { type: RepositoryAddress["kind"]; name: string }, revision: string, access: Access): Promise<string[]> {
  const paths: string[] = [];
  // The library puts the revision into the address as it is.
  for await (const { type, path } of listFiles({ ...access, repo, revision: encodeURIComponent(revision), recursive: true }))
    if (type === "file") paths.push(path);
  return paths;
}

interface FolderFile {
  readonly path: string;
  readonly size: number;
}

async function listFolder(folder: string): Promise<FolderFile[]> {
  const files: FolderFile[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    // A link counts as what it leads to: the cache's snapshots are made of them.
    const status = await stat(file);
    if (status.isFile()) files.push({ path: relative(folder, file).split(sep).join("/"), size: status.size });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Files that could hold a token by accident; large ones are weights and rows. */
const LARGEST_SEARCHED = 10 << 20;

/** A token in a pushed file would be everybody's. @throws HubError `hub_token_in_file` */
async function refuseToken({ name }: RepositoryAddress, token: HubToken, folder: string, files: readonly FolderFile[]): Promise<void> {
  for (const { path, size } of files) {
    if (size > LARGEST_SEARCHED || !(await readFile(join(folder, path))).includes(token.value)) continue;
    throw new HubError(
      "hub_token_in_file",
      `Hub ${name}: no file may hold the access token, got it in ${path}; remove it there, and make a new token if others have seen the file`,
    );
  }
}

async function commitFiles(
  rules: RequestRules,
  params: Parameters<typeof commitIter>[0],
  files: readonly FolderFile[],
  progress: RepositoryOptions["progress"],
): Promise<CommitOutput> {
  const total_bytes = files.reduce((sum, { size }) => sum + size, 0);
  const sizes = new Map(files.map(({ path, size }) => [path, size]));
  const done = new Map<string, number>();
  const meter = new TransferMeter(progress, { repository: rules.repository.name, direction: "upload", total_bytes });
  try {
    const events = commitIter(params);
    for (;;) {
      const { value, done: ended } = await events.next();
      if (ended === true) {
        if (value === undefined)
          throw new HubError("hub_malformed", `Hub ${rules.repository.name}: the Hub must answer with the new commit, got nothing`);
        meter.set(total_bytes);
        meter.finish();
        return value;
      }
      if (value.event !== "fileProgress" || value.state !== "uploading") continue;
      done.set(value.path, value.progress * (sizes.get(value.path) ?? 0));
      meter.begin(value.path);
      meter.set([...done.values()].reduce((sum, bytes) => sum + bytes, 0));
    }
  } catch (error) {
    if (error instanceof HubError) throw error;
    if (error instanceof HubApiError) throw refusalError(rules, { status: error.statusCode, errorCode: undefined, message: error.message });
    throw connectionError(rules, error);
  }
}
