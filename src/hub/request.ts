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

/** What @huggingface/hub asks whoever carries out an upload: to tell how much of a file is on its way. */
interface ProgressHint {
  readonly progressCallback: (progress: number) => void;
  /** Of a file that is sent in parts. */
  readonly part?: number;
  readonly numParts?: number;
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
      const refusal = await readRefusal(response, rules.settings);
      // Who is told to come later has not been served, so even a commit may be sent again.
      const final = refusal.status === 429 ? tries === REPEATS || init.body instanceof ReadableStream : last;
      if (!BUSY.has(refusal.status) || final || pauseMs > LONGEST_PAUSE_MS) throw await explain(rules, refusal);
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
  if (uploads) return fetch(input, countBytes(init));
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    return await fetch(input, { ...init, signal: init.signal ? AbortSignal.any([init.signal, silence.signal]) : silence.signal });
  } finally {
    clearTimeout(timer);
  }
}

/** Progress of the parts of a file, by the function that is told about it. */
const partProgress = new WeakMap<ProgressHint["progressCallback"], number[]>();

/** Tells the bytes of an upload as they leave. The size is stated beforehand: file stores insist on it. */
function countBytes(init: RequestInit & { progressHint?: ProgressHint }): RequestInit {
  const { body, progressHint: hint } = init;
  if (!(body instanceof Blob) || hint === undefined || body.size === 0) return init;
  const { progressCallback, part = 0, numParts = 1 } = hint;
  const parts = partProgress.get(progressCallback) ?? new Array<number>(numParts).fill(0);
  partProgress.set(progressCallback, parts);
  let sent = 0;
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      sent += chunk.length;
      parts[part] = sent / body.size;
      progressCallback(parts.reduce((sum, each) => sum + each, 0) / numParts);
      controller.enqueue(chunk);
    },
  });
  const headers = new Headers(init.headers);
  headers.set("content-length", String(body.size));
  return { ...init, headers, body: body.stream().pipeThrough(counted), duplex: "half" } as RequestInit;
}
