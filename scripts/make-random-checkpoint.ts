/**
 * Makes a randomly initialised Qwen2 / Qwen2.5 checkpoint of a published shape, for measuring speed and memory without a download:
 *
 *     node dist/scripts/make-random-checkpoint.js --shape Qwen2-0.5B --output runs/random-0.5b
 *
 * Weights are normal with standard deviation `initializer_range`, norms are one, biases as small as the weights. One tensor is in memory
 * at a time; equal options give equal bytes.
 */
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { defineOptions, formatHelp, type OptionValues, parseFlags } from "../src/config/index.js";
import { ConfigError, PreflabError } from "../src/errors.js";
import type { NamedTensor } from "../src/model/checkpointWriter.js";
import { saveCheckpoint } from "../src/model/checkpointWriter.js";
import type { Qwen2Config } from "../src/model/config.js";
import { defaultGenerationConfig } from "../src/model/generationConfig.js";
import { countParameters, parameterShapes, publishedConfig, PUBLISHED_SHAPES } from "../src/model/shapes.js";
import { Random } from "../src/random.js";
import { fillNormal } from "./normalNumbers.js";

const OPTIONS = defineOptions("make-random-checkpoint", {
  shape: { type: "string", required: true, help: `The published model whose shape is made: ${PUBLISHED_SHAPES.join(", ")}` },
  output: { type: "string", required: true, placeholder: "DIR", help: "The folder to make" },
  dtype: { type: "string", choices: ["bf16", "f32"], default: "bf16", help: "Format of the weights on disk" },
  seed: { type: "integer", default: 0, help: "Equal seeds give equal files" },
  vocab: { type: "integer", default: null, nullable: true, min: 1, unit: "tokens", help: "Vocabulary size in place of the published one" },
  tokenizer: { type: "string", default: null, nullable: true, placeholder: "DIR", help: "A folder whose tokenizer files are copied" },
});

type RandomCheckpointOptions = OptionValues<typeof OPTIONS.entries>;

/** Files that belong to a tokenizer in Hugging Face's layout. */
const TOKENIZER_FILE =
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^(merges\.txt|chat_template\.(jinja|json))$/;

/** The config of the published shape, with the vocabulary wished for. @throws ModelError `unknown_shape` */
export function randomCheckpointConfig({ shape, vocab }: Pick<RandomCheckpointOptions, "shape" | "vocab">): Qwen2Config {
  const config = publishedConfig(shape);
  if (vocab === null) return config;
  // The published special tokens are the last ones of their vocabulary; a smaller one has its last token in their place.
  const within = (id: number) => Math.min(id, vocab - 1);
  return publishedConfig(shape, {
    vocab_size: vocab,
    bos_token_id: within(config.bos_token_id!),
    eos_token_id: within(config.eos_token_id[0]!),
  });
}

/** Draws and writes the weights. @throws ConfigError `tokenizer_missing` for a folder without a tokenizer */
export async function writeRandomCheckpoint(config: Qwen2Config, options: Omit<RandomCheckpointOptions, "shape" | "vocab">): Promise<void> {
  await saveCheckpoint(options.output, config, defaultGenerationConfig(config), drawTensors(config, options.seed), {
    dtype: options.dtype === "bf16" ? "bfloat16" : "float32",
    alsoWrite: async (folder) => {
      if (options.tokenizer !== null) await copyTokenizer(options.tokenizer, folder);
    },
  });
}

/** Each tensor has a random stream of its own, so its numbers do not depend on the others. */
function* drawTensors(config: Qwen2Config, seed: number): Generator<NamedTensor> {
  const random = new Random(seed);
  for (const [name, shape] of parameterShapes(config)) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    if (name.endsWith("norm.weight")) values.fill(1);
    else fillNormal(values, config.initializer_range, random.fork(name));
    yield [name, shape, values];
  }
}

async function copyTokenizer(source: string, target: string): Promise<void> {
  const names = (await readdir(source)).filter((name) => TOKENIZER_FILE.test(name));
  if (!names.includes("tokenizer.json")) {
    throw new ConfigError(
      "tokenizer_missing",
      `make-random-checkpoint: --tokenizer must hold tokenizer.json, got ${source}; pass the folder of a model`,
    );
  }
  for (const name of names) await copyFile(join(source, name), join(target, name));
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    console.log(formatHelp(OPTIONS));
    return 0;
  }
  const where = "make-random-checkpoint";
  try {
    const { values, positionals } = parseFlags([OPTIONS], argv, { where, prefix: "--" });
    if (positionals.length > 0)
      throw new ConfigError("unknown_argument", `${where}: every value must follow a flag, got ${positionals[0]}`);
    const options = OPTIONS.resolve(values, { where, prefix: "--" });
    const start = performance.now();
    const config = randomCheckpointConfig(options);
    await writeRandomCheckpoint(config, options);
    const seconds = (performance.now() - start) / 1000;
    const parameters = countParameters(config);
    const gigabytes = (parameters * (options.dtype === "bf16" ? 2 : 4)) / 1e9;
    console.log(
      `${options.output}: ${options.shape}, ${parameters.toLocaleString("en")} parameters, ${gigabytes.toFixed(2)} GB, ${seconds.toFixed(1)} s`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof PreflabError)) throw error;
    console.error(error.message);
    return error instanceof ConfigError ? 2 : 1;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
}
