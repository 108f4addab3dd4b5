/**
 * One repository in the cache, in the layout that Python's huggingface_hub keeps too, so that each finds what the other fetched:
 *
 *     models--Qwen--Qwen2-0.5B-Instruct/
 *       refs/main                        the commit of a branch or tag, as text
 *       trees/<commit>.json              every file of the commit: size, git hash, SHA-256 (huggingface_hub ≥ 1.20; older ones do without)
 *       blobs/<hash>                     the content of a file, under its SHA-256 (large files) or git hash
 *       snapshots/<commit>/config.json   links to the blobs; copies where the system has no links
 *
 * A blob gets its name only when it is whole and its hash is right (see transfer.ts). A ref is moved only when the files of the new
 * commit are there, so what worked offline before keeps working.
 */
import { copyFile, mkdir, readFile, readdir, realpath, rename, stat, symlink } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { getRepoFolderName } from "@huggingface/hub";
import { HubError } from "../errors.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import type { RepositoryAddress } from "./address.js";

/** A file of a commit. */
export interface RepositoryFile {
  readonly path: string;
  /** Bytes of the content. */
  readonly size: number;
  /** Git's SHA-1 of the content, for a large file of the pointer that stands for it. */
  readonly gitHash: string;
  /** SHA-256 of the content of a large file. */
  readonly sha256: string | undefined;
  /** The Hub's name for the content in its chunk store; only kept for Python. */
  readonly xetHash: string | undefined;
}

const COMMIT = /^[0-9a-f]{40}$/;
const TREE_FORMAT = 1;

export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** The blob's name: what the Hub sends as the file's ETag. */
export function blobName(file: RepositoryFile): string {
  return file.sha256 ?? file.gitHash;
}

let links = 0;

export class RepositoryCache {
  readonly dir: string;
  readonly #name: string;

  constructor(cacheDir: string, repository: RepositoryAddress) {
    this.#name = repository.name;
    this.dir = join(cacheDir, getRepoFolderName({ type: repository.kind, name: repository.id }));
  }

  blob(file: RepositoryFile): string {
    return join(this.dir, "blobs", blobName(file));
  }

  snapshot(commit: string): string {
    return join(this.dir, "snapshots", commit);
  }

  /** The commit that a branch or tag had when it was last fetched. */
  async ref(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.dir, "refs", ...revision.split("/")), "utf8").catch(() => "");
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  async setRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.ref(revision)) === commit) return;
    const path = join(this.dir, "refs", ...revision.split("/"));
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, commit);
  }

  /** The files of a commit, or undefined when they are not known here. A damaged list counts as unknown. */
  async tree(commit: string): Promise<RepositoryFile[] | undefined> {
    const text = await readFile(join(this.dir, "trees", `${commit}.json`), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      const { format_version, files } = JSON.parse(text) as { format_version: unknown; files: Record<string, TreeEntry> };
      if (format_version !== TREE_FORMAT) return undefined;
      return Object.entries(files).map(([path, entry]) => {
        return checkFile(this.#name, {
          path,
          size: entry.lfs_size ?? entry.size,
          gitHash: entry.blob_id,
          sha256: entry.lfs_sha256,
          xetHash: entry.xet_hash,
        });
      });
    } catch {
      return undefined;
    }
  }

  async setTree(commit: string, files: readonly RepositoryFile[]): Promise<void> {
    const entries = [...files]
      .sort((a, b) => (a.path < b.path ? -1 : 1))
      .map((file): [string, TreeEntry] => {
        const large = file.sha256 === undefined ? {} : { lfs_sha256: file.sha256, lfs_size: file.size };
        const xet = file.xetHash === undefined ? {} : { xet_hash: file.xetHash };
        return [file.path, { size: file.size, blob_id: file.gitHash, ...large, ...xet }];
      });
    await mkdir(join(this.dir, "trees"), { recursive: true });
    await writeFileAtomic(
      join(this.dir, "trees", `${commit}.json`),
      JSON.stringify({ format_version: TREE_FORMAT, files: Object.fromEntries(entries) }, null, 1),
    );
  }

  /** Whether a file of a commit is there in its full size. */
  async has(commit: string, file: RepositoryFile): Promise<boolean> {
    return (await sizeOf(join(this.snapshot(commit), ...file.path.split("/")))) === file.size;
  }

  /** Whether a file's content is there, under this commit or another. */
  async hasBlob(file: RepositoryFile): Promise<boolean> {
    return (await sizeOf(this.blob(file))) === file.size;
  }

  /** Puts a blob that is there under its path into the commit's snapshot. Readers see the old entry or the new one. */
  async link(commit: string, file: RepositoryFile): Promise<void> {
    const pointer = join(this.snapshot(commit), ...file.path.split("/"));
    const temporary = `${pointer}.${process.pid}-${links++}.tmp`;
    await mkdir(dirname(pointer), { recursive: true });
    try {
      await symlink(relative(await realpath(dirname(pointer)), join(await realpath(join(this.dir, "blobs")), blobName(file))), temporary);
    } catch (error) {
      // Windows lets only administrators and developers make links; some network disks have none.
      if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "UNKNOWN"].includes((error as NodeJS.ErrnoException).code ?? ""))
        throw error;
      await copyFile(this.blob(file), temporary);
    }
    await rename(temporary, pointer);
  }

  /** Paths of the files that lie in a commit's snapshot. */
  async snapshotFiles(commit: string): Promise<string[]> {
    const dir = this.snapshot(commit);
    const entries = await readdir(dir, { recursive: true }).catch(() => [] as string[]);
    const files: string[] = [];
    for (const entry of entries.sort()) {
      const status = await stat(join(dir, entry)).catch(() => undefined);
      if (status?.isFile() === true && !entry.endsWith(".tmp")) files.push(entry.split(sep).join("/"));
    }
    return files;
  }
}

interface TreeEntry {
  size: number;
  blob_id: string;
  lfs_sha256?: string;
  lfs_size?: number;
  xet_hash?: string;
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (status) => status.size,
    () => undefined,
  );
}

/** Paths and hashes become paths on this disk, so a server may not choose them freely.
 *  @throws HubError `hub_malformed` */
export function checkFile(repository: string, file: RepositoryFile): RepositoryFile {
  const { path, size, gitHash, sha256 } = file;
  const escapes = path === "" || path.split("/").some((part) => part === "" || part === "." || part === "..") || /[\\:\0]/.test(path);
  if (escapes)
    throw new HubError(
      "hub_malformed",
      `Hub ${repository}: a file's path must lie inside the repository, got ${JSON.stringify(path)}; do not trust this repository`,
    );
  const hashes = /^[0-9a-f]{40}$/.test(gitHash) && (sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256));
  if (!hashes || !Number.isSafeInteger(size) || size < 0) {
    throw new HubError(
      "hub_malformed",
      `Hub ${repository}: every file must have a size and a hash, got ${JSON.stringify({ path, size, gitHash, sha256 })}; check HF_ENDPOINT`,
    );
  }
  return file;
}
