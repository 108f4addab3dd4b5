/**
 * The large files of one repository, each under its SHA-256. Bytes on their way lie in `incoming/` and get their name only when size and
 * hash are right, so a connection or a process that breaks leaves nothing that can be read.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Refusal, badRequest, tooLarge } from "./refusal.js";

const SHA256 = /^[0-9a-f]{64}$/;

export function checkSha256(oid: unknown): string {
  if (typeof oid !== "string" || !SHA256.test(oid))
    throw badRequest(`An object's oid must be a SHA-256 in hex, got ${JSON.stringify(oid)}`);
  return oid;
}

export class LargeObjects {
  readonly #dir: string;

  /** @param dir the repository's folder */
  constructor(dir: string) {
    this.#dir = dir;
  }

  path(oid: string): string {
    return join(this.#dir, "lfs", oid.slice(0, 2), checkSha256(oid));
  }

  /** Bytes of an object, or undefined when it is not there. */
  async size(oid: string): Promise<number | undefined> {
    return stat(this.path(oid)).then(
      (status) => status.size,
      () => undefined,
    );
  }

  /** Takes an object in. @throws Refusal 400, 413 */
  async receive(oid: string, size: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#store(oid, size, body);
  }

  /** Takes a part in. @param part from 1 @returns its MD5, which is its ETag, as S3 has it */
  async receivePart(oid: string, part: number, size: number, body: AsyncIterable<Uint8Array>): Promise<string> {
    const target = this.#part(oid, part);
    const temporary = await this.#temporary();
    const hash = createHash("md5");
    try {
      await write(temporary, size, body, (chunk) => hash.update(chunk));
      await mkdir(join(target, ".."), { recursive: true });
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
    return hash.digest("hex");
  }

  /** Joins the parts of an object. @throws Refusal 400 for parts that are missing or do not make up the object */
  async complete(oid: string, size: number, parts: number): Promise<void> {
    const paths = Array.from({ length: parts }, (_, i) => this.#part(oid, i + 1));
    if ((await this.size(oid)) !== size) {
      for (const [i, path] of paths.entries())
        await stat(path).catch(() => {
          throw badRequest(`Part ${i + 1} of ${oid} must be uploaded first`);
        });
      await this.#store(oid, size, joined(paths));
    }
    await rm(join(this.#dir, "incoming", oid), { recursive: true, force: true });
  }

  async #store(oid: string, size: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    const target = this.path(oid);
    const temporary = await this.#temporary();
    const hash = createHash("sha256");
    try {
      await write(temporary, size, body, (chunk) => hash.update(chunk));
      const got = hash.digest("hex");
      if (got !== oid) throw badRequest(`The content must have the hash ${oid}, got ${got}`);
      await mkdir(join(target, ".."), { recursive: true });
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  #part(oid: string, part: number): string {
    return join(this.#dir, "incoming", checkSha256(oid), String(part));
  }

  async #temporary(): Promise<string> {
    const dir = join(this.#dir, "incoming");
    await mkdir(dir, { recursive: true });
    return join(dir, `${randomBytes(8).toString("hex")}.tmp`);
  }
}

async function* joined(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const path of paths) for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) yield chunk as Uint8Array;
}

/** Writes exactly `size` bytes, down to the disk. */
async function write(path: string, size: number, body: AsyncIterable<Uint8Array>, onChunk: (chunk: Uint8Array) => void): Promise<void> {
  const handle = await open(path, "wx");
  try {
    let have = 0;
    for await (const chunk of body) {
      have += chunk.length;
      if (have > size) throw tooLarge("The content", have, size);
      onChunk(chunk);
      await handle.writeFile(chunk);
    }
    if (have !== size) throw new Refusal(400, `The content must have ${size} bytes, got ${have}`);
    await handle.sync();
  } catch (error) {
    // A client that went away is no fault of this server's.
    if ((error as NodeJS.ErrnoException).code === "ECONNRESET") throw badRequest("The connection broke before the content was complete");
    throw error;
  } finally {
    await handle.close();
  }
}
