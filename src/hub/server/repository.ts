/**
 * One repository on disk, in plain files:
 *
 *     repository.json      what it is, and which commit every branch, tag and pull request has: the one file that changes
 *     commits/<hash>.json  a commit: who, when, why, its parent, and every file with size and hash
 *     blobs/<hash>         a small file under its git hash
 *     lfs/ab/<hash>        a large file under its SHA-256 (largeObjects.ts)
 *     incoming/            bytes on their way
 *
 * Everything but repository.json is written once and never again. A commit happens when repository.json, written last, names it: whoever
 * reads sees all of it or nothing, also when the process is killed in between.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../text/atomicFile.js";
import { timestamp } from "./clock.js";
import { INITIAL_ATTRIBUTES } from "../globs.js";
import { LargeObjects } from "./largeObjects.js";
import type { RepositoryKind } from "./names.js";
import { Refusal, revisionNotFound } from "./refusal.js";

export const MAIN = "main";
const FORMAT = 1;

export interface PullRequest {
  readonly num: number;
  readonly title: string;
  readonly description: string;
  readonly author: string;
  readonly createdAt: string;
  readonly status: "open" | "draft" | "merged" | "closed";
  /** The branch it is for, and its commit when the request was made. */
  readonly base: string;
  readonly baseCommit: string;
  readonly head: string;
  readonly mergeCommit?: string;
}

export interface RepositoryState {
  readonly format_version: number;
  readonly kind: RepositoryKind;
  readonly id: string;
  readonly private: boolean;
  readonly gated: false | "auto" | "manual";
  readonly createdAt: string;
  readonly branches: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly pulls: readonly PullRequest[];
}

export interface StoredFile {
  readonly size: number;
  /** Git's hash of the content; of a large file, of its pointer. */
  readonly gitHash: string;
  /** SHA-256 of a large file. */
  readonly sha256?: string;
}

export type Files = ReadonlyMap<string, StoredFile>;

export interface Commit {
  readonly hash: string;
  readonly parent: string | undefined;
  readonly title: string;
  readonly description: string;
  readonly author: string;
  readonly date: string;
  readonly files: Files;
}

/** Why a commit is made. */
export type CommitNote = Pick<Commit, "title" | "description" | "author">;

