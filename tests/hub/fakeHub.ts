/**
 * A small Hub on localhost: enough of the API for @huggingface/hub, for this project and for Python's huggingface_hub to read from it
 * and to push to it. Large files are redirected to a second server with an origin of its own, as the Hub's CDN is. Faults can be
 * ordered for the next requests.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface StoredFile {
  readonly content: Buffer;
  readonly large: boolean;
}
type Files = Map<string, StoredFile>;

interface Repository {
  readonly kind: "model" | "dataset";
  readonly id: string;
  isPrivate: boolean;
  gated: boolean;
  /** Branch → its commits, the newest last. */
  readonly branches: Map<string, { hash: string; files: Files; title: string }[]>;
}

/** What happens to the next `times` requests that match. */
export interface Fault {
  readonly match: RegExp;
  readonly method?: string;
  times: number;
  /** Answer with this status (and `answer` as the body)… */
  readonly status?: number;
  readonly answer?: string;
  readonly headers?: Record<string, string>;
  /** …or break the connection after so many bytes of the body… */
  readonly dropAfter?: number;
  /** …or send another body, as if it were right… */
  readonly body?: Buffer;
  /** …or say nothing at all (`headers`), or nothing after so many bytes. */
  readonly silentAfter?: number | "request";
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly origin: "hub" | "cdn";
}

const LARGE = /\.(safetensors|parquet|bin)$/;

