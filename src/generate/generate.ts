/** Text generation with transformers' `generate` interface. */
import { ConfigError } from "../errors.js";
import { CausalLM } from "../model/index.js";
import { Random } from "../random.js";
import type { Streamer } from "../text/index.js";
import { Decoder } from "./decoder.js";
import { type SamplingInput, chooseToken, resolveSampling } from "./sampling.js";

export interface GenerateOptions extends SamplingInput {
  /** Most tokens beyond the prompt; default 20 when no limit is given anywhere. Takes precedence over `max_length`. */
  max_new_tokens?: number;
  /** Most tokens, prompt included. */
  max_length?: number;
  /** Ids that end the text; default those of generation_config.json; null for none. */
  eos_token_id?: number | readonly number[] | null;
  /** Of the drawing with `do_sample`; default 42. Equal seeds give equal texts. */
  seed?: number;
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
      await sequence.push(id);
    }
  } finally {
    await sequence.dispose();
  }
}

function settings(model: CausalLM, ids: readonly number[], options: GenerateOptions) {
  const { max_new_tokens, max_length, eos_token_id, seed, streamer: _streamer, signal, ...given } = options;
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
     * Continues a prompt; returns prompt and new ids, as transformers does. A list of prompts is generated one after the
     * other, each with the same seed.
     * @throws ConfigError for impossible options
     */
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
  if (!Array.isArray(input[0])) return generateOne(this, input as readonly number[], options);
  const results: number[][] = [];
  for (const ids of input as readonly (readonly number[])[]) results.push(await generateOne(this, ids, options));
  return results;
} as CausalLM["generate"];
