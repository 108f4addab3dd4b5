import { join } from "node:path";
import { ConfigReader, readJsonObject, type Qwen2Config } from "./config.js";
import type { JsonObject } from "./pythonJson.js";

/**
 * A checkpoint's `generation_config.json`: what `generate` uses where the caller says nothing.
 * A key the file does not set is undefined here; the values' ranges are checked where they are used, by the sampler.
 */
export interface GenerationConfig {
  readonly do_sample: boolean | undefined;
  readonly temperature: number | undefined;
  readonly top_k: number | undefined;
  readonly top_p: number | undefined;
  readonly min_p: number | undefined;
  readonly typical_p: number | undefined;
  readonly repetition_penalty: number | undefined;
  /** Tokens beyond the prompt. */
  readonly max_new_tokens: number | undefined;
  /** Tokens, prompt included. */
  readonly max_length: number | undefined;
  readonly bos_token_id: number | undefined;
  /** Ids that end a text; may be empty. */
  readonly eos_token_id: readonly number[];
  readonly pad_token_id: number | undefined;
  /** The file as it was read, kept for saving. */
  readonly raw: JsonObject;
}

/** Reads `dir/generation_config.json`. Without the file the token ids come from the model's config, as in transformers.
 *  @throws ModelError `config_json`, `config_value`, `config_unsupported` */
export function readGenerationConfig(dir: string, config: Qwen2Config): GenerationConfig {
  const file = join(dir, "generation_config.json");
  const raw = readJsonObject(file);
  return raw === undefined ? defaultGenerationConfig(config) : parseGenerationConfig(raw, file);
}

/** What transformers derives from a model config alone. */
export function defaultGenerationConfig(config: Qwen2Config): GenerationConfig {
  const raw: JsonObject = {};
  for (const key of ["bos_token_id", "eos_token_id", "pad_token_id"]) {
    const value = config.raw[key];
    if (value !== undefined && value !== null) raw[key] = value;
  }
  return parseGenerationConfig(raw, "generation_config");
}

/** Checks the content of a `generation_config.json`. @param where first part of every message, normally the file's path
 *  @throws ModelError `config_value`, `config_unsupported` */
export function parseGenerationConfig(raw: JsonObject, where: string): GenerationConfig {
  const read = new ConfigReader(raw, where);
  if (raw.num_beams !== undefined && raw.num_beams !== null && raw.num_beams !== 1) {
    throw read.unsupported("num_beams", "1", "remove the key");
  }
  const doSample = raw.do_sample;
  if (doSample !== undefined && doSample !== null && typeof doSample !== "boolean") throw read.broken("do_sample", "true or false");
  const number = (key: string): number | undefined => {
    const value = raw[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) throw read.broken(key, "a number");
    return value;
  };
  return {
    do_sample: doSample ?? undefined,
    temperature: number("temperature"),
    top_k: number("top_k"),
    top_p: number("top_p"),
    min_p: number("min_p"),
    typical_p: number("typical_p"),
    repetition_penalty: number("repetition_penalty"),
    max_new_tokens: number("max_new_tokens"),
    max_length: number("max_length"),
    bos_token_id: read.tokenId("bos_token_id"),
    eos_token_id: read.tokenIds("eos_token_id"),
    pad_token_id: read.tokenId("pad_token_id"),
    raw,
  };
}
