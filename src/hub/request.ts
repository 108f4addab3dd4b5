/**
 * The `fetch` that every request to the Hub goes through, also those of @huggingface/hub: it waits and repeats when the Hub is busy,
 * turns refusals into HubErrors, gives up on a silent server, and lets the token go to no other host.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { PreflabError } from "../errors.js";
import { type Refusal, type RequestContext, connectionCode, connectionError, readRefusal, refusalError } from "./failures.js";

/** Tries beyond the first, with pauses of 0.5, 1, 2, 4 s. */
const REPEATS = 4;
const FIRST_PAUSE_MS = 500;
/** A server that asks for a longer pause is not waited for. */
const LONGEST_PAUSE_MS = 60_000;

const BUSY = new Set([408, 429, 500, 502, 503, 504]);
/** Connections that another try will not mend. */
const HOPELESS = new Set([
  "ENOTFOUND",
  "ECONNREFUSED",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);

export interface RequestRules extends RequestContext {
  /** Finds the nearest known name for a refusal; called only when there is one. */
  readonly suggest?: (refusal: Refusal) => Promise<string | undefined>;
}

/** @returns a `fetch` whose answers are always successes. It throws HubError `hub_unreachable`, `hub_login`, `hub_gated`, `hub_repository`,
 *  `hub_revision`, `hub_not_found`, `hub_forbidden`, `hub_conflict`, `hub_rate_limit`, `hub_server`, `hub_request` */
export function hubFetch(rules: RequestRules): typeof fetch {
  return async (input, init = {}) => {
    const request = guardToken(rules, input, init);
    for (let tries = 0; ; tries++) {
      const last = tries === REPEATS || !repeatable(init);
      let response: Response;
      try {
        response = await fetchInTime(input, request, rules.settings.timeoutMs);
      } catch (error) {
        if (init.signal?.aborted === true) throw error;
        const code = connectionCode(error);
        if (last || (code !== undefined && HOPELESS.has(code))) throw connectionError(rules, error);
        await sleep(FIRST_PAUSE_MS * 2 ** tries);
        continue;
      }
      if (response.ok) return response;
      const pauseMs = Math.max(FIRST_PAUSE_MS * 2 ** tries, retryAfterMs(response));
      const refusal = await readRefusal(response);
      if (!BUSY.has(refusal.status) || last || pauseMs > LONGEST_PAUSE_MS) throw await explain(rules, refusal);
      await sleep(pauseMs);
    }
  };
}

/** The error of a refusal, with the nearest known name where one can be found. */
export async function explain(rules: RequestRules, refusal: Refusal): Promise<PreflabError> {
  return refusalError(rules, refusal, await rules.suggest?.(refusal));
}

/** What has changed the Hub may not be sent twice, and a stream cannot be. */
function repeatable({ method = "GET", body }: RequestInit): boolean {
  if (body instanceof ReadableStream) return false;
  return method !== "POST" || !isCommit(body);
}

/** The commit itself is the one request that must not run twice by accident. Its body is lines of JSON, the header first. */
function isCommit(body: RequestInit["body"]): boolean {
  return typeof body === "string" && body.startsWith('{"key":"header"');
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get("retry-after") ?? "0");
  return Number.isFinite(seconds) ? seconds * 1000 : 0;
}

/** Takes the token out of a request that goes elsewhere (a server could name any host in a link). */
function guardToken({ settings }: RequestContext, input: Parameters<typeof fetch>[0], init: RequestInit): RequestInit {
  const headers = new Headers(init.headers);
  const url = new URL(input instanceof Request ? input.url : input);
  const ours = settings.token !== undefined && headers.get("authorization") === `Bearer ${settings.token.value}`;
  if (ours && url.origin !== new URL(settings.endpoint).origin) headers.delete("authorization");
  return { ...init, headers };
}

/** Gives up when the answer does not begin in time. Uploads begin to be answered only when they are over, so they may take long. */
async function fetchInTime(input: Parameters<typeof fetch>[0], init: RequestInit, timeoutMs: number): Promise<Response> {
  const uploads = init.method === "PUT" || isCommit(init.body);
  if (uploads) return fetch(input, init);
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    return await fetch(input, { ...init, signal: init.signal ? AbortSignal.any([init.signal, silence.signal]) : silence.signal });
  } finally {
    clearTimeout(timer);
  }
}
