/** OpenAI's chat completions and list of models, so that any chat client can talk to the app's models. */
import { nowMs } from "../../hub/server/clock.js";
import type { Message } from "../../data/index.js";
import { type ChatEngine, type ChatSettings, readMessages, type ReplyEnd, type Responder, withSystem } from "../chat.js";
import type { Endpoint, Outputs } from "../endpoint.js";
import { Refusal } from "../../hub/server/refusal.js";
import type { Calls } from "./calls.js";
import { EventStream } from "./eventStream.js";
import { asRefusal, type Exchange, readJson, sendJson } from "./exchange.js";

interface Completion {
  readonly responder: Responder;
  readonly messages: readonly Message[];
  readonly settings: ChatSettings;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** Fields that change nothing at these values; at others they would have to do what is not done here. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  n: [1],
  frequency_penalty: [0],
  presence_penalty: [0],
  logprobs: [false],
  top_logprobs: [0],
  logit_bias: [],
  tools: [],
  tool_choice: ["none", "auto"],
  functions: [],
  response_format: [],
  modalities: [],
};
/** Fields about the caller, not about the answer; and `model`, `messages` and the rest, which are read below. */
const READ = [
  "model",
  "messages",
  "stream",
  "stream_options",
  "temperature",
  "top_p",
  "max_tokens",
  "max_completion_tokens",
  "repetition_penalty",
  "seed",
  "stop",
];
const IRRELEVANT = [
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "parallel_tool_calls",
  "reasoning_effort",
  "verbosity",
];
const MOST_STOPS = 4;
const MOST_TOKENS = 1_000_000;

export function listModels({ responders }: ChatEngine): object {
  return { object: "list", data: responders.map(({ name }) => ({ id: name, object: "model", created: 0, owned_by: "preflab" })) };
}

/** Errors of these addresses, in OpenAI's form. */
export function sendOpenAIError(exchange: Exchange, error: unknown): void {
  const { status, message, headers } = asRefusal(error);
  // Clients of OpenAI know 400 for what a request gets wrong.
  sendJson(exchange, status === 422 ? 400 : status, { error: errorOf(status, message) }, headers);
}

function errorOf(status: number, message: string): object {
  return { message, type: status >= 500 ? "server_error" : "invalid_request_error", param: null, code: null };
}

/** `POST /v1/chat/completions`. @param nextSeed of a request without one, so that asking again gives another answer */
export async function complete(exchange: Exchange, calls: Calls, chat: ChatEngine, nextSeed: () => number): Promise<void> {
  const { responder, messages, settings, stream, includeUsage } = readCompletion(await readJson(exchange), chat, nextSeed);
  let end: ReplyEnd | undefined;
  const endpoint: Endpoint = {
    name: "v1/chat/completions",
    description: "",
    inputs: [],
    outputs: [],
    async *run(_values, { signal }): AsyncGenerator<Outputs> {
      const reply = responder.reply(withSystem(chat.system, messages), settings, signal);
      for (;;) {
        const { done, value } = await reply.next();
        if (done === true) {
          end = value;
          return;
        }
        yield [value];
      }
    },
  };
  const job = calls.start(endpoint, []);
  const about = { id: `chatcmpl-${job.id}`, created: Math.floor(nowMs() / 1000), model: responder.name };
  if (stream) {
    await streamCompletion(exchange, calls, job.id, { ...about, object: "chat.completion.chunk" }, includeUsage, () => end);
    return;
  }
  const { response } = exchange;
  calls.follow(job, () => undefined, new Promise((resolve) => response.once("close", () => resolve())));
  await job.finished;
  if (response.destroyed) return;
  if (job.state.type === "failed") throw job.state.error;
  const message = { role: "assistant", content: textOf(job.outputs), refusal: null };
  const choices = [{ index: 0, message, logprobs: null, finish_reason: end?.finish_reason ?? "stop" }];
  sendJson(exchange, 200, { ...about, object: "chat.completion", choices, ...usageOf(end) });
}

