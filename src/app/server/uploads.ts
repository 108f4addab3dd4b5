/** Files that clients send, kept in a folder of their own until the server ends. */
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ConfigError } from "../../errors.js";
import { Refusal, badRequest } from "../../hub/server/refusal.js";
import type { UploadedFile } from "../component.js";
import { type Exchange, readForm, send, sendJson } from "./exchange.js";

/** Files that are kept; the oldest make room. */
const MOST_FILES = 200;

export class Uploads {
  readonly #files = new Map<string, UploadedFile>();
  #folder: Promise<string> | undefined;

  /** @param limit bytes of one request */
  constructor(readonly limit: number) {}

  /** The file that a client names by the path it was told. @throws ConfigError `app_input` for any other path */
  take(name: string, value: unknown): UploadedFile | null {
    if (value === null) return null;
    const file = this.#files.get((value as { path: string }).path);
    if (file === undefined) throw new ConfigError("app_input", `${name}: must be a file that was uploaded here, got another path`);
    const { orig_name } = value as { orig_name?: unknown };
    return typeof orig_name === "string" ? { ...file, orig_name: orig_name.slice(0, 255) } : file;
  }

  /** `POST upload`: answers with the paths. */
  async receive(exchange: Exchange): Promise<void> {
    const form = await readForm(exchange, this.limit);
    const files = form.getAll("files");
    if (files.length === 0 || files.some((file) => typeof file === "string")) throw badRequest("The form must have files");
    const paths: string[] = [];
    for (const file of files as File[]) paths.push(await this.#keep(file));
    sendJson(exchange, 200, paths);
  }

  async #keep(file: File): Promise<string> {
    this.#folder ??= mkdtemp(join(tmpdir(), "preflab-app-"));
    const folder = join(await this.#folder, randomUUID());
    await mkdir(folder);
    const base = file.name
      .replaceAll(/[^\w.-]+/g, "_")
      .replace(/^\.+/, "")
      .slice(-100);
    const path = join(folder, base === "" ? "file" : base);
    await writeFile(path, Buffer.from(await file.arrayBuffer()), { flag: "wx" });
    this.#files.set(path, { path, orig_name: file.name.slice(0, 255), size: file.size });
    if (this.#files.size > MOST_FILES) {
      const oldest = this.#files.keys().next().value!;
      this.#files.delete(oldest);
      await rm(dirname(oldest), { recursive: true, force: true });
    }
    return path;
  }

  /** `GET file=PATH`. */
  async serve(exchange: Exchange, path: string): Promise<void> {
    const file = this.#files.get(path);
    if (file === undefined) throw new Refusal(404, "No such file");
    send(exchange, 200, "application/octet-stream", await readFile(file.path), {
      "content-disposition": "attachment",
      "x-content-type-options": "nosniff",
    });
  }

  async dispose(): Promise<void> {
    this.#files.clear();
    if (this.#folder !== undefined) await rm(await this.#folder, { recursive: true, force: true });
  }
}
