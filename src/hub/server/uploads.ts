/** How large files come in, before the commit that names them: preupload tells which are large, LFS batch where they go. */
import { readFile } from "node:fs/promises";
import { type Exchange, objectsOf, readJson, sendJson, textOf } from "./exchange.js";
import { isIgnored, isLargeByAttributes } from "../globs.js";
import { checkSha256 } from "./largeObjects.js";
import { checkLink, signLink } from "./links.js";
import { checkFilePath } from "./names.js";
import { Refusal, badRequest, tooLarge } from "./refusal.js";
import { type Commit, type Repository, etagOf } from "./repository.js";

type Args = Readonly<Record<string, string>>;

/** Objects of one batch. */
const MOST_OBJECTS = 1000;

/** POST `/api/…/preupload/REVISION`: which files are large, which ignored, and what the revision has under their paths. */
export async function preupload(exchange: Exchange, repository: Repository, { revision }: Args): Promise<void> {
  const { largestSmallFile } = exchange.limits;
  const body = await readJson(exchange);
  const commit = await repository.resolve(revision!);
  const attributes = textOf(body["gitAttributes"]) ?? (await repository.text(commit, ".gitattributes"));
  const ignore = textOf(body["gitIgnore"]) ?? (await repository.text(commit, ".gitignore"));
  const files = objectsOf(body["files"], "files").map((file) => {
    const path = checkFilePath(file["path"]);
    const known = commit.files.get(path);
    const large = isLargeByAttributes(attributes, path) || sizeOf(file["size"]) > largestSmallFile;
    return {
      path,
      uploadMode: large ? "lfs" : "regular",
      shouldIgnore: isIgnored(ignore, path),
      oid: known === undefined ? null : etagOf(known),
    };
  });
  sendJson(exchange, 200, { commitOid: commit.hash, files });
}

function sizeOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw badRequest(`A size must be a number of bytes, got ${JSON.stringify(value)}`);
  return value;
}

/** POST `/owner/name.git/info/lfs/objects/batch` */
export async function lfsBatch(exchange: Exchange, repository: Repository): Promise<void> {
  const body = await readJson(exchange);
  const { operation, transfers = ["basic"] } = body;
  if (operation !== "upload" && operation !== "download") throw badRequest(`operation must be "upload" or "download"`);
  if (!Array.isArray(transfers)) throw badRequest("transfers must be a list");
  const wanted = objectsOf(body["objects"], "objects");
  if (wanted.length > MOST_OBJECTS) throw tooLarge("objects (counted)", wanted.length, MOST_OBJECTS);
  const inParts = transfers.includes("multipart");
  const objects: object[] = [];
  for (const { oid, size } of wanted) {
    const object = { oid: checkSha256(oid), size: sizeOf(size) };
    objects.push({
      ...object,
      ...(await (operation === "upload" ? uploadActions : downloadActions)(exchange, repository, object, inParts)),
    });
  }
  sendJson(exchange, 200, { transfer: inParts ? "multipart" : "basic", objects }, { "content-type": "application/vnd.git-lfs+json" });
}

interface ObjectRequest {
  readonly oid: string;
  readonly size: number;
}

/** Nothing for an object that is there. */
async function uploadActions(exchange: Exchange, repository: Repository, { oid, size }: ObjectRequest, inParts: boolean): Promise<object> {
  const { base, limits } = exchange;
  if (size > limits.largestFile)
    return { error: { code: 413, message: `A file must have at most ${limits.largestFile} bytes, got ${size}` } };
  const known = await repository.objects.size(oid);
  if (known === size) return {};
  if (known !== undefined) return { error: { code: 422, message: `The object has ${known} bytes, got ${size}` } };
  const verify = { href: `${base}/${repository.name}.git/info/lfs/objects/verify`, header: {} };
  const facts = { size: String(size) };
  if (!inParts || size <= limits.partSize)
    return { authenticated: true, actions: { upload: { href: signLink(exchange, "lfs", repository, oid, facts), header: {} }, verify } };
  const parts = Math.ceil(size / limits.partSize);
  const header: Record<string, string> = { chunk_size: String(limits.partSize) };
  for (let part = 1; part <= parts; part++) {
    const partSize = String(part < parts ? limits.partSize : size - (parts - 1) * limits.partSize);
    header[String(part).padStart(5, "0")] = signLink(exchange, "lfs", repository, oid, { size: partSize, part: String(part) });
  }
  const href = signLink(exchange, "lfs-complete", repository, oid, { ...facts, parts: String(parts) });
  return { authenticated: true, actions: { upload: { href, header }, verify } };
}