export function gitHash(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

/** The text that stands for a large file in git. */
export function lfsPointer(sha256: string, size: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`;
}

export function largeFile(sha256: string, size: number): StoredFile {
  return { size, gitHash: gitHash(Buffer.from(lfsPointer(sha256, size))), sha256 };
}

/** A file's ETag, without quotes. */
export function etagOf({ sha256, gitHash: hash }: StoredFile): string {
  return sha256 ?? hash;
}

/** What is under way in a repository, by its folder: changes of one repository come one after the other. */
const queues = new Map<string, Promise<unknown>>();

export class Repository {
  readonly objects: LargeObjects;

  constructor(
    readonly kind: RepositoryKind,
    readonly id: string,
    readonly dir: string,
  ) {
    this.objects = new LargeObjects(dir);
  }

  get namespace(): string {
    return this.id.split("/")[0]!;
  }

  /** As in addresses: `owner/name`, `datasets/owner/name`. */
  get name(): string {
    return this.kind === "model" ? this.id : `datasets/${this.id}`;
  }

  /** Makes an empty one with `.gitattributes`; the folder must be new. */
  async initialise(facts: Pick<RepositoryState, "private">, author: string): Promise<void> {
    for (const part of ["commits", "blobs"]) await mkdir(join(this.dir, part), { recursive: true });
    const attributes = await this.addBlob(Buffer.from(INITIAL_ATTRIBUTES));
    const files = new Map([[".gitattributes", attributes]]);
    const { hash } = await this.addCommit(undefined, files, { title: "initial commit", description: "", author });
    await this.#save({
      format_version: FORMAT,
      kind: this.kind,
      id: this.id,
      ...facts,
      gated: false,
      createdAt: timestamp(),
      branches: { [MAIN]: hash },
      tags: {},
      pulls: [],
    });
  }

  /** @throws the file system's error when it is not there */
  async state(): Promise<RepositoryState> {
    return JSON.parse(await readFile(join(this.dir, "repository.json"), "utf8")) as RepositoryState;
  }

  /** Changes the state; nobody else does meanwhile. What `change` throws leaves everything as it was. */
  async change<T>(change: (state: RepositoryState) => Promise<readonly [RepositoryState, T]>): Promise<T> {
    const before = queues.get(this.dir) ?? Promise.resolve();
    const own = before
      .catch(() => undefined)
      .then(async () => {
        const [next, result] = await change(await this.state());
        await this.#save(next);
        return result;
      });
    queues.set(this.dir, own);
    try {
      return await own;
    } finally {
      if (queues.get(this.dir) === own) queues.delete(this.dir);
    }
  }

  async #save(state: RepositoryState): Promise<void> {
    await writeFileAtomic(join(this.dir, "repository.json"), JSON.stringify(state, null, 1));
  }

  /** The commit of a branch, a tag, `refs/pr/N` or a hash. @throws Refusal 404 RevisionNotFound */
  async resolve(revision: string, state?: RepositoryState): Promise<Commit> {
    const hash = refOf(state ?? (await this.state()), revision) ?? (/^[0-9a-f]{40}$/.test(revision) ? revision : undefined);
    const commit = hash === undefined ? undefined : await this.#commit(hash);
    if (commit === undefined) throw revisionNotFound(revision);
    return commit;
  }

  async #commit(hash: string): Promise<Commit | undefined> {
    const text = await readFile(join(this.dir, "commits", `${hash}.json`), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const { files, ...rest } = JSON.parse(text) as Omit<Commit, "files" | "hash"> & { files: Record<string, StoredFile> };
    return { ...rest, hash, files: new Map(Object.entries(files)) };
  }

  /** A commit and those before it, the newest first. */
  async *history(from: Commit): AsyncGenerator<Commit> {
    for (let at: Commit | undefined = from; at !== undefined; at = at.parent === undefined ? undefined : await this.#commit(at.parent))
      yield at;
  }

  /** Writes a small file's content. */
  async addBlob(content: Uint8Array): Promise<StoredFile> {
    const file = { size: content.length, gitHash: gitHash(content) };
    const path = this.blobPath(file.gitHash);
    if ((await sizeOf(path)) !== content.length) await writeFileAtomic(path, content);
    return file;
  }

  /** Writes a commit that no branch names yet. */
  async addCommit(parent: string | undefined, files: Files, note: CommitNote): Promise<Commit> {
    const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
    const facts = { parent, ...note, date: timestamp() };
    const text = JSON.stringify({ ...facts, files: Object.fromEntries(sorted) }, null, 1);
    const hash = createHash("sha1").update(`commit ${text.length}\0`).update(text).digest("hex");
    await writeFileAtomic(join(this.dir, "commits", `${hash}.json`), text);
    return { ...facts, hash, files };
  }

  blobPath(hash: string): string {
    return join(this.dir, "blobs", hash);
  }

  /** Where a file's content lies. */
  pathOf(file: StoredFile): string {
    return file.sha256 === undefined ? this.blobPath(file.gitHash) : this.objects.path(file.sha256);
  }

  /** A small text file of a commit, or "" when there is none. */
  async text(commit: Commit, path: string): Promise<string> {
    const file = commit.files.get(path);
    return file === undefined ? "" : readFile(this.pathOf(file), "utf8");
  }
}

/** The hash of a branch, tag or pull request. */
export function refOf(state: RepositoryState, revision: string): string | undefined {
  const pull = /^refs\/pr\/([1-9]\d{0,8})$/.exec(revision)?.[1];
  if (pull !== undefined) return state.pulls.find(({ num }) => num === Number(pull))?.head;
  const name = revision === "HEAD" ? MAIN : revision.replace(/^refs\/heads\//, "");
  if (Object.hasOwn(state.branches, name)) return state.branches[name];
  const tag = revision.replace(/^refs\/tags\//, "");
  return Object.hasOwn(state.tags, tag) ? state.tags[tag] : undefined;
}

/** Like `{ ...record, [name]: value }`, also for names that objects have by nature; undefined removes. */
export function withEntry(record: Readonly<Record<string, string>>, name: string, value: string | undefined): Record<string, string> {
  const entries = new Map(Object.entries(record));
  if (value === undefined) entries.delete(name);
  else entries.set(name, value);
  return Object.fromEntries(entries);
}

/** @throws Refusal 409 */
export function refuseExisting(record: Readonly<Record<string, string>>, name: string): void {
  if (Object.hasOwn(record, name)) throw new Refusal(409, `Reference already exists: ${name}`);
}

/** @throws Refusal 404 */
export function requireExisting(record: Readonly<Record<string, string>>, name: string): void {
  if (!Object.hasOwn(record, name)) throw revisionNotFound(name);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (status) => status.size,
    () => undefined,
  );
}
