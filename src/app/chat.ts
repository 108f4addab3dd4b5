/** Who answers in a chat: models, or a function. */
import { checkMessages, type Message, type RowOrigin } from "../data/index.js";
import { ConfigError, DataError } from "../errors.js";
import { generateTokens } from "../generate/index.js";
import type { CausalLM } from "../model/index.js";
import { IncrementalDecoder, type PreTrainedTokenizer } from "../text/index.js";

/** How a model answers; the sliders of the page. */
export interface ChatSettings {
  /** 0 takes the likeliest token each time. */
  temperature: number;
  top_p: number;
  max_new_tokens: number;
  repetition_penalty: number;
  /** Equal seeds give equal answers. */
  seed: number;
  /** Texts that end the answer and are not part of it. */
  stop?: readonly string[];
}

export interface ReplyEnd {
  finish_reason: "stop" | "length";
  /** Undefined where a function answers: it knows no tokens. */
  usage?: { prompt_tokens: number; completion_tokens: number };
}

export interface Responder {
  /** Shown above its answers; the model's name for OpenAI's clients. */
  readonly name: string;
  /** Yields the whole answer so far, again and again as it grows. */
  reply(messages: readonly Message[], settings: ChatSettings, signal: AbortSignal): AsyncGenerator<string, ReplyEnd>;
}

export interface ChatEngine {
  readonly responders: readonly Responder[];
  /** What holds where a client says nothing. */
  readonly defaults: ChatSettings;
  /** Before every conversation that has no system message of its own; null for none. */
  readonly system: string | null;
}

/** Turns that a request may carry. */
const MOST_MESSAGES = 1000;

/** Messages as a client sent them. @throws DataError `data_type`, `data_role`, … */
export function readMessages(value: unknown, name: string): Message[] {
  if (Array.isArray(value) && value.length === 0) return [];
  if (Array.isArray(value) && value.length > MOST_MESSAGES)
    throw new DataError("data_type", `${name} must have at most ${MOST_MESSAGES} messages, got ${value.length}; begin a new conversation`);
  return checkMessages(value, name, NO_ROW).map(({ role, content }) => ({ role, content }));
}

/** What a client sends is no row of a file. */
const NO_ROW = {} as RowOrigin;

/** The conversation with the app's system message before it, unless it has one. */
export function withSystem(system: string | null, messages: readonly Message[]): readonly Message[] {
  return system === null || messages[0]?.role === "system" ? messages : [{ role: "system", content: system }, ...messages];
}

/** A model that answers in its chat template's form. */
export function modelResponder(name: string, model: CausalLM, tokenizer: PreTrainedTokenizer): Responder {
  return { name, reply: (messages, settings, signal) => replyOf(model, tokenizer, messages, settings, signal) };
}

async function* replyOf(
  model: CausalLM,
  tokenizer: PreTrainedTokenizer,
  messages: readonly Message[],
  { temperature, top_p, max_new_tokens, repetition_penalty, seed, stop = [] }: ChatSettings,
  signal: AbortSignal,
): AsyncGenerator<string, ReplyEnd> {
  const ids = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
  const room = model.config.max_position_embeddings - ids.length;
  if (room < 1)
    throw new ConfigError(
      "app_too_long",
      `chat: the conversation must be below the model's ${model.config.max_position_embeddings} tokens, got ${ids.length}; begin a new one`,
    );
  const sampling = temperature === 0 ? { do_sample: false } : { do_sample: true, temperature, top_p };
  const decoder = new IncrementalDecoder(tokenizer);
  const ends = new Set(model.generation_config.eos_token_id);
  let [text, count, finish_reason]: [string, number, ReplyEnd["finish_reason"]] = ["", 0, "length"];
  const limit = Math.min(max_new_tokens, room);
  for await (const id of generateTokens(model, ids, { ...sampling, max_new_tokens: limit, repetition_penalty, seed, signal })) {
    count++;
    if (ends.has(id)) finish_reason = "stop";
    text += decoder.push(id);
    const end = firstOf(text, stop);
    if (end >= 0) {
      yield text.slice(0, end);
      return { finish_reason: "stop", usage: { prompt_tokens: ids.length, completion_tokens: count } };
    }
    // A stop text that may still become whole is not shown.
    yield text.slice(0, text.length - heldBack(text, stop));
  }
  yield text + decoder.flush();
  return { finish_reason, usage: { prompt_tokens: ids.length, completion_tokens: count } };
}

/** Where the earliest of the texts begins, or -1. */
function firstOf(text: string, stop: readonly string[]): number {
  const found = stop.map((each) => text.indexOf(each)).filter((at) => at >= 0);
  return found.length === 0 ? -1 : Math.min(...found);
}

/** Characters at the end that may be the beginning of a stop text. */
function heldBack(text: string, stop: readonly string[]): number {
  let longest = 0;
  for (const each of stop)
    for (let length = Math.min(each.length - 1, text.length); length > longest; length--)
      if (text.endsWith(each.slice(0, length))) longest = length;
  return longest;
}

/** Several answers at once, each growing as it comes. */
export async function* sideBySide(replies: readonly AsyncGenerator<string, ReplyEnd>[]): AsyncGenerator<readonly string[]> {
  const texts = replies.map(() => "");
  const pull = async (i: number) => ({ i, result: await replies[i]!.next() });
  const pending = new Map(replies.map((_, i) => [i, pull(i)]));
  try {
    while (pending.size > 0) {
      const { i, result } = await Promise.race(pending.values());
      if (result.done === true) {
        pending.delete(i);
        continue;
      }
      pending.set(i, pull(i));
      if (result.value === texts[i]) continue;
      texts[i] = result.value;
      yield [...texts];
    }
    // Also when every answer is empty there is one.
    yield [...texts];
  } finally {
    // A generator that is busy ends at its next token.
    for (const promise of pending.values()) promise.catch(() => undefined);
    await Promise.allSettled(replies.map((reply) => reply.return({ finish_reason: "stop" })));
  }
}