async function streamCompletion(
  exchange: Exchange,
  calls: Calls,
  id: string,
  about: object,
  includeUsage: boolean,
  endOf: () => ReplyEnd | undefined,
): Promise<void> {
  const events = new EventStream(exchange, ": waiting\n\n");
  const chunk = (delta: object, finish_reason: string | null = null): void =>
    events.send({ ...about, choices: [{ index: 0, delta, logprobs: null, finish_reason }] });
  let sent = "";
  const fail = (error: Error): void => {
    const { status, message } = asRefusal(error);
    events.send({ error: errorOf(status, message) });
    events.end();
  };
  chunk({ role: "assistant", content: "" });
  const job = calls.find(id)!;
  calls.follow(
    job,
    (state) => {
      if (state.type === "failed") fail(state.error);
      if (state.type === "output") {
        const text = textOf(state.outputs);
        if (!text.startsWith(sent)) {
          fail(new Error("The function took back a part of its answer, which cannot be streamed; ask without stream"));
          job.stop();
          return;
        }
        if (text !== sent) chunk({ content: text.slice(sent.length) });
        sent = text;
      }
      if (state.type !== "done") return;
      const end = endOf();
      chunk({}, end?.finish_reason ?? "stop");
      if (includeUsage) events.send({ ...about, choices: [], ...usageOf(end) });
      events.sendText("[DONE]");
      events.end();
    },
    events.closed,
  );
  await events.closed;
}

function textOf(outputs: Outputs | null): string {
  const text = outputs?.[0];
  return typeof text === "string" ? text : "";
}

function usageOf(end: ReplyEnd | undefined): object {
  if (end?.usage === undefined) return {};
  const { prompt_tokens, completion_tokens } = end.usage;
  return { usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens } };
}

/** @throws Refusal 400, 404; DataError for messages */
function readCompletion(body: Record<string, unknown>, { responders, defaults }: ChatEngine, nextSeed: () => number): Completion {
  const refuse = (rule: string): Refusal => new Refusal(400, rule);
  for (const [name, value] of Object.entries(body)) {
    if (READ.includes(name) || IRRELEVANT.includes(name) || value === null) continue;
    const neutral = NEUTRAL[name];
    if (neutral === undefined) throw refuse(`Unknown field ${JSON.stringify(name.slice(0, 80))}`);
    const isEmpty = typeof value === "object" && Object.keys(value).length === 0;
    const isText = name === "response_format" && (value as { type?: unknown }).type === "text";
    const isTextOnly = name === "modalities" && JSON.stringify(value) === '["text"]';
    if (!neutral.includes(value) && !isEmpty && !isText && !isTextOnly) throw refuse(`${name} is not supported; leave it out`);
  }
  const { model, stream = false, stream_options, stop } = body;
  const responder = model === undefined || model === null ? responders[0] : responders.find(({ name }) => name === model);
  if (responder === undefined) throw new Refusal(404, `model must be one of ${responders.map(({ name }) => name).join(", ")}, got another`);
  if (typeof stream !== "boolean" && stream !== null) throw refuse("stream must be true or false");
  const number = (name: string, fallback: number, low: number, high: number, whole = false): number => {
    const value = body[name] ?? fallback;
    if (typeof value !== "number" || !(value >= low && value <= high) || (whole && !Number.isInteger(value)))
      throw refuse(`${name} must be a ${whole ? "whole " : ""}number from ${low} to ${high}`);
    return value;
  };
  const stops = stop === undefined || stop === null ? [] : typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(stops) || stops.length > MOST_STOPS || stops.some((each) => typeof each !== "string" || each === ""))
    throw refuse(`stop must be a text or up to ${MOST_STOPS} of them`);
  const messages = readMessages(plainMessages(body["messages"]), "messages");
  if (messages.at(-1)?.role !== "user") throw refuse("messages must end with a message of the user");
  return {
    responder,
    messages,
    stream: stream === true,
    includeUsage: (stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true,
    settings: {
      ...defaults,
      temperature: number("temperature", defaults.temperature, 0, 2),
      top_p: number("top_p", defaults.top_p, 0, 1),
      repetition_penalty: number("repetition_penalty", defaults.repetition_penalty, 0.01, 10),
      max_new_tokens: number(
        "max_completion_tokens",
        number("max_tokens", defaults.max_new_tokens, 1, MOST_TOKENS, true),
        1,
        MOST_TOKENS,
        true,
      ),
      seed: body["seed"] === undefined || body["seed"] === null ? nextSeed() : number("seed", 0, -(2 ** 53), 2 ** 53, true),
      stop: stops as string[],
    },
  };
}

/** A content of parts is joined where all of them are text; others are left for the check to refuse. */
function plainMessages(messages: unknown): unknown {
  if (!Array.isArray(messages)) return messages;
  return messages.map((message: unknown) => {
    const { content } = (message ?? {}) as { content?: unknown };
    if (!Array.isArray(content)) return message;
    const parts = content as ({ type?: unknown; text?: unknown } | null)[];
    if (!parts.every((part) => part?.type === "text" && typeof part.text === "string")) return message;
    return { ...(message as object), content: parts.map((part) => part!.text as string).join("\n") };
  });
}
