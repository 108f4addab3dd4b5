/** What went wrong between here and the Hub, in words that say what to do. Codes are stable. */
import { HubError } from "../errors.js";
import type { HubSettings } from "./environment.js";
import { type RepositoryAddress, repositoryUrl } from "./address.js";

/** What a request is about, for messages. */
export interface RequestContext {
  readonly settings: HubSettings;
  readonly repository: RepositoryAddress;
  readonly revision?: string;
}

/** What of a refused answer tells why. */
export interface Refusal {
  readonly status: number;
  /** The Hub's X-Error-Code: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo, … */
  readonly errorCode: string | undefined;
  readonly message: string;
}

/** A text from elsewhere without the token of the call, and without what looks like another. */
export function hideTokens(text: string, { token }: HubSettings): string {
  const known = token === undefined ? text : text.replaceAll(token.value, "hf_…");
  return known.replaceAll(/\bhf_[A-Za-z0-9]{16,}/g, "hf_…");
}

/** Reads why the Hub refused; empties the body. A server that repeats the token does not get it into a message. */
export async function readRefusal(response: Response, settings: HubSettings): Promise<Refusal> {
  const text = await response.text().catch(() => "");
  const header = response.headers.get("x-error-message");
  return {
    status: response.status,
    errorCode: response.headers.get("x-error-code") ?? undefined,
    message: hideTokens(header ?? errorField(text) ?? response.statusText, settings).slice(0, 300),
  };
}

function errorField(text: string): string | undefined {
  try {
    const { error, message } = JSON.parse(text) as { error?: unknown; message?: unknown };
    return [error, message].find((each) => typeof each === "string") as string | undefined;
  } catch {
    return undefined;
  }
}

const LOG_IN = "set HF_TOKEN to a token from https://huggingface.co/settings/tokens, or run hf auth login";

/**
 * The error for a refused request.
 * @param hint a nearest known name, from `suggestRepository` or of a file
 */
export function refusalError(
  { settings, repository, revision }: RequestContext,
  { status, errorCode, message }: Refusal,
  hint?: string,
): HubError {
  const where = `Hub ${repository.name}`;
  const { token } = settings;
  const got = `got ${status}${message === "" ? "" : ` (${message})`}`;
  const near = hint === undefined ? "" : `; did you mean ${hint}?`;
  if (errorCode === "GatedRepo") {
    const step = token === undefined ? `then ${LOG_IN}` : `with the account of the token from ${token.source}`;
    return new HubError(
      "hub_gated",
      `${where}: its licence must be accepted first, ${got}; open ${repositoryUrl(settings, repository)}, accept it, ${step}`,
    );
  }
  if (status === 401 && token !== undefined && errorCode !== "RepoNotFound") {
    return new HubError(
      "hub_login",
      `${where}: the token from ${token.source} must be valid, ${got}; make a new one at https://huggingface.co/settings/tokens, or pass { token: false } for what is public`,
    );
  }
  // The Hub answers 401, not 404, to strangers who ask for what does not exist, so as not to tell what is private.
  if (status === 401 || errorCode === "RepoNotFound") {
    const open =
      token === undefined
        ? `if it is private, ${LOG_IN}`
        : `if it is private, use a token of an account that may read it (used: ${token.source})`;
    return new HubError(
      "hub_repository",
      `${where}: must exist at ${settings.endpoint} and be open to you, ${got}${near}; check the name (there is no local path of that name either); ${open}`,
    );
  }
  if (status === 403) {
    const allowed = token === undefined ? LOG_IN : `give the token from ${token.source} the role "write", or use a namespace of yours`;
    return new HubError("hub_forbidden", `${where}: the request must be allowed, ${got}; ${allowed}`);
  }
  if (errorCode === "RevisionNotFound") {
    return new HubError(
      "hub_revision",
      `${where}: the revision must exist, got "${revision ?? ""}"${near}; the branches and tags are at ${repositoryUrl(settings, repository)}/tree/main`,
    );
  }
  if (status === 404) {
    return new HubError("hub_not_found", `${where}: what is asked for must exist, ${got}${near}; check the name and the revision`);
  }
  if (status === 409 || status === 412)
    return new HubError("hub_conflict", `${where}: nobody else may change it meanwhile, ${got}; try again`);
  if (status === 429)
    return new HubError(
      "hub_rate_limit",
      `${where}: requests must be fewer, ${got}; wait some minutes${token === undefined ? `, or log in for a higher limit: ${LOG_IN}` : ""}`,
    );
  if (status === 413)
    return new HubError(
      "hub_too_large",
      `${where}: the files must be within the Hub's limits, ${got}; leave large ones out, or save in smaller shards (max_shard_size)`,
    );
  if (status >= 500)
    return new HubError(
      "hub_server",
      `${where}: ${settings.endpoint} must answer, ${got} again and again; try later (https://status.huggingface.co)`,
    );
  return new HubError("hub_request", `${where}: the request must be accepted, ${got}`);
}

/** The system's code of a failed connection (`ENOTFOUND`), wherever fetch has hidden it. */
export function connectionCode(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
    if (at instanceof AggregateError && at.errors.length > 0) return connectionCode(at.errors[0]);
  }
  return undefined;
}

/** The error for a request that got no answer. */
export function connectionError({ settings, repository }: RequestContext, cause: unknown): HubError {
  const reason = hideTokens(connectionCode(cause) ?? (cause instanceof Error ? cause.message : String(cause)), settings);
  const { HTTPS_PROXY, https_proxy } = process.env;
  const proxied = (HTTPS_PROXY ?? https_proxy) !== undefined && process.env["NODE_USE_ENV_PROXY"] === undefined;
  const proxy = proxied ? "; HTTPS_PROXY is set, but Node follows it only with NODE_USE_ENV_PROXY=1 (Node 24 or newer)" : "";
  return new HubError(
    "hub_unreachable",
    `Hub ${repository.name}: ${settings.endpoint} must be reachable, got ${reason}; check the network${proxy}, set HF_ENDPOINT for a mirror, or pass a local path (there is none of that name)`,
    { cause },
  );
}

/** The error for a file system that refuses, or `cause` itself when it is something else. @param bytes what was to be written */
export function diskError(where: string, path: string, cause: unknown, bytes?: number): unknown {
  const { code, syscall, message } = cause as NodeJS.ErrnoException;
  if (syscall === undefined) return cause;
  if (code === "ENOSPC" || code === "EDQUOT") return diskFullError(where, path, bytes, undefined, cause);
  return new HubError(
    "hub_cache",
    `${where}: the folder must be writable, got ${message}; free it, or choose another with HF_HUB_CACHE or cache_dir`,
    { cause },
  );
}

/** @param needed and @param free in bytes */
export function diskFullError(where: string, path: string, needed?: number, free?: number, cause?: unknown): HubError {
  const need = needed === undefined ? "more room" : formatBytes(needed);
  const have = free === undefined ? "none left" : `${formatBytes(free)} free`;
  return new HubError(
    "hub_disk_full",
    `${where}: the disk of ${path} must have room for ${need}, got ${have}; free some, or choose another disk with HF_HUB_CACHE or cache_dir`,
    { cause },
  );
}

/** `12.3 MB`, decimal units. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]!}`;
}
