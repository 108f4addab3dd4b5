/**
 * A hub of one's own: an HTTP server that speaks the API of the Hugging Face Hub, for classrooms without a network and for tests. What
 * clients see is the Hub's: addresses, status codes, headers. How it is kept is plain files (repository.ts, store.ts).
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { HubError } from "../../errors.js";
import { type Account, Accounts } from "./accounts.js";
import { timestamp } from "./clock.js";
import { type Exchange, sendJson } from "./exchange.js";
import { type Fault, FaultList } from "./faults.js";
import { DEFAULT_LIMITS, type HubLimits, RateLimit } from "./limits.js";
import { Refusal } from "./refusal.js";
import { answer } from "./routes.js";
import { HubStore } from "./store.js";

export interface HubServerOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1: this machine only. */
  readonly host?: string;
  readonly accounts?: readonly Account[];
  /** Nobody may change anything; default false. */
  readonly readOnly?: boolean;
  readonly limits?: Partial<HubLimits>;
  /** Address under which large files are moved, when another one leads to this server too. Default: the one the client has used. */
  readonly storageUrl?: string;
  /** Told about every request once it is answered. */
  readonly onRequest?: (about: RequestRecord) => void;
}

/** Never holds a token or a signed link. */
export interface RequestRecord {
  readonly time: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly user: string | undefined;
  readonly status: number;
  /** Undefined unless the request was refused. */
  readonly refusal: string | undefined;
}

/** A silent connection is closed after this; a moving one may take as long as it likes. */
const IDLE_MS = 120_000;

export class HubServer {
  readonly accounts: Accounts;
  readonly faults = new FaultList();
  readonly #server: Server;
  readonly #limits: HubLimits;
  readonly #rate: RateLimit;
  readonly #running = new Set<Promise<void>>();

  private constructor(
    readonly store: HubStore,
    readonly options: HubServerOptions,
  ) {
    this.accounts = new Accounts(options.accounts);
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#rate = new RateLimit(this.#limits.requestsPerMinute);
    // Node would end an upload after five minutes.
    this.#server = createServer({ requestTimeout: 0 }, (request, response) => this.handle(request, response));
    this.#server.timeout = IDLE_MS;
  }

  /** @param dir holds everything; may be new @throws HubError `hub_serve_busy`, `hub_serve_address`; ConfigError `hub_account` */
  static async start(dir: string, options: HubServerOptions = {}): Promise<HubServer> {
    const { host = "127.0.0.1", port = 0 } = options;
    const store = await HubStore.open(dir);
    try {
      const hub = new HubServer(store, options);
      await new Promise<void>((resolve, reject) => {
        hub.#server.once("error", reject);
        hub.#server.listen(port, host, () => resolve());
      });
      return hub;
    } catch (error) {
      await store.close();
      const { code, syscall } = error as NodeJS.ErrnoException;
      if (syscall === undefined) throw error;
      throw new HubError(
        "hub_serve_address",
        `hub-serve: ${host}:${port} must be free to listen on, got ${code ?? String(error)}; choose another --port or --host`,
        {
          cause: error,
        },
      );
    }
  }

  /** `http://127.0.0.1:8090` */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** Ends connections and waits until nothing is being written. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    await Promise.all(this.#running);
    await this.store.close();
  }

  /** Answers one request; for a second `Server` that leads here too. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const own = this.#handle(request, response).finally(() => this.#running.delete(own));
    this.#running.add(own);
  }

  /** Never throws. */
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET" } = request;
    const base = this.#baseOf(request);
    let [path, user, refused]: [string, string | undefined, Refusal | undefined] = ["", undefined, undefined];
    let exchange: Exchange | undefined;
    response.once("close", () => {
      const { statusCode: status } = response;
      this.options.onRequest?.({ time: timestamp(), method, path, user, status, refusal: refused?.message });
    });
    try {
      const url = new URL(request.url ?? "/", base);
      path = url.pathname;
      const whole = decodePath(url);
      const fault = this.faults.take(method, whole);
      const about = { request, response, method, url, base, storageBase: this.options.storageUrl ?? base };
      exchange = { ...about, user: undefined, store: this.store, limits: this.#limits, fault };
      if (await obey(fault, exchange)) return;
      const known = this.accounts.userOf(request);
      user = known?.name;
      this.#rate.count(user ?? request.socket.remoteAddress ?? "");
      await answer({ ...exchange, user: known }, this.options.readOnly === true);
    } catch (error) {
      refused = asRefusal(error);
      refuse(request, response, refused, exchange);
    }
  }

  /** As the client wrote it, so that links lead back the way it came (another name of this machine, a forwarded port). */
  #baseOf({ headers: { host } }: IncomingMessage): string {
    return host !== undefined && /^(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?$/.test(host) ? `http://${host}` : this.url;
  }
}

function decodePath({ pathname, search }: URL): string {
  try {
    return decodeURIComponent(pathname) + search;
  } catch {
    return pathname + search;
  }
}

/** @returns whether that was the answer */
async function obey(fault: Fault | undefined, exchange: Exchange): Promise<boolean> {
  if (fault === undefined) return false;
  const { request, response } = exchange;
  if (fault.silentAfter === "request") {
    request.resume();
    return true;
  }
  if (fault.dropRequestAfter !== undefined) {
    let have = 0;
    for await (const chunk of request) if ((have += (chunk as Buffer).length) >= fault.dropRequestAfter) break;
    request.socket.destroy();
    return true;
  }
  if (fault.dropAnswer === true) response.writeHead = () => response.destroy();
  if (fault.status === undefined) return false;
  // The whole request is read, or the client might not come to read the answer.
  for await (const chunk of request) void chunk;
  response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers }).end(fault.answer ?? "{}");
  return true;
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return new Refusal(507, "The hub's disk is full");
  // The client went away; nobody hears this.
  if (code === "ECONNRESET" || code === "ERR_STREAM_PREMATURE_CLOSE") return new Refusal(499, "The connection broke");
  return new Refusal(500, `The hub failed: ${error instanceof Error ? error.message : String(error)}`);
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, message, errorCode, headers }: Refusal,
  exchange: Exchange | undefined,
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // Headers hold printable ASCII only.
  const text = message.replaceAll(/[^\x20-\x7e]/g, "?");
  const about = { ...headers, "x-error-message": text, ...(errorCode === undefined ? {} : { "x-error-code": errorCode }) };
  // What is left of a large request is not waited for.
  const ending = request.complete ? {} : { connection: "close" };
  if (exchange === undefined) response.writeHead(400, ending).end();
  else sendJson(exchange, status, { error: message }, { ...about, ...ending });
  drain(request);
}

/** Reads on for a moment: a connection that is closed while the client still sends would take the answer with it. */
function drain(request: IncomingMessage): void {
  if (request.complete) return;
  request.resume();
  const timer = setTimeout(() => request.destroy(), 5000);
  timer.unref();
  request.once("close", () => clearTimeout(timer));
}
