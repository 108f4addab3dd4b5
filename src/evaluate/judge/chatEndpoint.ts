/**
 * A judge behind an OpenAI-style `/chat/completions` endpoint. The key comes from the environment, goes to that endpoint alone, and is
 * in no message, report or file.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Message } from "../../data/messages.js";
import { ConfigError, JudgeError } from "../../errors.js";
import type { JudgeModel } from "./judgeModel.js";

export interface ChatEndpointOptions {
  /** The model's name at the endpoint. */
  readonly model: string;
  /** What stands before `/chat/completions`; default `https://api.openai.com/v1`. */
  readonly base_url?: string;
  /** Environment variable that holds the key. Default OPENAI_API_KEY for the default base_url, else none: no key goes to a host that it
   *  was not meant for. */
  readonly api_key_env?: string | null;
  /** Requests at once; default 4. */
  readonly concurrency?: number;
  /** Tries of one request, default 5, with pauses of 0.5, 1, 2, … s, or as long as the server's Retry-After says. */
  readonly max_tries?: number;
  /** Pause after the first failed try, ms; default 500. */
  readonly first_pause_ms?: number;
  /** For one try; default 60,000. */
  readonly timeout_ms?: number;
  /** Default 0; null leaves it out, for models that refuse it. */
  readonly temperature?: number | null;
  /** Passed on; null (default) leaves it out. Servers promise no equal answers for equal seeds. */
  readonly seed?: number | null;
  /** Default 16, named `max_tokens`; null leaves it out. */
  readonly max_tokens?: number | null;
  /** Further fields of the request's body. */
  readonly extra_body?: Readonly<Record<string, unknown>>;
}

const DEFAULT_URL = "https://api.openai.com/v1";
/** A server that asks for a longer pause is not waited for. */
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_MESSAGE = 300;
const PASSING = (status: number): boolean => status === 408 || status === 409 || status === 429 || status >= 500;

/** @throws ConfigError `option_range`, `base_url`, `api_key` */
export function chatEndpoint(options: ChatEndpointOptions): JudgeModel {
  return new ChatEndpoint(options);
}

class ChatEndpoint implements JudgeModel {
  readonly name: string;
  readonly concurrency: number;
  readonly #url: string;
  readonly #key: string | undefined;
  readonly #options: ChatEndpointOptions;

  constructor(options: ChatEndpointOptions) {
    const { model, base_url = DEFAULT_URL, concurrency = 4, max_tries = 5, timeout_ms = 60_000, first_pause_ms = 500 } = options;
    for (const [name, value] of Object.entries({ concurrency, max_tries, timeout_ms, first_pause_ms })) {
      if (!Number.isInteger(value) || value < 1)
        throw new ConfigError("option_range", `chatEndpoint: ${name} must be an integer >= 1, got ${String(value)}`);
    }
    if (model === "") throw new ConfigError("option_range", "chatEndpoint: model must be a name, got an empty text");
    const url = requireUrl(base_url);
    this.name = `${model} at ${url}`;
    this.concurrency = concurrency;
    this.#url = `${url}/chat/completions`;
    this.#key = readKey(options.api_key_env, url);
    this.#options = options;
  }

  async answer(messages: readonly Message[], signal?: AbortSignal): Promise<string> {
    const { max_tries = 5, first_pause_ms = 500 } = this.#options;
    for (let tried = 1; ; tried++) {
      const { answer, failure } = await this.#tryOnce(messages, signal);
      if (answer !== undefined) return answer;
      signal?.throwIfAborted();
      const pauseMs = Math.max(first_pause_ms * 2 ** (tried - 1), failure.retryAfterMs);
      if (!failure.passing || tried === max_tries || pauseMs > LONGEST_PAUSE_MS) {
        const after = tried === 1 ? "" : ` after ${tried} tries`;
        throw new JudgeError(
          failure.code,
          this.#clean(`judge ${this.name}: ${failure.rule}, got ${failure.got}${after}; ${failure.advice}`),
        );
      }
      await sleep(pauseMs, undefined, { signal });
    }
  }

