import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, realpath, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { ModelError } from "../errors.js";

/**
 * Saving several files as one: a reader finds the old set or the new one, also after `kill -9`, a full disk or a power cut.
 *
 * A folder that does not exist yet is written beside its place and renamed into it:
 *   1. write everything into `.NAME.preflab-saving-…` next to the target, flush it to the disk
 *   2. rename it to the target                                              ← the moment the save counts
 *
 * A folder that exists keeps its other files (checkpoints, logs, the user's own), so it cannot be swapped as a whole:
 *   1. write everything into `.preflab-saving-…` inside the target, with the list of files that the new set makes obsolete; flush it
 *   2. rename it to `.preflab-commit`                                        ← the moment the save counts
 *   3. rename each file from `.preflab-commit` over its old version, delete the obsolete ones, delete `.preflab-commit`
 * Before step 2 the old files are untouched; from step 2 on the new ones are complete on the disk. Whoever finds `.preflab-commit`
 * finishes step 3, which can be repeated at will: `finishSave`, called by every reader and writer here. Only a program that does not
 * know it (Python) can see a mixture, and only after a crash in the instants of step 3; opening the folder once here mends it.
 * One writer at a time: of two that save into one folder at once, each set is whole but the obsolete files may be judged wrongly.
 */

const SAVING = "preflab-saving";
const COMMIT = ".preflab-commit";
const OBSOLETE = ".preflab-obsolete.json";

export interface WriteFolderOptions {
  /** Says which top-level files of an existing target belong to an older version of this set, to be deleted unless written anew. */
  obsolete?: (name: string) => boolean;
}

/** Writes a set of files into `target`, all or nothing. Other files of an existing target stay. Missing parent folders are made.
 *  @param write puts the files into the folder it is given; when it throws, nothing has happened
 *  @throws ModelError `folder_is_file` when the target is a file, `save_failed` when the disk is full or the place not writable; whatever else `write` throws */
export async function writeFolder(
  target: string,
  write: (folder: string) => Promise<void>,
  options: WriteFolderOptions = {},
): Promise<void> {
  const place = await resolveTarget(target);
  try {
    if (existsSync(place)) await writeExistingFolder(place, write, options);
    else await writeNewFolder(place, write, options);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    const message = `${target}: the place to save to must be writable, got ${(cause as Error).message}; what was there before is whole, make room or choose another folder`;
    throw new ModelError("save_failed", message, { cause });
  }
}

/** Completes a save into `folder` that was interrupted after it counted. Does nothing otherwise, also when there is no such folder.
 *  @throws ModelError `save_unfinished` when the folder cannot be written to */
export async function finishSave(folder: string): Promise<void> {
  const pending = join(folder, COMMIT);
  if (!existsSync(pending)) return;
  try {
    await moveIntoPlace(folder, pending);
  } catch (cause) {
    const message = `${folder}: an interrupted save must be completed first, got ${(cause as Error).message}; make the folder writable or move the files of ${COMMIT} up by hand`;
    throw new ModelError("save_unfinished", message, { cause });
  }
}

async function moveIntoPlace(folder: string, pending: string): Promise<void> {
  const names = await readdir(pending).catch(ignoreMissing([]));
  const obsolete = await readObsolete(pending);
  for (const name of names) {
    if (name === OBSOLETE) continue;
    const source = join(pending, name);
    const destination = join(folder, name);
    // A folder cannot be renamed over a full one. Only a source that is still there may cost the old one.
    const isFolder = await stat(source).then((status) => status.isDirectory(), ignoreMissing(false));
    if (isFolder) await rm(destination, { recursive: true, force: true });
    await rename(source, destination).catch(ignoreMissing(undefined));
  }
  for (const name of obsolete) await rm(join(folder, name), { force: true });
  await syncFolder(folder);
  await rm(join(pending, OBSOLETE), { force: true });
  await rmdir(pending).catch(ignoreMissing(undefined));
}

