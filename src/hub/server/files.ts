/** The bytes of files: `resolve`, and the storage that it leads to for large ones. */
import { createReadStream } from "node:fs";
import type { OutgoingHttpHeaders } from "node:http";
import { pipeline } from "node:stream/promises";
import { owns } from "./accounts.js";
import type { Exchange } from "./exchange.js";
import { checkSha256 } from "./largeObjects.js";
import { checkLink, signLink } from "./links.js";
import { Refusal } from "./refusal.js";
import { type Repository, etagOf } from "./repository.js";

/** GET, HEAD `/owner/name/resolve/REVISION/PATH` */
export async function resolveFile(
  exchange: Exchange,
  repository: Repository,
  { revision, path }: Readonly<Record<string, string>>,
): Promise<void> {
  const state = await repository.state();
  checkGate(exchange, repository, state.gated);
  const { hash, files } = await repository.resolve(revision!, state);
  const file = files.get(path!);
  if (file === undefined) throw new Refusal(404, "Entry not found", "EntryNotFound", { "x-repo-commit": hash });
  const about = { "x-repo-commit": hash, etag: `"${etagOf(file)}"` };
  const name = path!.split("/").at(-1)!;
  if (file.sha256 === undefined) return sendFile(exchange, repository.pathOf(file), file.size, { ...about, ...attachment(name) });
  const location = signLink(exchange, "cdn", repository, file.sha256, { commit: hash, name, size: String(file.size) });
  exchange.response
    .writeHead(302, { ...about, "x-linked-etag": `"${file.sha256}"`, "x-linked-size": String(file.size), location, "content-length": 0 })
    .end();
}

/** GET, HEAD `/cdn/…`: a large file, for who has a link. */
export async function sendObject(exchange: Exchange, repository: Repository, { oid }: Readonly<Record<string, string>>): Promise<void> {
  const facts = checkLink(exchange);
  const commit = facts.get("commit");
  const size = await repository.objects.size(checkSha256(oid));
  if (size === undefined) throw new Refusal(404, "Object not found", "EntryNotFound");
  const about = {
    etag: `"${oid!}"`,
    ...(commit === null ? {} : { "x-repo-commit": commit }),
    "x-linked-etag": `"${oid!}"`,
    "x-linked-size": String(size),
  };
  await sendFile(exchange, repository.objects.path(oid!), size, { ...about, ...attachment(facts.get("name") ?? oid!) });
}

function checkGate({ user }: Exchange, { kind, id, namespace }: Repository, gated: false | "auto" | "manual"): void {
  if (gated === false || owns(user, namespace)) return;
  throw new Refusal(
    user === undefined ? 401 : 403,
    `Access to ${kind} ${id} is restricted. You must have access to it and be authenticated to access it.`,
    "GatedRepo",
  );
}

/** Browsers shall not show what a student has uploaded as a page of this server's. */
function attachment(name: string): OutgoingHttpHeaders {
  return {
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name)}`,
    "x-content-type-options": "nosniff",
  };
}

async function sendFile(exchange: Exchange, path: string, stored: number, headers: OutgoingHttpHeaders): Promise<void> {
  const { request, response, method, fault } = exchange;
  const size = fault?.body?.length ?? stored;
  if (request.headers["if-none-match"] === headers["etag"]) {
    response.writeHead(304, headers).end();
    return;
  }
  const range = rangeOf(request.headers.range, size);
  if (range === "none") throw new Refusal(416, "The range lies outside the file", undefined, { "content-range": `bytes */${size}` });
  const [start, end] = range ?? [0, size - 1];
  const length = Math.max(0, end - start + 1);
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    "accept-ranges": "bytes",
    "content-length": length,
    ...(range === undefined ? {} : { "content-range": `bytes ${start}-${end}/${size}` }),
  });
  if (method === "HEAD" || length === 0) {
    response.end();
    return;
  }
  if (fault?.body !== undefined) {
    response.end(fault.body.subarray(start, end + 1));
    return;
  }
  const most = fault?.dropAfter ?? (typeof fault?.silentAfter === "number" ? fault.silentAfter : undefined);
  if (most !== undefined) {
    if (most > 0) for await (const chunk of createReadStream(path, { start, end: Math.min(end, start + most - 1) })) response.write(chunk);
    else response.flushHeaders();
    if (fault?.dropAfter !== undefined) setTimeout(() => response.destroy(), 50);
    return;
  }
  try {
    await pipeline(createReadStream(path, { start, end, highWaterMark: 1 << 18 }), response);
  } catch (error) {
    // Clients may go away whenever they like.
    if ((error as NodeJS.ErrnoException).code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  }
}

/** First and last byte of a Range header, undefined for all of the file, "none" for no byte of it. One range is understood. */
export function rangeOf(header: string | undefined, size: number): readonly [number, number] | "none" | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  if (first === "") return Number(last) === 0 || size === 0 ? "none" : [Math.max(0, size - Number(last)), size - 1];
  if (Number(first) >= size) return "none";
  if (last !== "" && Number(last) < Number(first)) return undefined;
  return [Number(first), last === "" ? size - 1 : Math.min(Number(last), size - 1)];
}
