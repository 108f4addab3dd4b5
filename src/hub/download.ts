/** A repository's files on this machine: from the cache where they are there, else from the Hub. */
import { readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { datasetInfo, listFiles, modelInfo } from "@huggingface/hub";
import type { FetchedRepository, RepositoryListing, RepositoryOptions, RepositoryRequest } from "../data/repository.js";
import { ConfigError, HubError, PreflabError } from "../errors.js";
import { type RepositoryAddress, repositoryAddress } from "./address.js";
import { type RepositoryFile, RepositoryCache, checkFile, isCommit } from "./cache.js";
import { type HubSettings, hubSettings } from "./environment.js";
import { diskError, diskFullError } from "./failures.js";
import { TransferMeter } from "./progress.js";
import { type RequestRules, hubFetch } from "./request.js";
import { suggestRepository } from "./suggest.js";
import { bytesLeftBehind, fetchBlob } from "./transfer.js";

const MAIN = "main";

/** One call's view of a repository. */
interface Source {
  readonly settings: HubSettings;
  readonly repository: RepositoryAddress;
  readonly revision: string;
  readonly cache: RepositoryCache;
  readonly rules: RequestRules;
  readonly options: RepositoryOptions;
}

/** A commit and what is known of it. */
interface Commit {
  readonly hash: string;
  /** Undefined when the list of files was never fetched: the cache was filled by an older program, and nobody is asked. */
  readonly files: readonly RepositoryFile[] | undefined;
  /** Whether nothing may be fetched. */
  readonly offline: boolean;
}

/**
 * Brings the files that `request` selects to this machine. What is in the cache is not fetched again; a branch or tag is looked up
 * each time (one small request), a commit never. When the Hub cannot be reached and the cache has an earlier copy, that is
 * used, and a line says so.
 * @throws HubError, ConfigError `revision`, and what `request.select` throws
 */
export async function downloadRepository(
  id: string,
  request: RepositoryRequest,
  options: RepositoryOptions = {},
): Promise<FetchedRepository> {
  const source = openSource(id, request, options);
  const commit = await findCommit(source);
  const { hash } = commit;
  const dir = source.cache.snapshot(hash);
  const paths = commit.files?.map((file) => file.path) ?? (await source.cache.snapshotFiles(hash));
  const listing: RepositoryListing = {
    where: source.repository.name,
    files: paths,
    read: async (path) => {
      await provide(source, commit, [path]);
      return readFile(join(dir, ...path.split("/")), "utf8");
    },
  };
  const selected = await select(source, commit, request, listing);
  await provide(source, commit, selected);
  if (!commit.offline) {
    await remember(source, () => rememberTree(source.cache, commit));
    await remember(source, () => source.cache.setRef(source.revision, hash));
  }
  return { dir, files: selected, commit: hash };
}

function openSource(id: string, { kind }: RepositoryRequest, options: RepositoryOptions): Source {
  const settings = hubSettings(options);
  const repository = repositoryAddress(kind, id);
  const revision = options.revision ?? MAIN;
  if (!/^[\w][\w./-]*$/.test(revision) || revision.split("/").some((part) => part === "" || part === "." || part === "..")) {
    throw new ConfigError(
      "revision",
      `Hub ${repository.name}: revision must be a branch, a tag or a commit, got ${JSON.stringify(revision)}`,
    );
  }
  const rules: RequestRules = {
    settings,
    repository,
    revision,
    suggest: async ({ status, errorCode }) =>
      status === 401 || errorCode === "RepoNotFound" ? suggestRepository(settings, repository) : undefined,
  };
  return { settings, repository, revision, cache: new RepositoryCache(settings.cacheDir, repository), rules, options };
}

async function findCommit(source: Source): Promise<Commit> {
  const { settings, cache, revision } = source;
  if (settings.offline) return cachedCommit(source, "the Hub may not be asked (HF_HUB_OFFLINE or local_files_only)");
  try {
    const hash = isCommit(revision) ? revision : await askCommit(source);
    return { hash, files: await filesOf(source, hash), offline: false };
  } catch (error) {
    const silent = error instanceof HubError && ["hub_unreachable", "hub_server", "hub_rate_limit"].includes(error.code);
    const known = silent ? await cache.ref(revision) : undefined;
    if (known === undefined || (await cache.snapshotFiles(known)).length === 0) throw error;
    const commit = await cachedCommit(source, (error as HubError).message);
    // Not on stdout, which may be a program's output.
    console.warn(`${source.repository.name}: the Hub did not answer; using commit ${commit.hash.slice(0, 7)} from the cache`);
    return commit;
  }
}

/** The commit that the cache has for the revision. */
async function cachedCommit({ repository, cache, revision, settings }: Source, why: string): Promise<Commit> {
  const hash = await cache.ref(revision);
  if (hash === undefined) {
    throw new HubError(
      "hub_offline",
      `Hub ${repository.name}: the files of revision "${revision}" must be in the cache ${settings.cacheDir}, got none, and ${why}; fetch them once with a network, or pass a local path (there is none of that name)`,
    );
  }
  return { hash, files: await cache.tree(hash), offline: true };
}

async function askCommit({ settings, repository, revision, rules }: Source): Promise<string> {
  const params = { name: repository.id, revision, hubUrl: settings.endpoint, accessToken: settings.token?.value, fetch: hubFetch(rules) };
  const { sha } =
    repository.kind === "model"
      ? await modelInfo({ ...params, additionalFields: ["sha"] })
      : await datasetInfo({ ...params, additionalFields: ["sha"] });
  if (typeof sha !== "string" || !isCommit(sha)) {
    throw new HubError(
      "hub_malformed",
      `Hub ${repository.name}: ${settings.endpoint} must state the commit of "${revision}", got ${JSON.stringify(sha)}; check HF_ENDPOINT`,
    );
  }
  return sha;
}

async function filesOf({ settings, repository, cache, rules }: Source, commit: string): Promise<RepositoryFile[]> {
  const known = await cache.tree(commit);
  if (known !== undefined) return known;
  const files: RepositoryFile[] = [];
  const params = { repo: { type: repository.kind, name: repository.id }, revision: commit, recursive: true, hubUrl: settings.endpoint };
  for await (const { type, path, size, oid, lfs, xetHash } of listFiles({
    ...params,
    accessToken: settings.token?.value,
    fetch: hubFetch(rules),
  })) {
    if (type === "file")
      files.push(checkFile(repository.name, { path, size: lfs?.size ?? size, gitHash: oid ?? "", sha256: lfs?.oid, xetHash }));
  }
  return files;
}

async function select(
  { repository, settings }: Source,
  commit: Commit,
  request: RepositoryRequest,
  listing: RepositoryListing,
): Promise<readonly string[]> {
  try {
    return await request.select(listing);
  } catch (error) {
    // Without the list of files nobody knows whether the repository lacks a file or only the cache.
    if (commit.files !== undefined || !(error instanceof PreflabError)) throw error;
    throw new HubError(
      "hub_offline",
      `Hub ${repository.name}: the cache ${settings.cacheDir} must hold all of what is needed, got a part (${error.message}); fetch the rest once with a network`,
      { cause: error },
    );
  }
}

/** Sees to it that files lie in the commit's snapshot. */
async function provide(source: Source, commit: Commit, paths: readonly string[]): Promise<void> {
  const { cache, repository, settings } = source;
  if (commit.files === undefined) return;
  const byPath = new Map(commit.files.map((file) => [file.path, file]));
  const missing: RepositoryFile[] = [];
  for (const path of paths) {
    const file = byPath.get(path);
    if (file === undefined) throw new HubError("hub_not_found", `Hub ${repository.name}: the file must exist, got ${path}`);
    if (!(await cache.has(commit.hash, file))) missing.push(file);
  }
  try {
    const absent: RepositoryFile[] = [];
    for (const file of missing) {
      if (await cache.hasBlob(file)) await cache.link(commit.hash, file);
      else absent.push(file);
    }
    if (absent.length === 0) return;
    if (commit.offline) {
      throw new HubError(
        "hub_offline",
        `Hub ${repository.name}: the cache ${settings.cacheDir} must hold all of what is needed, got no ${absent.map((file) => file.path).join(", ")}; fetch the rest once with a network`,
      );
    }
    await download(source, commit, absent);
  } catch (error) {
    throwDisk(source, error);
  }
}

async function download({ cache, rules, repository, options }: Source, commit: Commit, files: readonly RepositoryFile[]): Promise<void> {
  const total_bytes = files.reduce((sum, { size }) => sum + size, 0);
  await rememberTree(cache, commit);
  await requireRoom(repository, cache, files);
  const meter = new TransferMeter(options.progress, { repository: repository.name, direction: "download", total_bytes });
  for (const file of files) {
    let begun = false;
    const onBytes = (bytes: number): void => {
      if (begun) return meter.set(bytes);
      begun = true;
      meter.begin(file.path, bytes);
    };
    await fetchBlob({ rules, cache, commit: commit.hash, file, onBytes });
    await cache.link(commit.hash, file);
    meter.end(file.size);
  }
  meter.finish();
}

/** Fails before hours of download, not after. */
async function requireRoom({ name }: RepositoryAddress, cache: RepositoryCache, files: readonly RepositoryFile[]): Promise<void> {
  const disk = await statfs(cache.dir).catch(() => undefined);
  if (disk === undefined) return;
  let needed = 0;
  for (const file of files) needed += file.size - Math.min(file.size, await bytesLeftBehind(cache.blob(file)));
  const free = disk.bavail * disk.bsize;
  if (free < needed) throw diskFullError(`Hub ${name}`, cache.dir, needed, free);
}

async function rememberTree(cache: RepositoryCache, { hash, files }: Commit): Promise<void> {
  if ((await cache.tree(hash)) === undefined) await cache.setTree(hash, files!);
}

/** Notes for the next time. A cache that may only be read (a classroom's shared one) serves as well without them. */
async function remember(source: Source, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!["EROFS", "EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throwDisk(source, error);
  }
}

function throwDisk({ repository, settings }: Source, error: unknown): never {
  throw diskError(`Hub ${repository.name}`, settings.cacheDir, error);
}
