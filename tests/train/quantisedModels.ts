/** Quantised models and what they compute, for the tests of both widths. */
import { afterEach } from "vitest";
import { hostTensor } from "../../src/compile/index.js";
import { generateTokens } from "../../src/generate/index.js";
import {
  AutoModelForCausalLM,
  type BitsAndBytesConfigInput,
  type CausalLM,
  HEAD_MEAN,
  type Qwen2ForCausalLM,
} from "../../src/model/index.js";
import { PROJECTION_NAMES } from "../../src/model/shapes.js";
import { Random } from "../../src/random.js";
import { preparedPairs, referenceLogps } from "./microBatches.js";
import { goldenPairs } from "./tinyModel.js";

/** Disposed of after the test. */
export const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

export async function open(
  dir: string,
  quantization_config?: BitsAndBytesConfigInput,
  engine?: "compiled" | "eager",
): Promise<Qwen2ForCausalLM> {
  const model = await AutoModelForCausalLM.from_pretrained(dir, { quantization_config, engine, threads: engine === "eager" ? null : 1 });
  models.push(model);
  return model;
}

export const isProjection = (name: string): boolean => PROJECTION_NAMES.some((projection) => name.endsWith(`${projection}.weight`));

/** Gives a fresh adapter's B numbers. */
export async function fill(model: CausalLM, size: number): Promise<void> {
  const engine = await model.load();
  for (const [name, shape] of model.trainable()) {
    if (!name.endsWith(".lora_B.weight")) continue;
    const random = new Random(11).fork(name);
    const values = Float32Array.from({ length: shape[0]! * shape[1]! }, () => size * random.normal());
    await engine.put(model.storeName(name), hostTensor(values, shape));
  }
}

export async function logps(model: CausalLM): Promise<number[]> {
  const engine = await model.load();
  await model.base.storeHeadMean();
  const scores = await referenceLogps(model, await preparedPairs(await goldenPairs([0, 6, 13]), model));
  await engine.remove(HEAD_MEAN);
  return scores.flatMap(({ chosen, rejected }) => [chosen, rejected]);
}

export const farthest = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

export async function text(model: CausalLM): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generateTokens(model, [458, 291, 494, 12], { max_new_tokens: 12, eos_token_id: null })) ids.push(id);
  return ids;
}

/** Every parameter's numbers by name, as they would be saved. */
export async function numbers(model: Qwen2ForCausalLM): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for await (const [name, , values] of model.parameters()) found.set(name, values);
  return found;
}
