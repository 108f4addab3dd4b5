/** All repositories of a hub: `DIR/models/owner/name`, `DIR/datasets/owner/name`. */
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { HubError } from "../../errors.js";
import { type RepositoryKind, checkRepositoryId } from "./names.js";
import { Refusal } from "./refusal.js";
import { Repository } from "./repository.js";

const KINDS: readonly RepositoryKind[] = ["model", "dataset"];
/** Folders that this process serves. */
const served = new Set<string>();

export class HubStore {
  private constructor(
    readonly dir: string,
    /** Signs links; kept, so that a link outlives a restart. */
    readonly secret: Buffer,
  ) {}

  /** Opens a folder, which may be new; what an interrupted process has left half done is removed.
   *  @throws HubError `hub_serve_busy` when another process serves it */
  static async open(path: string): Promise<HubStore> {
    const dir = resolve(path);
    await mkdir(dir, { recursive: true });
    await claim(dir);
    try {
      for (const name of ["models", "datasets", "trash"]) await mkdir(join(dir, name), { recursive: true });
      await rm(join(dir, "trash"), { recursive: true, force: true });
      const store = new HubStore(dir, await secretOf(dir));
      for (const kind of KINDS)
        for (const repository of await store.list(kind)) await rm(join(repository.dir, "incoming"), { recursive: true, force: true });
      return store;
    } catch (error) {
      await release(dir);
      throw error;
    }
  }

  async close(): Promise<void> {
    await release(this.dir);
  }

  /** All of a kind, by id. */
  async list(kind: RepositoryKind): Promise<Repository[]> {
    const top = join(this.dir, `${kind}s`);
    const found: Repository[] = [];
    for (const owner of (await readdir(top)).sort()) {
      for (const name of (await readdir(join(top, owner)).catch(() => [] as string[])).sort()) {
        const repository = await this.find(kind, `${owner}/${name}`).catch(() => undefined);
        if (repository !== undefined) found.push(repository);
      }
    }
    return found;
  }

  /** @throws Refusal 400 for an id that cannot be one */
  async find(kind: RepositoryKind, id: string): Promise<Repository | undefined> {
    const repository = this.#at(kind, id);
    return (await repository.state().catch(() => undefined))?.id === id ? repository : undefined;
  }

  /** @throws Refusal 409 when it exists */
  async create(kind: RepositoryKind, id: string, facts: { private: boolean }, author: string): Promise<Repository> {
    const repository = this.#at(kind, id);
    const [owner] = id.split("/") as [string];
    const fresh = join(this.dir, `.new-${randomBytes(8).toString("hex")}`);
    try {
      await new Repository(kind, id, fresh).initialise(facts, author);
      await mkdir(join(this.dir, `${kind}s`, owner), { recursive: true });
      // Of two that are made at once, one renames first; a folder that holds something cannot be replaced.
      await rename(fresh, repository.dir);
    } catch (error) {
      await rm(fresh, { recursive: true, force: true });
      if (!["ENOTEMPTY", "EEXIST", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
      throw new Refusal(409, `You already created this ${kind} repo: ${id}`);
    }
    return repository;
  }

  /** It is gone at once; its bytes a moment later. */
  async delete(repository: Repository): Promise<void> {
    const trash = join(this.dir, "trash");
    await mkdir(trash, { recursive: true });
    const gone = join(trash, randomBytes(8).toString("hex"));
    await rename(repository.dir, gone);
    await rm(gone, { recursive: true, force: true });
  }

  #at(kind: RepositoryKind, id: string): Repository {
    return new Repository(kind, id, join(this.dir, `${kind}s`, ...checkRepositoryId(id).split("/")));
  }
}

async function secretOf(dir: string): Promise<Buffer> {
  const path = join(dir, ".link-secret");
  const known = await readFile(path).catch(() => undefined);
  if (known?.length === 32) return known;
  const secret = randomBytes(32);
  const handle = await open(path, "w", 0o600);
  try {
    await handle.writeFile(secret);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return secret;
}

/** Two servers would overwrite each other's repository.json. */
async function claim(dir: string): Promise<void> {
  const path = join(dir, ".served-by");
  const busy = (pid: number): HubError =>
    new HubError(
      "hub_serve_busy",
      `hub-serve: the folder ${dir} must be served by one process, got process ${pid} too; end it, or choose another folder`,
    );
  if (served.has(dir)) throw busy(process.pid);
  for (let tries = 0; ; tries++) {
    try {
      const handle = await open(path, "wx");
      await handle.writeFile(String(process.pid));
      await handle.close();
      served.add(dir);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || tries === 3) throw error;
      const pid = Number(await readFile(path, "utf8").catch(() => "0"));
      // The own number is that of an earlier process: in a container it is always the same.
      if (pid !== process.pid && isRunning(pid)) throw busy(pid);
      await rm(path, { force: true });
    }
  }
}

async function release(dir: string): Promise<void> {
  served.delete(dir);
  await rm(join(dir, ".served-by"), { force: true });
}

function isRunning(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