async function writeExistingFolder(place: string, write: (folder: string) => Promise<void>, options: WriteFolderOptions): Promise<void> {
  await finishSave(place);
  await removeLeftovers(place, `.${SAVING}-`);
  const staging = join(place, `.${SAVING}-${ownTag()}`);
  await fillStaging(staging, write);
  await commit(place, staging, options);
}

async function writeNewFolder(place: string, write: (folder: string) => Promise<void>, options: WriteFolderOptions): Promise<void> {
  const parent = dirname(place);
  await mkdir(parent, { recursive: true });
  const prefix = `.${basename(place)}.${SAVING}-`;
  await removeLeftovers(parent, prefix);
  const staging = join(parent, `${prefix}${ownTag()}`);
  await fillStaging(staging, write);
  try {
    await rename(staging, place);
  } catch (cause) {
    if (!existsSync(place)) {
      await rm(staging, { recursive: true, force: true });
      throw cause;
    }
    // Someone else made the target meanwhile: it is filled like any existing folder.
    const inside = join(place, `.${SAVING}-${ownTag()}`);
    await rename(staging, inside);
    return commit(place, inside, options);
  }
  await syncFolder(parent);
}

async function fillStaging(staging: string, write: (folder: string) => Promise<void>): Promise<void> {
  await mkdir(staging);
  try {
    await write(staging);
    await syncTree(staging);
  } catch (cause) {
    await rm(staging, { recursive: true, force: true });
    throw cause;
  }
}

async function commit(place: string, staging: string, options: WriteFolderOptions): Promise<void> {
  const written = new Set(await readdir(staging));
  const old = (await readdir(place)).filter((name) => options.obsolete?.(name) === true && !written.has(name));
  await writeFile(join(staging, OBSOLETE), JSON.stringify(old));
  await syncTree(staging);
  for (;;) {
    try {
      await rename(staging, join(place, COMMIT));
      break;
    } catch (cause) {
      // Another process counts its save just now: finish that one first, ours comes after it.
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "EPERM") throw cause;
      if (!existsSync(join(place, COMMIT))) throw cause;
      await finishSave(place);
    }
  }
  await syncFolder(place);
  await finishSave(place);
}

async function resolveTarget(target: string): Promise<string> {
  const place = resolve(target);
  if (!existsSync(place)) return place;
  const status = await stat(place);
  if (!status.isDirectory()) {
    throw new ModelError("folder_is_file", `${target}: the place to save to must be a folder or be free, got a file; choose another name`);
  }
  return realpath(place);
}

async function readObsolete(pending: string): Promise<string[]> {
  const text = await readFile(join(pending, OBSOLETE), "utf8").catch(ignoreMissing("[]"));
  const names = JSON.parse(text) as unknown;
  if (!Array.isArray(names)) return [];
  return names.filter((name): name is string => typeof name === "string" && name === basename(name) && name !== "." && name !== "..");
}

/** Removes what killed processes of this machine left behind; a running one's folder stays. */
async function removeLeftovers(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const [host, pid] = name.slice(prefix.length).split("~");
    if (host === hostTag() && !isRunning(Number(pid))) await rm(join(folder, name), { recursive: true, force: true });
  }
}

let saves = 0;

/** Names a staging folder after who writes it: `host~pid~count`. */
function ownTag(): string {
  return `${hostTag()}~${process.pid}~${saves++}`;
}

function hostTag(): string {
  return hostname().replaceAll(/[^A-Za-z0-9.-]/g, "_");
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Flushes files and folders below, and the folder itself. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    // Windows flushes only what is open for writing; elsewhere a read-only copy must not be refused.
    else if (entry.isFile()) await syncPath(path, process.platform === "win32" ? "r+" : "r");
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  // Windows has no handle to a folder that could be flushed.
  if (process.platform !== "win32") await syncPath(folder, "r");
}

async function syncPath(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignoreMissing<T>(fallback: T): (cause: unknown) => T {
  return (cause) => {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return fallback;
    throw cause;
  };
}
