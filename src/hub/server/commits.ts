/** POST `/api/…/commit/REVISION`: lines of JSON, the header first, then what happens to each file. */
import { requireOwner } from "./access.js";
import { type Exchange, parseObject, sendJson, textOf } from "./exchange.js";
import { checkSha256 } from "./largeObjects.js";
import { checkFilePath } from "./names.js";
import { addPull, changePull, pullUrl } from "./pulls.js";
import { Refusal, badRequest, revisionNotFound, tooLarge } from "./refusal.js";
import { type Commit, type CommitNote, type Files, type Repository, type StoredFile, largeFile, withEntry } from "./repository.js";
import { attributesFor } from "./uploads.js";

type Operation =
  | { readonly act: "write"; readonly path: string; readonly file: StoredFile }
  | { readonly act: "copy"; readonly path: string; readonly from: string }
  | { readonly act: "delete" | "delete folder"; readonly path: string };

interface CommitRequest {
  readonly title: string;
  readonly description: string;
  readonly parentCommit: string | undefined;
  readonly operations: readonly Operation[];
}

export async function takeCommit(
  exchange: Exchange,
  repository: Repository,
  { revision = "" }: Readonly<Record<string, string>>,
): Promise<void> {
  const { url, base } = exchange;
  const user = exchange.user!;
  const createPr = ["1", "true"].includes((url.searchParams.get("create_pr") ?? "").toLowerCase());
  const pull = /^refs\/pr\/([1-9]\d{0,8})$/.exec(revision)?.[1];
  if (!createPr && pull === undefined) requireOwner(exchange, repository);
  const request = await readRequest(exchange, repository);
  const note: CommitNote = { title: request.title, description: request.description, author: user.name };

  const [commit, num] = await repository.change<readonly [Commit, number | undefined]>(async (state) => {
    const from = createPr && request.parentCommit !== undefined ? request.parentCommit : revision;
    if (!createPr && pull === undefined && !Object.hasOwn(state.branches, revision)) throw revisionNotFound(revision);
    const head = await repository.resolve(from, state);
    if (!createPr && request.parentCommit !== undefined && request.parentCommit !== head.hash)
      throw new Refusal(412, "A commit has happened since. Please refresh and try again.");
    const next = await repository.addCommit(head.hash, await applyAll(repository, head.files, request.operations), note);
    if (createPr) {
      const [changed, added] = addPull(state, { ...note, base: revision, baseCommit: head.hash, head: next.hash });
      return [changed, [next, added]];
    }
    if (pull !== undefined) return [changePull(state, Number(pull), user, repository, { head: next.hash }), [next, undefined]];
    return [{ ...state, branches: withEntry(state.branches, revision, next.hash) }, [next, undefined]];
  });
  sendJson(exchange, 200, {
    success: true,
    commitOid: commit.hash,
    commitUrl: `${base}/${repository.name}/commit/${commit.hash}`,
    hookOutput: "",
    ...(num === undefined ? {} : { pullRequestUrl: pullUrl(base, repository, num) }),
  });
}

/** Reads the lines as they come: a small file's content goes to the disk at once. */
async function readRequest(exchange: Exchange, repository: Repository): Promise<CommitRequest> {
  let header: Record<string, unknown> | undefined;
  const operations: Operation[] = [];
  for await (const line of linesOf(exchange)) {
    const { key, value } = parseObject(line);
    if (typeof value !== "object" || value === null) throw badRequest("Every line must have a key and a value");
    const fields = value as Record<string, unknown>;
    if (key === "header") header = fields;
    else operations.push(await readOperation(exchange, repository, key, fields));
  }
  const title = textOf(header?.["summary"]);
  if (title === undefined || title.trim() === "") throw badRequest("The first line must be a header with a summary");
  return { title, description: textOf(header?.["description"]) ?? "", parentCommit: textOf(header?.["parentCommit"]), operations };
}

async function readOperation(
  exchange: Exchange,
  repository: Repository,
  key: unknown,
  fields: Record<string, unknown>,
): Promise<Operation> {
  const { limits } = exchange;
  const path = checkFilePath(key === "deletedFolder" ? textOf(fields["path"])?.replace(/\/$/, "") : fields["path"]);
  if (key === "deletedFile") return { act: "delete", path };
  if (key === "deletedFolder") return { act: "delete folder", path };
  if ((key === "file" || key === "lfsFile") && fields["oldPath"] !== undefined)
    return { act: "copy", path, from: checkFilePath(fields["oldPath"]) };
  if (key === "lfsFile") {
    const oid = checkSha256(fields["oid"]);
    const size = await repository.objects.size(oid);
    if (size === undefined || (typeof fields["size"] === "number" && fields["size"] !== size))
      throw badRequest(`The large file ${path} must be uploaded first: ${oid}`);
    return { act: "write", path, file: largeFile(oid, size) };
  }
  if (key !== "file") throw badRequest(`Unknown key ${JSON.stringify(key)}`);
  const { content, encoding = "utf-8" } = fields;
  if (typeof content !== "string" || (encoding !== "base64" && encoding !== "utf-8"))
    throw badRequest(`The content of ${path} must be text or base64`);
  const bytes = Buffer.from(content, encoding);
  if (bytes.length > limits.largestSmallFile)
    throw tooLarge(`A file that is not sent by LFS (${path})`, bytes.length, limits.largestSmallFile);
  return { act: "write", path, file: await repository.addBlob(bytes) };
}

async function* linesOf({ request, limits }: Exchange): AsyncGenerator<string> {
  let [parts, total]: [Buffer[], number] = [[], 0];
  for await (const chunk of request as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > limits.largestCommit) throw tooLarge("A commit's request", total, limits.largestCommit);
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...parts, chunk.subarray(from, at)]).toString();
      [parts, from] = [[], at + 1];
      if (line.trim() !== "") yield line;
    }
    parts.push(chunk.subarray(from));
  }
  const last = Buffer.concat(parts).toString();
  if (last.trim() !== "") yield last;
}

/** The files after a commit. @throws Refusal 400, 404 EntryNotFound */
async function applyAll(repository: Repository, before: Files, operations: readonly Operation[]): Promise<Files> {
  const files = new Map(before);
  for (const operation of operations) apply(files, operation);
  const large = operations.filter((each) => each.act === "write" && each.file.sha256 !== undefined).map(({ path }) => path);
  const attributes = await attributesFor(repository, { files }, large);
  if (attributes !== undefined) files.set(".gitattributes", await repository.addBlob(Buffer.from(attributes)));
  requireTree(files);
  return files;
}

function apply(files: Map<string, StoredFile>, operation: Operation): void {
  const { path } = operation;
  if (operation.act === "write") files.set(path, operation.file);
  else if (operation.act === "copy") {
    const file = files.get(operation.from);
    if (file === undefined) throw new Refusal(404, `Entry not found: ${operation.from}`, "EntryNotFound");
    files.set(path, file);
  } else {
    const gone =
      operation.act === "delete"
        ? [...files.keys()].filter((each) => each === path)
        : [...files.keys()].filter((each) => each.startsWith(`${path}/`));
    if (gone.length === 0) throw new Refusal(404, `Entry not found: ${path}`, "EntryNotFound");
    for (const each of gone) files.delete(each);
  }
}

/** A path cannot be a file and a folder. */
function requireTree(files: Pick<Commit, "files">["files"]): void {
  for (const path of files.keys()) {
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
      if (files.has(path.slice(0, at))) throw badRequest(`${path.slice(0, at)} cannot be a file and a folder`);
  }
}