  async #tryOnce(
    messages: readonly Message[],
    signal: AbortSignal | undefined,
  ): Promise<{ answer: string; failure?: never } | { answer?: never; failure: Failure }> {
    const { timeout_ms = 60_000 } = this.#options;
    const timeout = AbortSignal.timeout(timeout_ms);
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json", ...(this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` }) },
        body: JSON.stringify(this.#body(messages)),
        // A followed redirect could carry the key elsewhere.
        redirect: "manual",
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      text = await response.text();
    } catch (error) {
      const got = timeout.aborted ? `no answer within ${timeout_ms / 1000} s` : reasonOf(error);
      return {
        failure: {
          code: "judge_unreachable",
          rule: "it must answer",
          got,
          advice: "check base_url and the network",
          passing: true,
          retryAfterMs: 0,
        },
      };
    }
    if (!response.ok) return { failure: refusal(response, text) };
    const answer = contentOf(text);
    if (answer !== undefined) return { answer };
    const got = text.trim() === "" ? "an empty body" : text.slice(0, 120);
    return {
      failure: {
        code: "judge_malformed",
        rule: "its answer must be JSON with choices[0].message.content",
        got,
        advice: "check that base_url ends before /chat/completions",
        passing: true,
        retryAfterMs: 0,
      },
    };
  }

  #body(messages: readonly Message[]): Record<string, unknown> {
    const { model, temperature = 0, seed = null, max_tokens = 16, extra_body = {} } = this.#options;
    const optional = Object.entries({ temperature, seed, max_tokens }).filter(([, value]) => value !== null);
    return { model, messages, ...Object.fromEntries(optional), ...extra_body };
  }

  /** One short line without the key, whatever a server may have sent back. */
  #clean(text: string): string {
    const safe = (this.#key === undefined ? text : text.replaceAll(this.#key, "***")).replace(/\s+/g, " ");
    return safe.length > LONGEST_MESSAGE ? `${safe.slice(0, LONGEST_MESSAGE)}…` : safe;
  }
}

interface Failure {
  readonly code: string;
  readonly rule: string;
  readonly got: string;
  readonly advice: string;
  /** Whether the same request may succeed later. */
  readonly passing: boolean;
  readonly retryAfterMs: number;
}

function refusal(response: Response, text: string): Failure {
  const { status } = response;
  const detail = messageOf(text);
  const got = `${status}${detail === "" ? "" : `: ${detail}`}`;
  const [code, advice] =
    status === 401 || status === 403
      ? ["judge_login", "set the environment variable that api_key_env names to a valid key"]
      : status === 429
        ? ["judge_rate_limit", "wait, or lower concurrency"]
        : status >= 500
          ? ["judge_server", "try again later"]
          : ["judge_request", "check base_url, model and extra_body"];
  return { code, rule: "it must accept the request", got, advice, passing: PASSING(status), retryAfterMs: retryAfterMs(response.headers) };
}

/** Seconds, or a date; the server's own clock tells how far off that is. */
function retryAfterMs(headers: Headers): number {
  const given = headers.get("retry-after");
  if (given === null) return 0;
  const seconds = Number(given);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const pause = Date.parse(given) - Date.parse(headers.get("date") ?? "");
  return Number.isFinite(pause) ? Math.max(0, pause) : 0;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function contentOf(text: string): string | undefined {
  const content = (parsed(text) as { choices?: { message?: { content?: unknown } }[] } | undefined)?.choices?.[0]?.message?.content;
  return typeof content === "string" ? content : undefined;
}

/** OpenAI's `{"error": {"message": …}}`. */
function messageOf(text: string): string {
  const message = (parsed(text) as { error?: { message?: unknown } } | undefined)?.error?.message;
  return typeof message === "string" ? message.slice(0, 160) : "";
}

function reasonOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
    if (at instanceof AggregateError && at.errors.length > 0) return reasonOf(at.errors[0]);
  }
  return error instanceof Error ? error.message : String(error);
}

function requireUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const fine =
    url !== undefined && ["http:", "https:"].includes(url.protocol) && url.username === "" && url.password === "" && url.search === "";
  // The address is shown in reports, so it must hold no secret; and one that is refused is not shown.
  if (!fine)
    throw new ConfigError(
      "base_url",
      "chatEndpoint: base_url must be an http or https address without login and query, got another; write for example http://127.0.0.1:8000/v1",
    );
  return given.replace(/\/+$/, "");
}

function readKey(name: string | null | undefined, url: string): string | undefined {
  if (name === null) return undefined;
  const wanted = name ?? (url === DEFAULT_URL ? "OPENAI_API_KEY" : undefined);
  if (wanted === undefined) return undefined;
  const key = process.env[wanted]?.trim();
  if (key !== undefined && key !== "") return key;
  throw new ConfigError(
    "api_key",
    `chatEndpoint: the environment variable ${wanted} must hold the key for ${url}, got nothing; set it, or pass api_key_env: null for a server without one`,
  );
}
