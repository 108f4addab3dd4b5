/** How each weight of a model is held in the engine. */
import { type Engine, type FileTensor, type InputSpec, type TensorFormat, hasExactInt8, storedParts } from "../compile/index.js";
import { ConfigError } from "../errors.js";
import { GATHERED } from "./baseWeight.js";
import type { BitsAndBytesConfig } from "./bitsAndBytesConfig.js";
import type { Qwen2Config } from "./config.js";
import { headName } from "./head.js";
import { PROJECTIONS, parameterShapes } from "./shapes.js";

/** Formats by weight; a weight without one is float32. */
export type WeightFormats = Map<string, TensorFormat>;

/**
 * The projections of the layers in NF4 or 8 bits, as bitsandbytes does it. Embedding and head stay what they are, and so take 16 bits where the
 * checkpoint has 16: nothing trains them, and widening them would double the largest tensor of a small model.
 * @throws ConfigError `quantization_nothing`, `skip_module_unknown`
 */
export function weightFormats(
  config: Qwen2Config,
  tensors: ReadonlyMap<string, Pick<FileTensor, "dtype">>,
  quantization: BitsAndBytesConfig,
): WeightFormats {
  const format = projectionFormat(quantization);
  const skipped = new SkippedModules(quantization.llm_int8_skip_modules ?? []);
  const formats: WeightFormats = new Map();
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    for (const projection of Object.values(PROJECTIONS)) {
      const path = `model.layers.${layer}.${projection}`;
      if (!skipped.has(path)) formats.set(`${path}.weight`, format);
    }
  }
  skipped.requireUsed();
  for (const name of new Set(["model.embed_tokens.weight", headName(config)])) {
    if (tensors.get(name)?.dtype !== "F32") formats.set(name, { kind: "float16" });
  }
  return formats;
}

/** Number formats that a model can be loaded in, by transformers.js's names. */
export const MODEL_DTYPES = ["fp32", "q8", "q4"] as const;
export type ModelDtype = (typeof MODEL_DTYPES)[number];

/** @throws ConfigError `dtype`, `two_quantizations` */
export function requireDtype(where: string, dtype: ModelDtype, isQuantised: boolean): void {
  if (!MODEL_DTYPES.includes(dtype))
    throw new ConfigError(
      "dtype",
      `${where}: dtype must be one of ${MODEL_DTYPES.join(", ")}, got ${JSON.stringify(dtype)}; leave it out for fp32, in which models are trained`,
    );
  if (dtype !== "fp32" && isQuantised)
    throw new ConfigError(
      "two_quantizations",
      `${where}: a model is quantised once, got dtype "${dtype}" and quantization_config; leave out one, dtype for training`,
    );
}

/** All matrices in blocks, embedding and head included, as llama.cpp's Q8_0 and Q4_0 have them: of Q4_0 these two are of 8 bits. */
export function blockFormats(config: Qwen2Config, dtype: "q8" | "q4"): WeightFormats {
  const formats: WeightFormats = new Map();
  for (const [name, shape] of parameterShapes(config)) {
    if (shape.length !== 2) continue;
    const isTable = name === "model.embed_tokens.weight" || name === headName(config);
    formats.set(name, { kind: "blocks", bits: dtype === "q8" || isTable ? 8 : 4 });
  }
  return formats;
}

function projectionFormat(quantization: BitsAndBytesConfig): TensorFormat {
  if (quantization.load_in_4bit) return { kind: "nf4", doubleQuant: quantization.bnb_4bit_use_double_quant };
  if (quantization.load_in_8bit)
    return { kind: "int8", threshold: quantization.llm_int8_threshold, backward: quantization.llm_int8_backward };
  throw new ConfigError(
    "quantization_nothing",
    "BitsAndBytesConfig: load_in_4bit or load_in_8bit must be true to quantise a model, got false; set one, or leave out quantization_config",
  );
}

/** Keeps 8-bit codes as uint8 where products with int8 are wrong. @param where names the model in the warning */
export async function chooseCodes(engine: Engine, formats: WeightFormats, where: string): Promise<void> {
  const coded = [...formats].flatMap(([name, format]) => (format.kind === "int8" ? [[name, format] as const] : []));
  if (coded.length === 0 || (await hasExactInt8(engine))) return;
  console.warn(
    `${where}: this processor cannot add products of uint8 and int8 up exactly (it lacks VNNI), so load_in_8bit multiplies uint8 by uint8, exact and slower`,
  );
  for (const [name, format] of coded) formats.set(name, { ...format, unsigned: true });
}

/** Patterns that name modules by path, by the end of it or by its beginning, whole parts at a time. */
class SkippedModules {
  readonly #unused: Set<string>;

  constructor(readonly patterns: readonly string[]) {
    // transformers' own default: the head is not among what is quantised.
    this.#unused = new Set(patterns.filter((pattern) => pattern !== "lm_head"));
  }

  has(path: string): boolean {
    const matching = this.patterns.filter((pattern) => `.${path}`.endsWith(`.${pattern}`) || path.startsWith(`${pattern}.`));
    matching.forEach((pattern) => this.#unused.delete(pattern));
    return matching.length > 0;
  }

  requireUsed(): void {
    const [unused] = this.#unused;
    if (unused === undefined) return;
    throw new ConfigError(
      "skip_module_unknown",
      `BitsAndBytesConfig: llm_int8_skip_modules must name modules of the model, got "${unused}"; known: ${Object.keys(PROJECTIONS).join(", ")}, model.layers.0.self_attn, …`,
    );
  }
}

/** What programs do with a weight: the embedding is looked up row by row, and a tied one is the head too. */
export function weightUses(name: string, { tie_word_embeddings }: Qwen2Config): ("product" | "rows")[] {
  if (name !== "model.embed_tokens.weight") return ["product"];
  return tie_word_embeddings ? ["product", "rows"] : ["rows"];
}

/**
 * What a program reads of a weight: its parts as state inputs, by store name. Of a weight in blocks, the product and the looked-up rows
 * are different inputs: one is fixed when the session is opened, the other is not.
 * @param use what the program does with a weight in blocks
 */
export function weightInputs(
  name: string,
  shape: readonly number[],
  format?: TensorFormat,
  use: readonly ("product" | "rows")[] = ["product"],
): Record<string, InputSpec> {
  const specs: Record<string, InputSpec> = {};
  for (const part of storedParts(name, shape, format)) {
    const spec = { shape: part.shape, dtype: part.dtype as InputSpec["dtype"], role: "state" } as const;
    if (format?.kind !== "blocks") specs[part.name] = spec;
    else {
      if (use.includes("product")) specs[part.name] = { ...spec, fixed: true };
      if (use.includes("rows")) specs[`${part.name}${GATHERED}`] = { ...spec, store: part.name };
    }
  }
  return specs;
}
