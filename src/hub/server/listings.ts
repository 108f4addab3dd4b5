/** What can be read of a repository besides its files: facts, trees, history, names of branches. */
import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { owns } from "./accounts.js";
import { type Exchange, readBytes, sendJson, sendPage, parseObject } from "./exchange.js";
import { checkFilePath } from "./names.js";
import { Refusal, badRequest } from "./refusal.js";
import { type Commit, type Files, MAIN, type Repository, type RepositoryState, type StoredFile, lfsPointer } from "./repository.js";

type Args = Readonly<Record<string, string>>;

/** GET `/api/models` and `/api/datasets` */
export async function listRepositories(exchange: Exchange, kind: "model" | "dataset"): Promise<void> {
  const { store, user, url, limits } = exchange;
  const author = url.searchParams.get("author");
  const search = url.searchParams.get("search")?.toLowerCase() ?? "";
  const filters = [...url.searchParams.getAll("filter"), ...url.searchParams.getAll("other")].flatMap((each) => each.split(","));
  const found: Awaited<ReturnType<typeof describeRepository>>[] = [];
  for (const repository of await store.list(kind)) {
    if (author !== null && repository.namespace !== author) continue;
    if (!repository.id.toLowerCase().includes(search)) continue;
    const state = await repository.state();
    if (state.private && !owns(user, repository.namespace)) continue;
    const about = await describeRepository(repository, state, await repository.resolve(MAIN, state));
    if (filters.every((filter) => about.tags.includes(filter))) found.push(about);
  }
  sendPage(exchange, sorted(found, url.searchParams), limits.pageSize);
}

function sorted<T extends { id: string; lastModified: string; createdAt: string }>(found: T[], params: URLSearchParams): T[] {
  const by = params.get("sort") ?? "id";
  // Nothing is counted here, so popularity leaves the order as it is.
  const key = { last_modified: "lastModified", lastModified: "lastModified", created_at: "createdAt", createdAt: "createdAt", id: "id" }[
    by
  ];
  if (key === undefined) return found;
  const sign = key === "id" ? 1 : -1;
  return found.sort((a, b) => {
    const [x, y] = [a[key as "id"], b[key as "id"]];
    return x < y ? -sign : x > y ? sign : 0;
  });
}

/** GET `/api/models/owner/name`, also with `/revision/REVISION` */
export async function tellFacts(exchange: Exchange, repository: Repository, { revision = MAIN }: Args): Promise<void> {
  const state = await repository.state();
  const commit = await repository.resolve(revision, state);
  const withSizes = ["1", "true"].includes((exchange.url.searchParams.get("blobs") ?? "").toLowerCase());
  const siblings = [...commit.files].map(([rfilename, file]) => ({ rfilename, ...(withSizes ? siblingSize(file) : {}) }));
  sendJson(exchange, 200, { ...(await describeRepository(repository, state, commit)), siblings });
}

function siblingSize({ size, gitHash, sha256 }: StoredFile): object {
  const lfs = sha256 === undefined ? {} : { lfs: { sha256, size, pointerSize: lfsPointer(sha256, size).length } };
  return { size, blobId: gitHash, ...lfs };
}

async function describeRepository(repository: Repository, state: RepositoryState, { hash, date, files }: Commit) {
  const cardData = await cardOf(repository, files);
  const { id, kind, namespace } = repository;
  const text = (name: string): string | undefined => (typeof cardData[name] === "string" ? cardData[name] : undefined);
  const tags = Array.isArray(cardData["tags"]) ? cardData["tags"].map(String) : [];
  return {
    _id: `${kind}s/${id}`,
    id,
    ...(kind === "model" ? { modelId: id } : {}),
    author: namespace,
    sha: hash,
    lastModified: date,
    createdAt: state.createdAt,
    private: state.private,
    gated: state.gated,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: [...new Set([text("library_name"), text("pipeline_tag"), ...tags].filter((tag) => tag !== undefined))],
    pipeline_tag: text("pipeline_tag"),
    library_name: text("library_name"),
    cardData,
  };
}