export const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
const gitHash = (content: Buffer): string => createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
const pointer = (content: Buffer): Buffer =>
  Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(content)}\nsize ${content.length}\n`);
/** The git hash of a file: of a large one, that of its pointer. */
export const oidOf = ({ content, large }: StoredFile): string => gitHash(large ? pointer(content) : content);

export class FakeHub {
  readonly repositories = new Map<string, Repository>();
  /** Content by SHA-256, as the large file store has it. */
  readonly objects = new Map<string, Buffer>();
  readonly seen: Seen[] = [];
  readonly faults: Fault[] = [];
  /** Tokens that are valid, with the user they belong to. */
  readonly users = new Map([["hf_good", "alice"]]);
  readonly #hub: Server;
  readonly #cdn: Server;
  #commits = 0;

  private constructor() {
    this.#hub = createServer((request, response) => void this.#answer("hub", request, response));
    this.#cdn = createServer((request, response) => void this.#answer("cdn", request, response));
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    await new Promise<void>((resolve) => hub.#hub.listen(0, "127.0.0.1", resolve));
    await new Promise<void>((resolve) => hub.#cdn.listen(0, "localhost", resolve));
    return hub;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }
  /** Another host by name: clients tell hosts apart by it, not by the port. */
  get cdnUrl(): string {
    return `http://localhost:${(this.#cdn.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** Paths asked for since the last call, with their methods. */
  takeSeen(): string[] {
    return this.seen.splice(0).map(({ method, path, origin }) => `${method} ${origin === "cdn" ? "cdn:" : ""}${path}`);
  }

  fail(fault: Omit<Fault, "times"> & { times?: number }): void {
    this.faults.push({ times: 1, ...fault });
  }

  /** Adds files as a new commit of a branch. @returns the commit */
  commit(
    kind: Repository["kind"],
    id: string,
    files: Record<string, string | Buffer>,
    { branch = "main", remove = [] as string[], title = "Add files" } = {},
  ): string {
    const key = `${kind}s/${id}`;
    const repository = this.repositories.get(key) ?? { kind, id, isPrivate: false, gated: false, branches: new Map<string, never[]>() };
    this.repositories.set(key, repository);
    const history = repository.branches.get(branch) ?? [];
    const next: Files = new Map(history.at(-1)?.files);
    for (const path of remove) next.delete(path);
    for (const [path, text] of Object.entries(files)) {
      const content = Buffer.from(text);
      const large = LARGE.test(path);
      if (large) this.objects.set(sha256(content), content);
      next.set(path, { content, large });
    }
    const hash = createHash("sha1").update(`commit ${this.#commits++}`).digest("hex");
    repository.branches.set(branch, [...history, { hash, files: next, title }]);
    return hash;
  }

  repository(kind: Repository["kind"], id: string): Repository {
    return this.repositories.get(`${kind}s/${id}`)!;
  }

  /** The newest content of a branch, as text by path. */
  head(kind: Repository["kind"], id: string, branch = "main"): Record<string, string> {
    const files = this.repository(kind, id).branches.get(branch)!.at(-1)!.files;
    return Object.fromEntries([...files].map(([path, { content }]) => [path, content.toString("latin1")]));
  }

  async #answer(origin: Seen["origin"], request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", headers } = request;
    const url = new URL(request.url!, this.url);
    const path = decodeURIComponent(url.pathname) + url.search;
    this.seen.push({ method, path, authorization: headers.authorization, range: headers.range, origin });
    const body = await readBody(request);
    const fault = this.faults.find((each) => each.times > 0 && each.match.test(path) && (each.method ?? method) === method);
    if (fault !== undefined) {
      fault.times--;
      if (fault.silentAfter === "request") return;
      if (fault.status !== undefined) {
        response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers }).end(fault.answer ?? "{}");
        return;
      }
    }
    try {
      if (origin === "cdn") this.#cdnRoute(method, path, body, request, response, fault);
      else this.#hubRoute(method, url, body, request, response, fault);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(
        response,
        error.status,
        { error: error.message },
        error.code === undefined ? {} : { "x-error-code": error.code, "x-error-message": error.message },
      );
    }
  }

  #cdnRoute(method: string, path: string, body: Buffer, request: IncomingMessage, response: ServerResponse, fault?: Fault): void {
    const oid = path.split("/").at(-1)!;
    if (method === "PUT") {
      // S3 insists on it.
      if (request.headers["content-length"] !== String(body.length))
        throw new Refusal(411, "You must provide the Content-Length HTTP header.");
      if (sha256(body) !== oid) throw new Refusal(400, "the content does not match its hash");
      this.objects.set(oid, body);
      return send(response, 200, {});
    }
    sendContent(request, response, this.objects.get(oid)!, { etag: `"${oid}"` }, fault);
  }

  #hubRoute(method: string, url: URL, body: Buffer, request: IncomingMessage, response: ServerResponse, fault?: Fault): void {
    const user = this.#user(request);
    const path = url.pathname;
    if (path === "/api/whoami-v2") {
      if (user === undefined) throw new Refusal(401, "Invalid username or password.");
      return send(response, 200, {
        type: "user",
        id: "1",
        name: user,
        fullname: user,
        orgs: [],
        auth: { type: "access_token", accessToken: { displayName: "t", role: "write", createdAt: "2024-01-01T00:00:00Z" } },
      });
    }
    if (path === "/api/validate-yaml") return send(response, 200, { errors: [], warnings: [] });
    if (path === "/api/repos/create") return this.#create(JSON.parse(body.toString()) as Record<string, unknown>, user, response);
    const list = /^\/api\/(model|dataset)s$/.exec(path);
    if (list !== null) return this.#list(list[1] as "model" | "dataset", url.searchParams.get("author"), response);
    const lfs = /^\/(datasets\/)?([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/.exec(path);
    if (lfs !== null) return this.#lfsBatch(this.#find(lfs[1] === undefined ? "model" : "dataset", lfs[2]!, user), body, response);
    const api =
      /^\/api\/(model|dataset)s\/([^/]+\/[^/]+)(?:\/(revision|tree|preupload|commit|branch|refs|paths-info)(?:\/([^/]+)(.*))?)?$/.exec(
        path,
      );
    if (api !== null) {
      const repository = this.#find(api[1] as "model" | "dataset", api[2]!, user);
      return this.#api(method, repository, api[3], decodeURIComponent(api[4] ?? "main"), api[5] ?? "", url, body, user, response);
    }
    const resolve = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    if (resolve !== null) {
      const repository = this.#find(resolve[1] === undefined ? "model" : "dataset", resolve[2]!, user);
      return this.#resolve(repository, decodeURIComponent(resolve[3]!), decodeURIComponent(resolve[4]!), request, response, user, fault);
    }
    throw new Refusal(404, "Sorry, we can't find the page you are looking for.");
  }

  #user(request: IncomingMessage): string | undefined {
    const { authorization } = request.headers;
    if (authorization === undefined) return undefined;
    const user = this.users.get(authorization.replace("Bearer ", ""));
    if (user === undefined) throw new Refusal(401, "Invalid credentials in Authorization header");
    return user;
  }

  #find(kind: Repository["kind"], id: string, user: string | undefined): Repository {
    const repository = this.repositories.get(`${kind}s/${id}`);
    const hidden = repository?.isPrivate === true && user === undefined;
    if (repository === undefined || hidden) {
      // The Hub tells strangers 401 for both.
      throw user === undefined
        ? new Refusal(401, "Invalid username or password.")
        : new Refusal(404, "Repository not found", "RepoNotFound");
    }
    return repository;
  }

  #commitOf(repository: Repository, revision: string): { hash: string; files: Files } {
    const found =
      repository.branches.get(revision === "HEAD" ? "main" : revision)?.at(-1) ??
      [...repository.branches.values()].flat().find(({ hash }) => hash === revision);
    if (found === undefined) throw new Refusal(404, `Invalid rev id: ${revision}`, "RevisionNotFound");
    return found;
  }

  #create(
    { name, organization, type = "model", visibility, private: isPrivate }: Record<string, unknown>,
    user: string | undefined,
    response: ServerResponse,
  ): void {
    if (user === undefined) throw new Refusal(401, "Invalid username or password.");
    const owner = (organization as string | undefined) ?? user;
    if (owner !== user) throw new Refusal(403, `You don't have the rights to create a ${String(type)} under the namespace "${owner}"`);
    const id = `${owner}/${String(name)}`;
    const url = `${this.url}/${type === "dataset" ? "datasets/" : ""}${id}`;
    if (this.repositories.has(`${String(type)}s/${id}`))
      return send(response, 409, { error: `You already created this ${String(type)} repo`, url });
    this.commit(
      type as "model",
      id,
      { ".gitattributes": "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" },
      { title: "initial commit" },
    );
    this.repository(type as "model", id).isPrivate = visibility === "private" || isPrivate === true;
    send(response, 200, { url, id, name: id });
  }

  #list(kind: Repository["kind"], author: string | null, response: ServerResponse): void {
    const found = [...this.repositories.values()].filter(
      (each) => each.kind === kind && !each.isPrivate && each.id.startsWith(`${author ?? ""}/`),
    );
    send(
      response,
      200,
      found.map(({ id }) => ({
        _id: id,
        id,
        private: false,
        gated: false,
        downloads: 0,
        likes: 0,
        lastModified: "2024-01-01T00:00:00.000Z",
      })),
    );
  }

  #lfsBatch(repository: Repository, body: Buffer, response: ServerResponse): void {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    void repository;
    send(response, 200, {
      transfer: "basic",
      objects: objects.map(({ oid, size }) => ({
        oid,
        size,
        ...(this.objects.has(oid) ? {} : { actions: { upload: { href: `${this.cdnUrl}/lfs/${oid}`, header: {} } } }),
      })),
    });
  }

  #api(
    method: string,
    repository: Repository,
    verb: string | undefined,
    revision: string,
    rest: string,
    url: URL,
    body: Buffer,
    user: string | undefined,
    response: ServerResponse,
  ): void {
    if (method === "POST" && verb !== "paths-info" && user === undefined) throw new Refusal(401, "Invalid username or password.");
    if (verb === "preupload") {
      const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
      return send(response, 200, {
        files: files.map(({ path }) => ({ path, uploadMode: LARGE.test(path) ? "lfs" : "regular", shouldIgnore: false, oid: null })),
      });
    }
    if (verb === "branch") {
      if (repository.branches.has(revision)) throw new Refusal(409, `Reference already exists: ${revision}`);
      repository.branches.set(revision, [repository.branches.get("main")!.at(-1)!]);
      return send(response, 200, {});
    }
    if (verb === "commit") return this.#takeCommit(repository, revision, body, response);
    const { hash, files } = this.#commitOf(repository, revision);
    if (verb === "tree") return this.#tree(files, rest, url, response);
    if (verb === "paths-info") {
      const { paths } = JSON.parse(body.toString()) as { paths: string[] };
      return send(
        response,
        200,
        paths.filter((path) => files.has(path)).map((path) => treeEntry(path, files.get(path)!)),
      );
    }
    const { id, isPrivate, gated } = repository;
    const siblings = [...files.keys()].map((rfilename) => ({ rfilename }));
    send(response, 200, {
      _id: id,
      id,
      sha: hash,
      private: isPrivate,
      gated: gated ? "manual" : false,
      downloads: 0,
      likes: 0,
      lastModified: "2024-01-01T00:00:00.000Z",
      tags: [],
      siblings,
    });
  }

  /** Pages of two entries, so that clients must follow the links. */
  #tree(files: Files, rest: string, url: URL, response: ServerResponse): void {
    const entries = [...files].filter(([path]) => path.startsWith(rest.replace(/^\//, ""))).map(([path, file]) => treeEntry(path, file));
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const next = new URL(url);
    next.searchParams.set("cursor", String(from + 2));
    send(response, 200, entries.slice(from, from + 2), from + 2 < entries.length ? { link: `<${next.href}>; rel="next"` } : {});
  }

  #takeCommit(repository: Repository, branch: string, body: Buffer, response: ServerResponse): void {
    const operations = body
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { key: string; value: Record<string, string> });
    if (!repository.branches.has(branch)) throw new Refusal(404, `Invalid rev id: ${branch}`, "RevisionNotFound");
    const files: Record<string, Buffer> = {};
    const remove: string[] = [];
    for (const { key, value } of operations) {
      if (key === "file") files[value["path"]!] = Buffer.from(value["content"]!, "base64");
      else if (key === "deletedFile") remove.push(value["path"]!);
      else if (key === "lfsFile") {
        const content = this.objects.get(value["oid"]!);
        if (content === undefined) throw new Refusal(400, `LFS object ${value["oid"]} was not uploaded`);
        files[value["path"]!] = content;
      }
    }
    const title = operations.find(({ key }) => key === "header")!.value["summary"]!;
    const hash = this.commit(repository.kind, repository.id, Object.fromEntries(Object.entries(files)), { branch, remove, title });
    const prefix = repository.kind === "dataset" ? "datasets/" : "";
    send(response, 200, {
      success: true,
      commitOid: hash,
      commitUrl: `${this.url}/${prefix}${repository.id}/commit/${hash}`,
      hookOutput: "",
    });
  }

  #resolve(
    repository: Repository,
    revision: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
    user: string | undefined,
    fault?: Fault,
  ): void {
    if (repository.gated && user !== "alice") {
      throw new Refusal(
        user === undefined ? 401 : 403,
        `Access to model ${repository.id} is restricted. You must have access to it and be authenticated to access it.`,
        "GatedRepo",
      );
    }
    const { hash, files } = this.#commitOf(repository, revision);
    const file = files.get(path);
    if (file === undefined) throw new Refusal(404, "Entry not found", "EntryNotFound");
    const about = { "x-repo-commit": hash, etag: `"${oidOf(file)}"` };
    if (!file.large) return sendContent(request, response, file.content, about, fault);
    const oid = sha256(file.content);
    response
      .writeHead(302, {
        ...about,
        "x-linked-etag": `"${oid}"`,
        "x-linked-size": String(file.content.length),
        location: `${this.cdnUrl}/cdn/${oid}`,
      })
      .end();
  }
}

class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code?: string,
  ) {
    super(message);
  }
}

function treeEntry(path: string, file: StoredFile): object {
  const { content, large } = file;
  const lfs = large ? { lfs: { oid: sha256(content), size: content.length, pointerSize: pointer(content).length } } : {};
  return { type: "file", path, size: content.length, oid: oidOf(file), ...lfs };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers }).end(JSON.stringify(body));
}

function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  whole: Buffer,
  headers: Record<string, string>,
  fault?: Fault,
): void {
  const stated = fault?.body ?? whole;
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (from >= stated.length && stated.length > 0) {
    response.writeHead(416).end();
    return;
  }
  const part = stated.subarray(from);
  const range = from > 0 ? { "content-range": `bytes ${from}-${stated.length - 1}/${stated.length}` } : {};
  response.writeHead(from > 0 ? 206 : 200, { "content-length": String(part.length), "accept-ranges": "bytes", ...headers, ...range });
  if (request.method === "HEAD") response.end();
  else if (fault?.dropAfter !== undefined)
    response.write(part.subarray(0, fault.dropAfter), () => setTimeout(() => response.destroy(), 50));
  else if (typeof fault?.silentAfter === "number") response.write(part.subarray(0, fault.silentAfter));
  else response.end(part);
}
