/** Text generation with transformers' `generate` interface. */
import { ConfigError } from "../errors.js";
import { CausalLM } from "../model/index.js";
import { Random } from "../random.js";
import type { Streamer } from "../text/index.js";
import { type DecodedSequence, Decoder, MAX_LANES } from "./decoder.js";
import { type SamplingInput, type SamplingOptions, chooseToken, resolveSampling } from "./sampling.js";

export interface GenerateOptions extends SamplingInput {
  /** Most tokens beyond the prompt; default 20 when no limit is given anywhere. Takes precedence over `max_length`. */
  max_new_tokens?: number;
  /** Most tokens, prompt included. */
  max_length?: number;
  /** Ids that end the text; default those of generation_config.json; null for none. */
  eos_token_id?: number | readonly number[] | null;
  /** Of the drawing with `do_sample`; default 42. Equal seeds give equal texts. */
  seed?: number;
  /** Continuations of each prompt, 1 by default; more need do_sample. The first one is what the seed gives alone. */
  num_return_sequences?: number;
  /** Gets the prompt and then each token as it comes. */
  streamer?: Streamer;
  /** Ends the text early; what was generated so far is returned. */
  signal?: AbortSignal;
}

const DEFAULT_NEW_TOKENS = 20;

/** Decoders with their compiled programs, kept as long as their model, one for each of its forms. */
const decoders = new WeakMap<CausalLM, Map<string, Decoder>>();

async function decoderOf(model: CausalLM): Promise<Decoder> {
  const engine = await model.load();
  const forms = decoders.get(model) ?? new Map<string, Decoder>();
  decoders.set(model, forms);
  let decoder = forms.get(model.form);
  if (decoder === undefined) forms.set(model.form, (decoder = new Decoder(model, engine)));
  return decoder;
}

/**
 * New tokens one by one; the last may be an end id.
 * @param ids the prompt, at least one id
 * @throws ConfigError for impossible options
 */
export async function* generateTokens(model: CausalLM, ids: readonly number[], options: GenerateOptions = {}): AsyncGenerator<number> {
  const { seed = 42, signal, sampling, limit, ends } = settings(model, ids, options);
  if (limit === 0) return;
  const decoder = await decoderOf(model);
  const random = new Random(seed).fork("generate");
  const all = [...ids];
  const sequence = await decoder.start(ids, ids.length + limit);
  try {
    for (let made = 0; made < limit && signal?.aborted !== true; made++) {
      const id = chooseToken(sequence.logits, all, sampling, random);
      all.push(id);
      yield id;
      if (ends.has(id) || made + 1 === limit) return;
      await decoder.push([sequence], [id]);
    }
  } finally {
    await sequence.dispose();
  }
}

/** A sequence of a batch. */
interface Member {
  readonly all: number[];
  readonly random: Random;
  readonly limit: number;
  sequence?: DecodedSequence;
}

/** Continues up to 8 prompts at once, one run a token for all. A prompt is read alone: alone it keeps all cores busy. */
async function generateBatch(decoder: Decoder, members: readonly Member[], options: BatchOptions): Promise<void> {
  const { sampling, ends, signal } = options;
  // A power of two: each number of lanes is a program of its own.
  const lanes = 2 ** Math.ceil(Math.log2(members.length));
  try {
    for (const member of members) member.sequence = await decoder.start(member.all, member.all.length + member.limit);
    let active = members.map((member) => ({ member, left: member.limit }));
    while (active.length > 0 && signal?.aborted !== true) {
      const ids = active.map(({ member }) => chooseToken(member.sequence!.logits, member.all, sampling, member.random));
      active.forEach((one, i) => {
        one.member.all.push(ids[i]!);
        one.left--;
      });
      const going = active.map(({ left }, i) => left > 0 && !ends.has(ids[i]!));
      active = active.filter((_, i) => going[i]);
      const next = ids.filter((_, i) => going[i]);
      const sequences = active.map(({ member }) => member.sequence!);
      if (active.length > 0) await decoder.push(sequences, next, lanes);
    }
  } finally {
    for (const { sequence } of members) await sequence?.dispose();
  }
}

interface BatchOptions {
  readonly sampling: SamplingOptions;
  readonly ends: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
}

