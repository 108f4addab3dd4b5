/** Requests to MLflow's REST API (mlflow.org/docs/latest/rest-api.html), version 2.0. */
import { setTimeout as sleep } from "node:timers/promises";
import type { MlflowSettings } from "./mlflowSettings.js";

/** A request that failed, after all tries. */
export class TrackerFailure extends Error {
  /** undefined: no answer at all. */
  readonly status: number | undefined;
  /** MLflow's error_code, e.g. RESOURCE_DOES_NOT_EXIST; empty where there is none. */
  readonly errorCode: string;
  /** Whether the same request may succeed later. */
  readonly passing: boolean;
  /** The server's own words, whole and unchecked: to look into, not to show. */
  readonly detail: string;

  constructor(message: string, status: number | undefined, errorCode: string, passing: boolean, detail: string) {
    super(message);
    this.status = status;
    this.errorCode = errorCode;
    this.passing = passing;
    this.detail = detail;
  }
}

/** How patient a client is. */
export interface Patience {
  /** Tries of one request. */
  readonly tries: number;
  /** Pause after the first failed try; it doubles from try to try. */
  readonly firstPauseMs: number;
  /** Longest time for what is left when training ends. */
  readonly endMs: number;
}

export const PATIENCE: Patience = { tries: 5, firstPauseMs: 500, endMs: 60_000 };

const LONGEST_PAUSE_MS = 30_000;
const LONGEST_MESSAGE = 200;
/** Too many requests, and servers that are busy or starting. */
const PASSING = (status: number): boolean => status === 408 || status === 429 || status >= 500;

export type Json = Record<string, unknown>;

export class MlflowClient {
  readonly #settings: MlflowSettings;
  readonly #patience: Patience;

  constructor(settings: MlflowSettings, patience: Patience) {
    this.#settings = settings;
    this.#patience = patience;
  }

  /** @param path below /api/2.0/mlflow/ @param signal ends the request and its pauses @throws TrackerFailure */
  async get(path: string, query: Record<string, string>, signal: AbortSignal): Promise<Json> {
    return this.#request("GET", `${path}?${new URLSearchParams(query).toString()}`, undefined, signal);
  }

  /** As `get`. */
  async post(path: string, body: Json, signal: AbortSignal): Promise<Json> {
    return this.#request("POST", path, JSON.stringify(body), signal);
  }

  async #request(method: string, path: string, body: string | undefined, signal: AbortSignal): Promise<Json> {
    const { tries, firstPauseMs } = this.#patience;
    for (let tried = 1; ; tried++) {
      const { answer, failure, retryAfterMs } = await this.#tryOnce(method, path, body, signal);
      if (answer !== undefined) return answer;
      if (!failure.passing || tried === tries || signal.aborted) throw failure;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(firstPauseMs * 2 ** (tried - 1), retryAfterMs));
      try {
        await sleep(pauseMs, undefined, { signal });
      } catch {
        throw failure;
      }
    }
  }

  async #tryOnce(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<{ answer: Json; failure?: never; retryAfterMs: number } | { answer?: never; failure: TrackerFailure; retryAfterMs: number }> {
    const { uri, authorization, timeoutMs } = this.#settings;
    const place = path.replace(/\?.*/, "");
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${uri}/api/2.0/mlflow/${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(authorization === undefined ? {} : { authorization }),
        },
        ...(body === undefined ? {} : { body }),
        // A followed redirect would turn POST into GET.
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      text = await response.text();
    } catch (error) {
      const failure = new TrackerFailure(
        this.#clean(`${uri} must answer, got ${connectionReason(error, timeoutMs)}`),
        undefined,
        "",
        true,
        "",
      );
      return { failure, retryAfterMs: 0 };
    }
    const parsed = parseObject(text);
    if (response.ok && parsed !== undefined) return { answer: parsed, retryAfterMs: 0 };
    const { status } = response;
    const errorCode = typeof parsed?.["error_code"] === "string" ? parsed["error_code"] : "";
    const detail = typeof parsed?.["message"] === "string" ? parsed["message"] : "";
    const got = response.ok ? `${status} without JSON` : `${status} ${errorCode}`.trim() + (detail === "" ? "" : `: ${detail}`);
    const message = this.#clean(`${uri} must accept ${place}, got ${got}`);
    return {
      failure: new TrackerFailure(message, status, errorCode, PASSING(status), detail),
      retryAfterMs: 1000 * (Number(response.headers.get("retry-after")) || 0),
    };
  }

  /** One short line without secrets. */
  #clean(text: string): string {
    let clean = text.replace(/\s+/g, " ");
    for (const secret of this.#settings.secrets) clean = clean.replaceAll(secret, "***");
    return clean.length > LONGEST_MESSAGE ? `${clean.slice(0, LONGEST_MESSAGE)}…` : clean;
  }
}

function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

function connectionReason(error: unknown, timeoutMs: number): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at.name === "TimeoutError") return `no answer within ${timeoutMs / 1000} s`;
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
    if (at instanceof AggregateError && at.errors.length > 0) return connectionReason(at.errors[0], timeoutMs);
  }
  return error instanceof Error ? error.message : String(error);
}
