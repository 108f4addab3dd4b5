/** Serves one app over HTTP. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import type { OptionValues } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import { RateLimit } from "../../hub/server/limits.js";
import { Refusal } from "../../hub/server/refusal.js";
import type { App } from "../app.js";
import { frameOf } from "../page/page.js";
import type { LAUNCH_OPTIONS } from "../queueOptions.js";
import { Calls } from "./calls.js";
import { Door } from "./door.js";
import { asRefusal, type Exchange, sendJson } from "./exchange.js";
import { answer, type Site } from "./routes.js";
import { Uploads } from "./uploads.js";

const FIRST_PORT = 7860;
const LAST_PORT = 7959;
/** A request must have arrived in this time. */
const REQUEST_MS = 60_000;
const HEADERS_MS = 15_000;
const MOST_CONNECTIONS = 512;
const FIRST_SEED = 42;

type ServerOptions = OptionValues<typeof LAUNCH_OPTIONS.entries>;
const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

export class AppServer {
  readonly #server: Server;
  readonly #rate: RateLimit;
  readonly #site: Site;
  readonly #running = new Set<Promise<void>>();
  /** Stays known when the server has ended. */
  #address: AddressInfo = { address: "", family: "IPv4", port: 0 };
  #seed = FIRST_SEED;

  private constructor(app: App, options: ServerOptions, host: string) {
    this.#rate = new RateLimit(options.requests_per_minute ?? Infinity);
    const calls = new Calls(app.queue, new Uploads(options.max_file_size * 1e6));
    this.#site = {
      app,
      calls,
      door: new Door(options.auth, host),
      // Cookies do not tell ports apart.
      get cookieName(): string {
        return cookieName();
      },
      appId: randomUUID(),
      nextSeed: () => this.#seed++,
    };
    const cookieName = (): string => `preflab-app-${this.#address.port}`;
    this.#server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: HEADERS_MS }, (request, response) => {
      const own = this.#handle(request, response).finally(() => this.#running.delete(own));
      this.#running.add(own);
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** @throws ConfigError `app_address` when it cannot listen there */
  static async start(app: App, options: ServerOptions): Promise<AppServer> {
    const host = options.share && options.server_name === "127.0.0.1" ? "0.0.0.0" : options.server_name;
    const server = new AppServer(app, options, host);
    const [first, last] = options.server_port === null ? [FIRST_PORT, LAST_PORT] : [options.server_port, options.server_port];
    for (let port = first; ; port++) {
      try {
        await server.#listen(port, host);
        break;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EADDRINUSE" && port < last) continue;
        throw new ConfigError(
          "app_address",
          `launch: ${host}:${port} must be free to listen on, got ${code ?? String(error)}; choose another server_port or server_name`,
          { cause: error },
        );
      }
    }
    if (!options.quiet) console.log(server.#greeting());
    return server;
  }

  #listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        this.#address = this.#server.address() as AddressInfo;
        resolve();
      });
    });
  }

  /** `http://127.0.0.1:7860`, for this machine. */
  get url(): string {
    const { address, port, family } = this.#address;
    if (address === "0.0.0.0" || address === "::") return `http://127.0.0.1:${port}`;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** For other machines; undefined when it listens to this one only. */
  get network_url(): string | undefined {
    const { address, port } = this.#address;
    if (address !== "0.0.0.0" && address !== "::") return undefined;
    const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    const outside = all.find(({ family, internal }) => family === "IPv4" && !internal);
    return outside === undefined ? undefined : `http://${outside.address}:${port}`;
  }

  #greeting(): string {
    const { app, door } = this.#site;
    const lines = [`${app.title} runs at ${this.url}`];
    const network = this.network_url;
    if (network !== undefined)
      lines.push(`In your network: ${network}${door.isOpen ? " (for everybody there; auth asks for a password)" : ""}`);
    return lines.join("\n");
  }

  /** Ends connections and calls, and deletes what was uploaded. */
  async stop(): Promise<void> {
    const { calls } = this.#site;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await calls.stopAll();
    await closed;
    await Promise.all(this.#running);
    await calls.uploads.dispose();
  }

  /** In a notebook: the page in a frame. */
  [displaySymbol](): Record<string, unknown> {
    return { "text/html": frameOf(this.#site.app.title, this.url), "text/plain": this.#greeting() };
  }

  /** Never throws. */
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET" } = request;
    // A client that breaks off is no error of ours.
    for (const stream of [request, response]) stream.on("error", () => undefined);
    const base = this.#baseOf(request);
    let exchange: Exchange = { request, response, method, url: new URL(base), base };
    try {
      exchange = { ...exchange, url: readUrl(request.url ?? "/", base) };
      this.#site.door.checkOrigin(exchange);
      this.#rate.count(request.socket.remoteAddress ?? "");
      await answer(exchange, this.#site);
    } catch (error) {
      refuse(exchange, error);
    }
  }

  /** As the client wrote it, so that links lead back the way it came. */
  #baseOf({ headers: { host } }: IncomingMessage): string {
    const known = host !== undefined && /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i.test(host) && URL.canParse(`http://${host}`);
    return known ? new URL(`http://${host}`).origin : this.url;
  }
}

/** @throws Refusal 400 */
function readUrl(path: string, base: string): URL {
  if (!path.startsWith("/") || !URL.canParse(`${base}${path}`)) throw new Refusal(400, "The address is malformed");
  return new URL(`${base}${path}`);
}

function refuse(exchange: Exchange, error: unknown): void {
  const { request, response } = exchange;
  const { status, message, headers } = asRefusal(error);
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // What is left of a large request is not waited for.
  const ending = request.complete ? {} : { connection: "close" };
  sendJson(exchange, status, { detail: message, error: message }, { ...headers, ...ending });
  if (request.complete) return;
  request.resume();
  const timer = setTimeout(() => request.destroy(), 5000);
  timer.unref();
  request.once("close", () => clearTimeout(timer));
}