async function downloadActions(exchange: Exchange, repository: Repository, { oid, size }: ObjectRequest): Promise<object> {
  if ((await repository.objects.size(oid)) !== size) return { error: { code: 404, message: "Object not found" } };
  return { authenticated: true, actions: { download: { href: signLink(exchange, "cdn", repository, oid, {}), header: {} } } };
}

/** PUT `/lfs/…`: an object, or a part of one, for who has a link. */
export async function receiveObject(exchange: Exchange, repository: Repository, { oid }: Args): Promise<void> {
  const facts = checkLink(exchange);
  const { request } = exchange;
  const size = Number(facts.get("size"));
  const stated = request.headers["content-length"];
  if (stated === undefined) throw new Refusal(411, "You must provide the Content-Length HTTP header.");
  if (Number(stated) !== size)
    throw Number(stated) > size
      ? tooLarge("The content", Number(stated), size)
      : badRequest(`The content must have ${size} bytes, got ${stated}`);
  const part = facts.get("part");
  if (part === null) {
    await repository.objects.receive(oid!, size, request as AsyncIterable<Uint8Array>);
    return sendJson(exchange, 200, {}, { etag: `"${oid!}"` });
  }
  const etag = await repository.objects.receivePart(oid!, Number(part), size, request as AsyncIterable<Uint8Array>);
  sendJson(exchange, 200, {}, { etag: `"${etag}"` });
}

/** POST `/lfs-complete/…`: joins the parts of an object. */
export async function completeObject(exchange: Exchange, repository: Repository, { oid }: Args): Promise<void> {
  const facts = checkLink(exchange);
  const { parts } = await readJson(exchange);
  const wanted = Number(facts.get("parts"));
  // Joining a large file takes longer than a silent connection lives.
  exchange.request.socket.setTimeout(0);
  if (objectsOf(parts, "parts").length !== wanted) throw badRequest(`parts must name ${wanted} parts`);
  await repository.objects.complete(oid!, Number(facts.get("size")), wanted);
  sendJson(exchange, 200, {});
}

/** POST `/owner/name.git/info/lfs/objects/verify` */
export async function verifyObject(exchange: Exchange, repository: Repository): Promise<void> {
  const { oid, size } = await readJson(exchange);
  const known = await repository.objects.size(checkSha256(oid));
  if (known === undefined) throw new Refusal(404, "Object not found");
  if (known !== size) throw new Refusal(422, `The object has ${known} bytes, got ${JSON.stringify(size)}`);
  sendJson(exchange, 200, {});
}

/** `.gitattributes` with a line for every large file that it does not know. */
export async function attributesFor(
  repository: Repository,
  commit: Pick<Commit, "files">,
  large: readonly string[],
): Promise<string | undefined> {
  const file = commit.files.get(".gitattributes");
  const known = file === undefined ? "" : await readFile(repository.pathOf(file), "utf8");
  const lines = large
    .filter((path) => !isLargeByAttributes(known, path))
    .map((path) => `${path.replaceAll(/[\s*?[\]#!]/g, "?")} filter=lfs diff=lfs merge=lfs -text\n`);
  return lines.length === 0 ? undefined : known + (known === "" || known.endsWith("\n") ? "" : "\n") + lines.join("");
}