/** The head of README.md; one that cannot be read is an empty one. */
async function cardOf(repository: Repository, files: Files): Promise<Record<string, unknown>> {
  const file = files.get("README.md");
  if (file === undefined || file.sha256 !== undefined) return {};
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(await readFile(repository.pathOf(file), "utf8"))?.[1];
  try {
    const value: unknown = parse(head ?? "", { maxAliasCount: 10 });
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** POST `/api/validate-yaml`: whether a card's head can be read. */
export async function validateCard(exchange: Exchange): Promise<void> {
  const { content } = parseObject((await readBytes(exchange, exchange.limits.largestSmallFile * 2)).toString());
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(typeof content === "string" ? content : "")?.[1];
  try {
    parse(head ?? "", { maxAliasCount: 10 });
    sendJson(exchange, 200, { errors: [], warnings: [] });
  } catch (error) {
    sendJson(exchange, 400, { errors: [{ message: (error as Error).message.split("\n")[0] }], warnings: [] });
  }
}

/** GET `/api/…/tree/REVISION/PATH?recursive=…` */
export async function listTree(exchange: Exchange, repository: Repository, { revision, path = "" }: Args): Promise<void> {
  const { url, limits } = exchange;
  const commit = await repository.resolve(revision!);
  const top = path.replace(/\/$/, "");
  const recursive = ["1", "true"].includes((url.searchParams.get("recursive") ?? "").toLowerCase());
  const entries = treeEntries(commit.files, top, recursive);
  if (top !== "" && entries.length === 0) {
    throw new Refusal(404, `${top} does not exist on "${revision!}"`, "EntryNotFound", { "x-repo-commit": commit.hash });
  }
  sendPage(exchange, entries, limits.pageSize);
}

function treeEntries(files: Files, top: string, recursive: boolean): object[] {
  const prefix = top === "" ? "" : `${checkFilePath(top)}/`;
  const entries = new Map<string, object>();
  for (const [path, file] of files) {
    if (!path.startsWith(prefix)) continue;
    const inner = path.slice(prefix.length).split("/");
    const folders = inner.slice(0, -1);
    for (const i of recursive ? folders.keys() : folders.length > 0 ? [0] : []) {
      const folder = prefix + folders.slice(0, i + 1).join("/");
      if (!entries.has(folder)) entries.set(folder, { type: "directory", path: folder, size: 0, oid: "0".repeat(40) });
    }
    if (recursive || folders.length === 0) entries.set(path, fileEntry(path, file));
  }
  return [...entries.values()];
}

function fileEntry(path: string, { size, gitHash, sha256 }: StoredFile): object {
  const lfs = sha256 === undefined ? {} : { lfs: { oid: sha256, size, pointerSize: lfsPointer(sha256, size).length } };
  return { type: "file", path, size, oid: gitHash, ...lfs };
}

/** POST `/api/…/paths-info/REVISION`, as JSON or as a form */
export async function tellPaths(exchange: Exchange, repository: Repository, { revision }: Args): Promise<void> {
  const body = (await readBytes(exchange, 1 << 20)).toString();
  const form = /^application\/x-www-form-urlencoded/.test(exchange.request.headers["content-type"] ?? "");
  const paths: unknown = form ? new URLSearchParams(body).getAll("paths") : parseObject(body)["paths"];
  if (!Array.isArray(paths) || paths.some((path) => typeof path !== "string")) throw badRequest("paths must be a list of paths");
  const { files } = await repository.resolve(revision!);
  const entries: object[] = [];
  for (const path of paths as string[]) {
    const file = files.get(path);
    if (file !== undefined) entries.push(fileEntry(path, file));
    else if ([...files.keys()].some((each) => each.startsWith(`${path}/`)))
      entries.push({ type: "directory", path, size: 0, oid: "0".repeat(40) });
  }
  sendJson(exchange, 200, entries);
}

/** GET `/api/…/commits/REVISION` */
export async function listCommits(exchange: Exchange, repository: Repository, { revision }: Args): Promise<void> {
  const entries: object[] = [];
  for await (const { hash, title, description, author, date } of repository.history(await repository.resolve(revision!)))
    entries.push({ id: hash, title, message: description, authors: [{ user: author, avatar: "" }], date });
  sendPage(exchange, entries, Math.min(50, exchange.limits.pageSize), { "x-total-count": String(entries.length) });
}

/** GET `/api/…/refs` */
export async function listRefs(exchange: Exchange, repository: Repository): Promise<void> {
  const { branches, tags, pulls } = await repository.state();
  const named = (record: Readonly<Record<string, string>>, prefix: string): object[] =>
    Object.entries(record).map(([name, targetCommit]) => ({ name, ref: `refs/${prefix}/${name}`, targetCommit }));
  const withPulls = exchange.url.searchParams.has("include_prs")
    ? { pullRequests: pulls.map(({ num, head }) => ({ name: String(num), ref: `refs/pr/${num}`, targetCommit: head })) }
    : {};
  sendJson(exchange, 200, { branches: named(branches, "heads"), converts: [], tags: named(tags, "tags"), ...withPulls });
}