/** Prompts, each `num_return_sequences` times, in the order in which transformers returns them. */
async function generateAll(model: CausalLM, prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<number[][]> {
  const { num_return_sequences: copies = 1, seed = 42 } = options;
  const first = prompts[0] === undefined ? undefined : settings(model, prompts[0], options);
  if (first === undefined) return [];
  const members = prompts.flatMap((ids): Member[] => {
    const { limit } = settings(model, ids, options);
    return Array.from({ length: copies }, (_, i) => ({
      all: [...ids],
      random: new Random(seed).fork(i === 0 ? "generate" : `generate.${i}`),
      limit,
    }));
  });
  const decoder = await decoderOf(model);
  for (let start = 0; start < members.length; start += MAX_LANES)
    await generateBatch(decoder, members.slice(start, start + MAX_LANES), first);
  return members.map(({ all }) => all);
}

function settings(model: CausalLM, ids: readonly number[], options: GenerateOptions) {
  const {
    max_new_tokens,
    max_length,
    eos_token_id,
    seed,
    streamer: _streamer,
    signal,
    num_return_sequences: copies = 1,
    ...given
  } = options;
  const config = model.generation_config;
  if (ids.length === 0)
    throw new ConfigError(
      "empty_prompt",
      "generate: the prompt must have at least one token, got none; use a chat template or a start token",
    );
  const outside = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= model.config.vocab_size);
  if (outside !== undefined)
    throw new ConfigError(
      "vocabulary",
      `generate: prompt ids must be below vocab_size ${model.config.vocab_size}, got ${outside}; the tokenizer belongs to another model`,
    );
  for (const [name, value] of Object.entries({ max_new_tokens, max_length })) {
    if (value !== undefined && (!Number.isInteger(value) || value < 1))
      throw new ConfigError("option_range", `generate: ${name} must be an integer >= 1, got ${value}`);
  }
  const names = ["do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty"] as const;
  const fromConfig = Object.fromEntries(names.filter((name) => config[name] !== undefined).map((name) => [name, config[name]]));
  const sampling = resolveSampling({ ...fromConfig, ...definedOnly(given) });
  const newTokens = max_new_tokens ?? (max_length === undefined ? config.max_new_tokens : undefined);
  const total = max_length ?? config.max_length;
  const limit = newTokens ?? (total === undefined ? DEFAULT_NEW_TOKENS : total - ids.length);
  if (limit < 1)
    throw new ConfigError(
      "option_range",
      `generate: max_length must be above the prompt's ${ids.length} tokens, got ${total}; raise it or use max_new_tokens`,
    );
  const room = model.config.max_position_embeddings;
  if (ids.length + limit > room) {
    throw new ConfigError(
      "too_long",
      `generate: prompt and new tokens must fit max_position_embeddings ${room}, got ${ids.length} + ${limit}; shorten the prompt or lower max_new_tokens`,
    );
  }
  if (!Number.isInteger(copies) || copies < 1)
    throw new ConfigError("option_range", `generate: num_return_sequences must be an integer >= 1, got ${copies}`);
  if (copies > 1 && !sampling.do_sample)
    throw new ConfigError(
      "option_conflict",
      `generate: num_return_sequences must be 1 without do_sample, got ${copies}, which would be ${copies} times the same text; set do_sample`,
    );
  const eos = eos_token_id === undefined ? config.eos_token_id : eos_token_id;
  const ends = new Set(eos === null ? [] : typeof eos === "number" ? [eos] : eos);
  return { seed, signal, sampling, limit, ends };
}

function definedOnly(options: SamplingInput): SamplingInput {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

async function generateOne(model: CausalLM, ids: readonly number[], options: GenerateOptions): Promise<number[]> {
  const { streamer } = options;
  const all = [...ids];
  streamer?.put(ids);
  for await (const id of generateTokens(model, ids, options)) {
    all.push(id);
    streamer?.put([id]);
  }
  streamer?.end();
  return all;
}

declare module "../model/causalLM.js" {
  interface CausalLM {
    /**
     * Continues a prompt; returns prompt and new ids, as transformers does. Of a list of prompts 8 at a time are generated at once, each
     * with the same seed; with a streamer they are generated one after the other.
     * @throws ConfigError for impossible options
     */
    generate(input_ids: readonly number[], options: GenerateOptions & { num_return_sequences: number }): Promise<number[][]>;
    generate(input_ids: readonly number[], options?: GenerateOptions): Promise<number[]>;
    generate(input_ids: readonly (readonly number[])[], options?: GenerateOptions): Promise<number[][]>;
  }
}

// The method belongs to the model for its users and to this folder in the order of the pipeline.
CausalLM.prototype.generate = async function generate(
  this: CausalLM,
  input: readonly number[] | readonly (readonly number[])[],
  options: GenerateOptions = {},
) {
  const isOne = !Array.isArray(input[0]) && options.num_return_sequences === undefined;
  if (isOne) return generateOne(this, input as readonly number[], options);
  const prompts = (Array.isArray(input[0]) ? input : [input]) as readonly (readonly number[])[];
  if (options.streamer === undefined) return generateAll(this, prompts, options);
  if ((options.num_return_sequences ?? 1) > 1)
    throw new ConfigError(
      "option_conflict",
      `generate: a streamer must get one text at a time, got num_return_sequences ${options.num_return_sequences}; leave out one`,
    );
  const results: number[][] = [];
  for (const ids of prompts) results.push(await generateOne(this, ids, options));
  return results;
} as CausalLM["generate"];
