/** A model of the tiny shape with random weights, and its tokenizer: enough for every code path, nothing to wait for. */
import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parameterShapes, Random, readConfig, saveCheckpoint, type NamedTensor } from "../../src/index.js";
import { readGenerationConfig } from "../../src/model/generationConfig.js";

const TINY = resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat");

/** @returns its folder, in a new temporary one */
export async function randomModel(): Promise<string> {
  const folder = join(mkdtempSync(join(tmpdir(), "preflab-assignment-")), "model");
  const config = readConfig(TINY);
  const random = new Random(1);
  async function* weights(): AsyncGenerator<NamedTensor> {
    for (const [name, shape] of parameterShapes(config)) {
      const size = shape.reduce((product, length) => product * length, 1);
      yield [name, shape, Float32Array.from({ length: size }, () => (name.endsWith("norm.weight") ? 1 : 0.02 * random.normal()))];
    }
  }
  await saveCheckpoint(folder, config, readGenerationConfig(TINY, config), weights());
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(TINY, file), join(folder, file));
  return folder;
}
