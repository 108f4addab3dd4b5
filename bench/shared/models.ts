/** Randomly initialised checkpoints that are measured; made when they are absent. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../src/errors.js";
import type { Qwen2Config } from "../../src/model/index.js";
import { publishedConfig, PUBLISHED_SHAPES } from "../../src/model/shapes.js";
import { writeRandomCheckpoint } from "../../scripts/make-random-checkpoint.js";

/** Throw-away shapes, for trying the benchmark itself. */
const SMALL: Readonly<Record<string, Parameters<typeof publishedConfig>[1]>> = {
  tiny: { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 3072 },
  small: {
    hidden_size: 256,
    intermediate_size: 1024,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 20_000,
  },
};

/** The config of a published shape, or of `tiny` and `small`. @throws ConfigError `unknown_shape` */
export function shapeConfig(name: string): Qwen2Config {
  const small = SMALL[name];
  if (small !== undefined) return publishedConfig("Qwen2-0.5B", { ...small, bos_token_id: 0, eos_token_id: 0 });
  if ((PUBLISHED_SHAPES as readonly string[]).includes(name)) return publishedConfig(name);
  throw new ConfigError(
    "unknown_shape",
    `bench: the shape must be one of ${[...Object.keys(SMALL), ...PUBLISHED_SHAPES].join(", ")}, got "${name}"; choose one of them`,
  );
}

/** The folder of the checkpoint `random-SHAPE` in `root`, in bf16. */
export async function checkpointOf(shape: string, root: string): Promise<string> {
  const folder = join(root, `random-${shape}`);
  if (!existsSync(join(folder, "config.json"))) {
    console.error(`making ${folder} …`);
    await writeRandomCheckpoint(shapeConfig(shape), { output: folder, dtype: "bf16", seed: 42, tokenizer: null });
  }
  return folder;
}
