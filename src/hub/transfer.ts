/**
 * The bytes of one file, from the Hub to a blob of the cache. They go to a file of this process's own beside the blob; what a process
 * that died or was interrupted has left is taken over and continued. Size and hash are checked before the blob gets its name.
 *
 * Plain HTTP ranges are used for every file, not the chunk protocol (Xet) of @huggingface/hub: its downloads check no hash and cannot
 * be continued, and the Hub serves every file this way too.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HubError } from "../errors.js";
import { fileUrl } from "./address.js";
import type { RepositoryCache, RepositoryFile } from "./cache.js";
import { connectionError, diskError } from "./failures.js";
import { type RequestRules, hubFetch } from "./request.js";

/** Broken connections in a row that bring no new byte. */
const FRUITLESS_TRIES = 5;
const FIRST_PAUSE_MS = 250;

export interface Transfer {
  readonly rules: RequestRules;
  readonly cache: RepositoryCache;
  readonly commit: string;
  readonly file: RepositoryFile;
  /** Told how many bytes of the file are there. */
  readonly onBytes: (bytes: number) => void;
}

/** Transfers of this process, by blob: whoever wants the same content waits for it. */
const running = new Map<string, Promise<void>>();

/** Fetches a file's content into `cache.blob(file)`.
 *  @throws HubError `hub_unreachable`, `hub_integrity`, `hub_disk_full`, `hub_cache`, and what `hubFetch` throws */
export async function fetchBlob(transfer: Transfer): Promise<void> {
  const { cache, file } = transfer;
  const blob = cache.blob(file);
  const other = running.get(blob);
  if (other !== undefined) return other;
  const own = receiveBlob(transfer, blob).catch((error: unknown) => {
    throw diskError(`Hub ${transfer.rules.repository.name}`, blob, error, file.size);
  });
  running.set(blob, own);
  try {
    await own;
  } finally {
    running.delete(blob);
  }
}

async function receiveBlob(transfer: Transfer, blob: string): Promise<void> {
  // Another caller may have finished it a moment ago.
  if (await transfer.cache.hasBlob(transfer.file)) return;
  await mkdir(dirname(blob), { recursive: true });
  const partial = await claimPartial(blob);
  for (let again = false; ; again = true) {
    await receiveBytes(transfer, partial);
    const fault = await findFault(partial, transfer.file);
    if (fault === undefined) break;
    await rm(partial, { force: true });
    if (again) {
      const { repository } = transfer.rules;
      throw new HubError(
        "hub_integrity",
        `Hub ${repository.name}: ${transfer.file.path} must have the size and hash the Hub states, got ${fault}, twice; try again, and check proxies and HF_ENDPOINT`,
      );
    }
  }
  await rename(partial, blob);
}

/** Fetches until the file has its full size; continues what is there. */
async function receiveBytes(transfer: Transfer, partial: string): Promise<void> {
  const { file, rules, onBytes } = transfer;
  const handle = await open(partial, "a");
  try {
    let have = (await handle.stat()).size;
    if (have > file.size) {
      await handle.truncate(0);
      have = 0;
    }
    onBytes(have);
    for (let fruitless = 0; have < file.size;) {
      const before = have;
      let cause: unknown;
      try {
        await receiveOnce(transfer, handle, have);
        // A proper end before the stated size is not a broken connection: what is there is judged as it is.
        break;
      } catch (error) {
        if (error instanceof HubError || (error as NodeJS.ErrnoException).syscall === "write") throw error;
        cause = error;
        have = (await handle.stat()).size;
      }
      fruitless = have > before ? 0 : fruitless + 1;
      if (fruitless === FRUITLESS_TRIES) throw connectionError(rules, cause);
      await sleep(FIRST_PAUSE_MS * 2 ** fruitless);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** One request for what is missing. @throws when the connection breaks or falls silent */
async function receiveOnce({ rules, commit, file, onBytes }: Transfer, handle: FileHandle, have: number): Promise<void> {
  const silence = new AbortController();
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (have > 0) headers["range"] = `bytes=${have}-`;
  if (rules.settings.token !== undefined) headers["authorization"] = `Bearer ${rules.settings.token.value}`;
  const response = await hubFetch(rules)(fileUrl(rules.settings, rules.repository, commit, file.path), { headers, signal: silence.signal });
  if (have > 0 && response.status !== 206) {
    // The server does not do ranges, so it sends everything again.
    await handle.truncate(0);
    have = 0;
  }
  const { timeoutMs } = rules.settings;
  const endOfPatience = (): void => silence.abort(new Error(`no byte within ${timeoutMs / 1000} s`));
  let timer = setTimeout(endOfPatience, timeoutMs);
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer);
      await handle.writeFile(chunk as Uint8Array);
      have += (chunk as Uint8Array).length;
      onBytes(Math.min(have, file.size));
      if (have > file.size) break;
      timer = setTimeout(endOfPatience, timeoutMs);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** What is wrong with a file's size or hash, or undefined. */
async function findFault(path: string, file: RepositoryFile): Promise<string | undefined> {
  const { size } = await stat(path);
  if (size !== file.size) return `${size} bytes instead of ${file.size}`;
  const hash: Hash = file.sha256 === undefined ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  const got = hash.digest("hex");
  const stated = file.sha256 ?? file.gitHash;
  return got === stated ? undefined : `the hash ${got} instead of ${stated}`;
}

/**
 * A name beside the blob that only this process writes to: `HASH.HOST~PID.incomplete`. The largest one of a process that no longer runs is
 * taken over (renaming is atomic, so by one process only) and the others are removed.
 */
async function claimPartial(blob: string): Promise<string> {
  const own = `${partialPrefix(blob)}${process.pid}${PARTIAL_ENDING}`;
  const [largest, ...rest] = await abandonedPartials(blob);
  if (largest !== undefined && largest.path !== own) await rename(largest.path, own).catch(() => undefined);
  for (const { path } of rest) if (path !== own) await rm(path, { force: true });
  return own;
}

const PARTIAL_ENDING = ".incomplete";

function partialPrefix(blob: string): string {
  return `${blob}.${hostname().replaceAll(/[^A-Za-z0-9-]/g, "_")}~`;
}

/** How much of a blob an earlier process has left, in bytes. */
export async function bytesLeftBehind(blob: string): Promise<number> {
  return (await abandonedPartials(blob))[0]?.size ?? 0;
}

/** Unfinished files of a blob that nobody writes to any more, the largest first. */
async function abandonedPartials(blob: string): Promise<{ path: string; size: number }[]> {
  const prefix = partialPrefix(blob);
  const abandoned: { path: string; size: number }[] = [];
  for (const name of await readdir(dirname(blob)).catch(() => [] as string[])) {
    const path = join(dirname(blob), name);
    if (!path.startsWith(prefix) || !path.endsWith(PARTIAL_ENDING)) continue;
    const pid = Number(path.slice(prefix.length, -PARTIAL_ENDING.length));
    // The own number without a running transfer is that of an earlier process (in a container it is always the same).
    if (pid !== process.pid && isRunning(pid)) continue;
    const status = await stat(path).catch(() => undefined);
    if (status !== undefined) abandoned.push({ path, size: status.size });
  }
  return abandoned.sort((a, b) => b.size - a.size);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
