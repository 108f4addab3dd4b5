import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import type { Account } from "../hub/server/index.js";
import { type Command, readCommandLine } from "./command.js";
import { onInterrupt } from "./interrupt.js";

const SERVE_OPTIONS = defineOptions("Options", {
  port: { type: "integer", default: 8090, min: 0, max: 65535, help: "Port to listen on; 0 takes a free one" },
  host: {
    type: "string",
    default: "127.0.0.1",
    help: "Address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 every network it is in (then in plain HTTP: tokens can be read on the way)",
  },
  token: {
    type: "pair",
    default: [],
    help: "A user and a token of theirs, hf_ and more; repeat for more. Other users of this machine can read a command line: see --tokens_file",
  },
  tokens_file: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: 'More users, as JSON: {"alice": "hf_…"}; what nobody else should read belongs here',
  },
  reader: { type: "string", list: true, default: [], help: "Users whose tokens may only read" },
  organization: { type: "string", list: true, default: [], help: "Namespaces that all users share" },
  read_only: { type: "boolean", default: false, help: "Nobody may change anything" },
  max_file_size: { type: "number", default: 50, exclusiveMin: 0, unit: "GB", help: "Largest file that is taken" },
  requests_per_minute: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    help: "Most requests of one user; more are answered with 429",
  },
  quiet: { type: "boolean", default: false, help: "Print refused requests only, not changes" },
});

const WHERE = "preflab hub-serve";

/** Methods that change nothing; there are many of them. */
const READING = new Set(["GET", "HEAD"]);

export const hubServe: Command = {
  name: "hub-serve",
  usage: "preflab hub-serve DIR [--port N] [--token NAME TOKEN]... [--read_only]",
  summary:
    "Serves the folder DIR as a Hub for a classroom without a network. HF_ENDPOINT leads Preflab, and Python's huggingface_hub, to it.",
  tables: [SERVE_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [SERVE_OPTIONS], argv);
    const [dir, ...others] = positionals;
    if (dir === undefined || others.length > 0) {
      throw new ConfigError(
        "hub_serve_dir",
        `${WHERE}: one DIR must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    }
    const options = SERVE_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    const accounts = await accountsOf(options);

    return async () => {
      const { HubServer } = await import("../hub/server/index.js");
      const server = await HubServer.start(dir, {
        port: options.port,
        host: options.host,
        accounts,
        readOnly: options.read_only,
        limits: { largestFile: options.max_file_size * 1e9, requestsPerMinute: options.requests_per_minute ?? Infinity },
        onRequest: ({ time, method, path, user = "-", status, refusal }) => {
          if (refusal === undefined && (options.quiet || READING.has(method))) return;
          console.log(`${time} ${user} ${method} ${printable(path)} ${status}${refusal === undefined ? "" : ` ${printable(refusal)}`}`);
        },
      });
      let end = (): void => undefined;
      const ended = new Promise<void>((resolve) => (end = resolve));
      const interrupt = onInterrupt(() => end(), "Ending once what is being written is written; ctrl-C again ends at once.");
      try {
        announce(dir, reachable(server.url), server.accounts.names);
        await ended;
        // Ending is what a server is interrupted for.
        return 0;
      } finally {
        await server.stop();
        interrupt.release();
      }
    };
  },
};

function announce(dir: string, url: string, users: readonly string[]): void {
  console.log(`Serving ${dir} at ${url} for ${users.length === 0 ? "readers without a token" : users.join(", ")}; ctrl-C ends it`);
  console.log(`Use it with: export HF_ENDPOINT=${url}${users.length === 0 ? "" : " HF_TOKEN=…"}`);
}

/** An address that others can use: one that listens on all networks has none of its own. */
function reachable(url: string): string {
  const { hostname, port } = new URL(url);
  if (hostname !== "0.0.0.0" && hostname !== "[::]") return url;
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outside = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  return `http://${outside?.address ?? "127.0.0.1"}:${port}`;
}

/** What clients send could move a terminal's cursor. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}

interface AccountOptions {
  readonly token: readonly (readonly [string, string])[];
  readonly tokens_file: string | null;
  readonly reader: readonly string[];
  readonly organization: readonly string[];
}

async function accountsOf({ token, tokens_file, reader, organization }: AccountOptions): Promise<Account[]> {
  const pairs = [...token, ...(tokens_file === null ? [] : await readTokens(tokens_file))];
  const names = pairs.map(([name]) => name);
  const stranger = reader.find((name) => !names.includes(name));
  if (stranger !== undefined) throw new ConfigError("hub_account", `${WHERE}: --reader must name users that have a token, got ${stranger}`);
  return pairs.map(([name, value]) => ({
    name,
    token: value,
    role: reader.includes(name) ? "read" : "write",
    organizations: organization,
  }));
}

async function readTokens(path: string): Promise<[string, string][]> {
  // What is wrong is told without the content.
  const malformed = (got: string): ConfigError =>
    new ConfigError("hub_account", `${WHERE}: --tokens_file ${path} must be a JSON object of users and their tokens, got ${got}`);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw malformed(code === undefined ? "something else" : code);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("something else");
  return Object.entries(value).map(([name, token]) => {
    if (typeof token !== "string") throw malformed(`something else for ${name}`);
    return [name, token];
  });
}
