import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ModelError } from "../errors.js";
import { nestingDepth } from "./jsonStructure.js";
import type { Json, JsonObject } from "./pythonJson.js";

/**
 * A checkpoint's `config.json`: the shape of a Qwen2 model, under Hugging Face's own key names.
 * Both layouts are read: `rope_theta` and `torch_dtype` at the top level (transformers 4, as published), and
 * `rope_parameters` and `dtype` (transformers 5). Whatever would change the numbers and is not implemented is an error, never ignored.
 */
export interface Qwen2Config {
  readonly model_type: "qwen2";
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  /** Divides `num_attention_heads`. */
  readonly num_key_value_heads: number;
  /** Even. `hidden_size / num_attention_heads` unless the file says otherwise. */
  readonly head_dim: number;
  /** Longest sequence the model was made for, in tokens. */
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly tie_word_embeddings: boolean;
  /** Standard deviation of freshly drawn weights. */
  readonly initializer_range: number;
  /** The format the weights are stored in; undefined when the file does not say. They are always computed with in float32. */
  readonly dtype: ConfigDtype | undefined;
  readonly bos_token_id: number | undefined;
  /** Ids that end a text; may be empty. */
  readonly eos_token_id: readonly number[];
  readonly pad_token_id: number | undefined;
  /** The file as it was read: what is not understood here is kept when the model is saved. */
  readonly raw: JsonObject;
}

export type ConfigDtype = "float32" | "float16" | "bfloat16";
const CONFIG_DTYPES: readonly string[] = ["float32", "float16", "bfloat16"];

/** A guard against a damaged file: the deepest published Qwen2 has 80. */
const MOST_LAYERS = 1024;
/** Showing a value in a message is recursive: a hostile file must not end in a stack overflow. */
const DEEPEST_CONFIG = 64;

/** Reads and checks `dir/config.json`.
 *  @throws ModelError `config_missing`, `config_json`, `config_value`, `config_unsupported` */
export function readConfig(dir: string): Qwen2Config {
  const file = join(dir, "config.json");
  const raw = readJsonObject(file);
  if (raw === undefined) {
    throw new ModelError(
      "config_missing",
      `${dir}: a model folder must hold config.json, got none; pass the folder that save_pretrained wrote or the Hub download`,
    );
  }
  return parseConfig(raw, file);
}

/** Checks the content of a `config.json`.
 *  @param where first part of every message, normally the file's path
 *  @throws ModelError `config_value` for a missing or impossible value, `config_unsupported` for a model or feature that is not implemented */
export function parseConfig(raw: JsonObject, where: string): Qwen2Config {
  const read = new ConfigReader(raw, where);
  if (raw.model_type !== "qwen2") {
    throw read.unsupported("model_type", '"qwen2" (Qwen2 and Qwen2.5)', "use a Qwen2 or Qwen2.5 checkpoint");
  }
  const hidden_size = read.count("hidden_size");
  const num_attention_heads = read.count("num_attention_heads");
  const num_key_value_heads = raw.num_key_value_heads === null ? num_attention_heads : read.count("num_key_value_heads");
  const head_dim = raw.head_dim === undefined || raw.head_dim === null ? hidden_size / num_attention_heads : read.count("head_dim");
  if (!Number.isInteger(head_dim)) throw read.broken("hidden_size", `a multiple of num_attention_heads (${num_attention_heads})`);
  if (head_dim % 2 !== 0) {
    throw new ModelError(
      "config_value",
      `${where}: head_dim must be even, because rotary embedding turns pairs, got ${head_dim}; repair the file`,
    );
  }
  if (num_attention_heads % num_key_value_heads !== 0) {
    throw read.broken("num_attention_heads", `a multiple of num_key_value_heads (${num_key_value_heads})`);
  }
  const num_hidden_layers = read.count("num_hidden_layers");
  if (num_hidden_layers > MOST_LAYERS) throw read.broken("num_hidden_layers", `at most ${MOST_LAYERS}`);
  refuseWhatIsNotImplemented(raw, read, num_hidden_layers);
  return {
    model_type: "qwen2",
    vocab_size: read.count("vocab_size"),
    hidden_size,
    intermediate_size: read.count("intermediate_size"),
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
    head_dim,
    // The defaults below are those of transformers' Qwen2Config.
    max_position_embeddings: read.count("max_position_embeddings", 32768),
    rms_norm_eps: read.positive("rms_norm_eps", 1e-6),
    rope_theta: readRopeTheta(raw, read, where),
    tie_word_embeddings: read.boolean("tie_word_embeddings", false),
    initializer_range: read.positive("initializer_range", 0.02),
    dtype: readDtype(raw, read),
    bos_token_id: read.tokenId("bos_token_id"),
    eos_token_id: read.tokenIds("eos_token_id"),
    pad_token_id: read.tokenId("pad_token_id"),
    raw,
  };
}

/** The content of a config file for a model saved with weights in `dtype`; all else stays as it was read. */
export function configJson(config: Qwen2Config, dtype: ConfigDtype): JsonObject {
  // transformers 5 reads both keys and writes "dtype"; transformers 4 knows only the older one.
  const keys = ["dtype", "torch_dtype"].filter((key) => key in config.raw);
  const stored = Object.fromEntries((keys.length === 0 ? ["torch_dtype"] : keys).map((key) => [key, dtype]));
  return { ...config.raw, architectures: ["Qwen2ForCausalLM"], ...stored };
}

