/**
 * The hub that the tests talk to: the real server of `preflab hub-serve` in a folder of its own, behind two listeners that write down
 * what is asked for. Large files go through the second one, an origin of its own as the Hub's file storage is. `commit` and `head` go
 * to the store directly, so that a test can also put there what the server would refuse.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Fault, HubServer, type HubServerOptions } from "../../src/hub/server/index.js";
import { addPull } from "../../src/hub/server/pulls.js";
import {
  type Files,
  type Repository,
  type RepositoryState,
  gitHash,
  largeFile,
  refOf,
  withEntry,
} from "../../src/hub/server/repository.js";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly origin: "hub" | "cdn";
}

type Kind = Repository["kind"];

const LARGE = /\.(safetensors|parquet|bin)$/;

export const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
/** The git hash of a file: of a large one, that of its pointer. */
export const oidOf = ({ content, large }: { content: Buffer; large: boolean }): string =>
  large ? largeFile(sha256(content), content.length).gitHash : gitHash(content);

export class TestHub {
  readonly seen: Seen[] = [];

  private constructor(
    readonly server: HubServer,
    readonly listeners: readonly [hub: Server, cdn: Server],
  ) {}

  /** `alice` of the organisation `org` has the token `hf_good`. */
  static async start(dir: string, options: HubServerOptions = {}): Promise<TestHub> {
    const record =
      (origin: Seen["origin"]) =>
      (request: IncomingMessage, response: ServerResponse): void => {
        const { method = "GET", headers, url } = request;
        const { pathname, search } = new URL(url!, "http://x");
        const path = decodeURIComponent(pathname) + search;
        hub.seen.push({ method, path, authorization: headers.authorization, range: headers.range, origin });
        hub.server.handle(request, response);
      };
    const front = await listen("127.0.0.1", record("hub"));
    // Another host by name: clients tell hosts apart by it, not by the port.
    const cdn = await listen("localhost", record("cdn"));
    const accounts = [{ name: "alice", token: "hf_good", organizations: ["org"] }];
    const server = await HubServer.start(dir, { accounts, storageUrl: addressOf(cdn, "localhost"), limits: { pageSize: 2 }, ...options });
    const hub = new TestHub(server, [front, cdn]);
    return hub;
  }

  get url(): string {
    return addressOf(this.listeners[0], "127.0.0.1");
  }

  async stop(): Promise<void> {
    for (const server of this.listeners) {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    }
    await this.server.stop();
  }

  /** Paths asked for since the last call, with their methods. */
  takeSeen(): string[] {
    return this.seen.splice(0).map(({ method, path, origin }) => `${method} ${origin === "cdn" ? "cdn:" : ""}${path}`);
  }

  fail(fault: Omit<Fault, "times"> & { times?: number }): void {
    this.server.faults.order(fault);
  }

  addUser(name: string, token: string): void {
    this.server.accounts.add({ name, token });
  }

  /** Adds files as a new commit of a branch; what is new begins without any file. @returns the commit */
  async commit(
    kind: Kind,
    id: string,
    files: Record<string, string | Buffer>,
    { branch = "main", remove = [] as string[], title = "Add files" } = {},
  ): Promise<string> {
    const { store } = this.server;
    const known = await store.find(kind, id);
    const repository = known ?? (await store.create(kind, id, { private: false }, "alice"));
    return repository.change(async (state) => {
      const from = refOf(state, branch);
      const next = new Map<string, ReturnType<typeof largeFile>>(
        known !== undefined && from !== undefined ? (await repository.resolve(from)).files : [],
      );
      for (const path of remove) next.delete(path);
      for (const [path, text] of Object.entries(files)) {
        const content = Buffer.from(text);
        if (LARGE.test(path)) {
          const oid = sha256(content);
          await repository.objects.receive(
            oid,
            content.length,
            (async function* () {
              yield content;
            })(),
          );
          next.set(path, largeFile(oid, content.length));
        } else next.set(path, await repository.addBlob(content));
      }
      const { hash } = await repository.addCommit(from, next, { title, description: "", author: "alice" });
      if (branch.startsWith("refs/pr/")) {
        const facts = { title, description: "", author: "alice", base: "main", baseCommit: state.branches["main"]!, head: hash };
        return [addPull(state, facts)[0], hash];
      }
      return [{ ...state, branches: withEntry(state.branches, branch, hash) }, hash];
    });
  }

  async repository(kind: Kind, id: string): Promise<Repository> {
    const repository = await this.server.store.find(kind, id);
    if (repository === undefined) throw new Error(`the test's hub has no ${kind} ${id}`);
    return repository;
  }

  async change(kind: Kind, id: string, facts: Partial<RepositoryState>): Promise<void> {
    await (await this.repository(kind, id)).change((state) => Promise.resolve([{ ...state, ...facts }, undefined]));
  }

  async isPrivate(kind: Kind, id: string): Promise<boolean> {
    return (await (await this.repository(kind, id)).state()).private;
  }

  /** Removes all repositories. */
  async clear(): Promise<void> {
    for (const kind of ["model", "dataset"] as const)
      for (const repository of await this.server.store.list(kind)) await this.server.store.delete(repository);
  }

  /** The newest content of a branch, as text by path. */
  async head(kind: Kind, id: string, branch = "main"): Promise<Record<string, string>> {
    const repository = await this.repository(kind, id);
    const { files }: { files: Files } = await repository.resolve(branch);
    return Object.fromEntries([...files].map(([path, file]) => [path, readFileSync(repository.pathOf(file), "latin1")]));
  }

  /** The commits of a branch, the newest last. */
  async commits(kind: Kind, id: string, branch = "main"): Promise<{ hash: string; title: string; description: string }[]> {
    const repository = await this.repository(kind, id);
    const found: { hash: string; title: string; description: string }[] = [];
    for await (const commit of repository.history(await repository.resolve(branch))) found.unshift(commit);
    return found;
  }
}

async function listen(host: string, handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return server;
}

function addressOf(server: Server, host: string): string {
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}
