/** Which Hub, which cache, which token: the variables and files of Python's huggingface_hub. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { RepositoryOptions } from "../data/repository.js";
import { HubError } from "../errors.js";

/** Settings of one call. */
export interface HubSettings {
  /** Without a slash at the end. Default https://huggingface.co, else HF_ENDPOINT. */
  readonly endpoint: string;
  /** The folder that holds `models--…` and `datasets--…`. */
  readonly cacheDir: string;
  /** Ask nobody. */
  readonly offline: boolean;
  readonly token: HubToken | undefined;
  /** Longest silence of a server, in milliseconds. */
  readonly timeoutMs: number;
}

export interface HubToken {
  /** Secret: never part of a message. */
  readonly value: string;
  /** Where it was found, for messages. */
  readonly source: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const TRUE_VALUES = new Set(["1", "ON", "YES", "TRUE"]);
const DEFAULT_TIMEOUT_S = 30;

/** @throws HubError `hub_token`, `hub_endpoint` */
export function hubSettings(options: RepositoryOptions = {}, environment: Environment = process.env): HubSettings {
  const seconds = Number(environment["HF_HUB_DOWNLOAD_TIMEOUT"]);
  return {
    endpoint: findEndpoint(environment),
    cacheDir: options.cache_dir === undefined ? findCacheDir(environment) : resolve(expandHome(options.cache_dir, environment)),
    offline: options.local_files_only ?? (isTrue(environment["HF_HUB_OFFLINE"]) || isTrue(environment["TRANSFORMERS_OFFLINE"])),
    token: findToken(options.token, environment),
    timeoutMs: (seconds > 0 ? seconds : DEFAULT_TIMEOUT_S) * 1000,
  };
}

function isTrue(value: string | undefined): boolean {
  return TRUE_VALUES.has((value ?? "").toUpperCase());
}

function filled(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? undefined : value.trim();
}

function findEndpoint(environment: Environment): string {
  const text = filled(environment["HF_ENDPOINT"]) ?? "https://huggingface.co";
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new HubError(
      "hub_endpoint",
      `HF_ENDPOINT: must be an http or https address, got "${text.replaceAll(/hf_\S+|\/\/[^/]*@/g, "…")}"; unset it to use https://huggingface.co`,
    );
  }
  const { username, password } = new URL(text);
  if (username !== "" || password !== "") {
    throw new HubError(
      "hub_endpoint",
      "HF_ENDPOINT: must be an address without a name and a password, got one with them (not shown); set HF_TOKEN instead",
    );
  }
  return text.replace(/\/+$/, "");
}

function expandHome(path: string, environment: Environment): string {
  const home = environment["HOME"] ?? environment["USERPROFILE"] ?? homedir();
  return path === "~" || path.startsWith("~/") || path.startsWith("~\\") ? join(home, path.slice(1)) : path;
}

/** HF_HOME, in which the token and the cache lie. */
function findHome(environment: Environment): string {
  const home = environment["HOME"] ?? environment["USERPROFILE"] ?? homedir();
  const path = filled(environment["HF_HOME"]) ?? join(filled(environment["XDG_CACHE_HOME"]) ?? join(home, ".cache"), "huggingface");
  return resolve(expandHome(path, environment));
}

function findCacheDir(environment: Environment): string {
  const path = filled(environment["HF_HUB_CACHE"]) ?? filled(environment["HUGGINGFACE_HUB_CACHE"]);
  return path === undefined ? join(findHome(environment), "hub") : resolve(expandHome(path, environment));
}

/**
 * The token of a call: the given one, else the one of this machine.
 * @param given false for none
 * @throws HubError `hub_token` for text that cannot be one (never shown)
 */
export function findToken(given?: string | false, environment: Environment = process.env): HubToken | undefined {
  if (given === false) return undefined;
  const token = given === undefined ? locateToken(environment) : { value: given.trim(), source: "the option token" };
  return token === undefined ? undefined : checkToken(token);
}

/** HF_TOKEN, HUGGING_FACE_HUB_TOKEN, or the file that `hf auth login` writes; whether the text can be a token is not looked at. */
export function locateToken(environment: Environment = process.env): HubToken | undefined {
  for (const source of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const value = filled(environment[source]);
    if (value !== undefined) return { value, source };
  }
  const path = filled(environment["HF_TOKEN_PATH"]) ?? join(findHome(environment), "token");
  const file = isAbsolute(path) ? path : resolve(expandHome(path, environment));
  try {
    const value = filled(readFileSync(file, "utf8"));
    return value === undefined ? undefined : { value, source: file };
  } catch {
    return undefined;
  }
}

function checkToken(token: HubToken): HubToken {
  // @huggingface/hub refuses others; a token cut in two by a line break would otherwise be refused by the server, less clearly.
  if (/^hf_[\x21-\x7e]+$/.test(token.value)) return token;
  throw new HubError(
    "hub_token",
    `Hub token from ${token.source}: must be one word that starts with hf_, got something else (not shown); copy it again from https://huggingface.co/settings/tokens`,
  );
}