/** Reads a JSON file that must hold an object, or undefined when there is no such file. @throws ModelError `file_unreadable`, `config_json` */
export function readJsonObject(file: string): JsonObject | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ModelError(
      "file_unreadable",
      `${file}: the file must be readable, got ${(cause as Error).message}; check its permissions and the disk`,
      { cause },
    );
  }
  if (nestingDepth(text, DEEPEST_CONFIG) > DEEPEST_CONFIG) {
    throw new ModelError(
      "config_json",
      `${file}: the file must nest at most ${DEEPEST_CONFIG} levels deep, got more; repair it or fetch it again`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(
      "config_json",
      `${file}: the file must be JSON, got an error at: ${(cause as Error).message.slice(0, 200)}; repair it or fetch it again`,
      { cause },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ModelError(
      "config_json",
      `${file}: the file must hold a JSON object, got ${showJson(value as Json)}; repair it or fetch it again`,
    );
  }
  return value as JsonObject;
}

/** A value of a JSON file as messages show it. */
export function showJson(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`;
}

function refuseWhatIsNotImplemented(raw: JsonObject, read: ConfigReader, layers: number): void {
  if (raw.hidden_act !== undefined && raw.hidden_act !== "silu") throw read.unsupported("hidden_act", '"silu"');
  if (raw.use_sliding_window !== undefined && raw.use_sliding_window !== false) {
    throw read.unsupported("use_sliding_window", "false", "set it to false if your texts are shorter than sliding_window");
  }
  if (raw.attention_dropout !== undefined && raw.attention_dropout !== 0) throw read.unsupported("attention_dropout", "0");
  if (raw.quantization_config !== undefined && raw.quantization_config !== null) {
    throw read.unsupported("quantization_config", "absent", "use the checkpoint that is not quantised");
  }
  const types = raw.layer_types;
  if (types !== undefined && types !== null) {
    if (!Array.isArray(types) || types.length !== layers) throw read.broken("layer_types", `a list of num_hidden_layers (${layers}) names`);
    if (!types.every((type) => type === "full_attention")) throw read.unsupported("layer_types", '"full_attention" in every layer');
  }
}

function readRopeTheta(raw: JsonObject, read: ConfigReader, where: string): number {
  requireDefaultRope(raw.rope_scaling, "rope_scaling", where);
  const parameters = requireDefaultRope(raw.rope_parameters, "rope_parameters", where);
  const inside = parameters?.rope_theta;
  if (inside === undefined) return read.positive("rope_theta", 10000);
  const theta = new ConfigReader({ "rope_parameters.rope_theta": inside }, where).positive("rope_parameters.rope_theta", 0);
  if (raw.rope_theta !== undefined && raw.rope_theta !== theta) {
    throw read.broken("rope_theta", `equal to rope_parameters.rope_theta (${theta})`);
  }
  return theta;
}

function requireDefaultRope(parameters: Json | undefined, key: string, where: string): JsonObject | undefined {
  if (parameters === undefined || parameters === null) return undefined;
  const read = new ConfigReader({ [key]: parameters }, where);
  if (typeof parameters !== "object" || Array.isArray(parameters)) throw read.broken(key, "an object or null");
  const type = parameters.rope_type ?? parameters.type ?? "default";
  if (type !== "default") {
    throw read.unsupported(key, 'of rope_type "default"', "remove the scaling if your texts fit into max_position_embeddings");
  }
  const partial = parameters.partial_rotary_factor;
  if (partial !== undefined && partial !== null && partial !== 1) throw read.unsupported(key, "without partial_rotary_factor");
  return parameters;
}

function readDtype(raw: JsonObject, read: ConfigReader): ConfigDtype | undefined {
  const key = raw.dtype === undefined || raw.dtype === null ? "torch_dtype" : "dtype";
  const value = raw[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string" || !CONFIG_DTYPES.includes(value)) throw read.unsupported(key, `one of ${CONFIG_DTYPES.join(", ")}`);
  return value as ConfigDtype;
}

/** Typed access to the keys of a JSON file, with one wording for everything that can be wrong. */
export class ConfigReader {
  readonly #raw: JsonObject;
  readonly #where: string;

  constructor(raw: JsonObject, where: string) {
    this.#raw = raw;
    this.#where = where;
  }

  /** An integer of at least 1. Without `fallback` the key must be there. */
  count(key: string, fallback?: number): number {
    const value = this.#raw[key];
    if ((value === undefined || value === null) && fallback !== undefined) return fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw this.broken(key, "an integer >= 1");
    return value as number;
  }

  /** A finite number above 0. */
  positive(key: string, fallback: number): number {
    const value = this.#raw[key];
    if (value === undefined || value === null) return fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) throw this.broken(key, "a number > 0");
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#raw[key];
    if (value === undefined || value === null) return fallback;
    if (typeof value !== "boolean") throw this.broken(key, "true or false");
    return value;
  }

  tokenId(key: string): number | undefined {
    const value = this.#raw[key];
    if (value === undefined || value === null) return undefined;
    if (!isTokenId(value)) throw this.broken(key, "a token id (an integer >= 0) or null");
    return value;
  }

  /** One id or a list of ids, as a list. */
  tokenIds(key: string): number[] {
    const value = this.#raw[key];
    if (value === undefined || value === null) return [];
    const ids = Array.isArray(value) ? value : [value];
    if (!ids.every(isTokenId)) throw this.broken(key, "a token id (an integer >= 0), a list of them, or null");
    return [...ids];
  }

  broken(key: string, rule: string): ModelError {
    return new ModelError(
      "config_value",
      `${this.#where}: ${key} must be ${rule}, got ${showJson(this.#raw[key])}; repair the file or fetch it again`,
    );
  }

  unsupported(key: string, supported: string, advice = "use a checkpoint without it"): ModelError {
    return new ModelError(
      "config_unsupported",
      `${this.#where}: ${key} must be ${supported}, got ${showJson(this.#raw[key])}, which is not supported; ${advice}`,
    );
  }
}

function isTokenId(value: Json): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
