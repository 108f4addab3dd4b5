/** The adapters of tests/golden/lora_variants.*, as the folders that PEFT saved, and the forward pass they were measured with. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import {
  type Engine,
  type HostTensors,
  type InputSpec,
  type TensorMap,
  blockMask,
  headLogProbs,
  hostTensor,
  readFileTensor,
  rotaryAngles,
  tf,
  valueAndGradients,
} from "../../src/compile/index.js";
import { type CausalLM, maskedAttention, qwen2Hidden } from "../../src/model/index.js";
import type { JsonObject } from "../../src/model/pythonJson.js";
import { readSafetensors } from "../../src/model/safetensors.js";
import { SafetensorsWriter } from "../../src/model/safetensorsWriter.js";
import { headIsFrozen } from "../../src/train/optimizer/gradientSums.js";

export const GOLDEN = "tests/golden";
export const TINY = `${GOLDEN}/tiny-qwen2`;

interface Numbers {
  logps: number[];
  gradient_norms: Record<string, number>;
}
interface Variant extends Numbers {
  config: JsonObject;
  masked?: Numbers;
  merged_logps: number[];
  merged_norms: Record<string, number>;
  merged_tied: boolean;
}
interface Document {
  ids: number[];
  variants: Record<string, Variant>;
  stack: { configs: Record<string, JsonObject>; logps: number[]; merged_logps: number[] };
}

export const VARIANTS = JSON.parse(readFileSync(`${GOLDEN}/lora_variants.json`, "utf8")) as Document;
const tensors = readSafetensors(`${GOLDEN}/lora_variants.safetensors`).tensors;
const root = mkdtempSync(join(tmpdir(), "preflab-variants-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

export function newFolder(): string {
  return join(root, `folder-${folders++}`);
}

/** Tensors of the golden file under `PREFIX/`, by the rest of the name. */
export function goldenTensors(prefix: string): Map<string, { shape: readonly number[]; values: Float32Array }> {
  const own = [...tensors].filter(([name]) => name.startsWith(`${prefix}/`));
  return new Map(own.map(([name, entry]) => [name.slice(prefix.length + 1), { shape: entry.shape, values: readFileTensor(entry) }]));
}

/** Writes an adapter folder. @param prefix of its tensors in the golden file */
export async function writeAdapter(prefix: string, config: JsonObject): Promise<string> {
  const dir = newFolder();
  mkdirSync(dir);
  writeFileSync(join(dir, "adapter_config.json"), JSON.stringify(config));
  const own = goldenTensors(prefix);
  const plans = [...own].map(([name, { shape }]) => ({ name, shape, dtype: "F32" as const }));
  const writer = await SafetensorsWriter.create(join(dir, "adapter_model.safetensors"), plans);
  for (const [name, { values }] of own) await writer.write(name, values);
  await writer.close();
  return dir;
}

const forwardSignature = (model: CausalLM, tokens: number): Record<string, InputSpec> => ({
  ...model.signature(),
  ids: { shape: [tokens], dtype: "int32" },
  targets: { shape: [tokens - 1], dtype: "int32" },
  cos: { shape: [tokens, model.config.head_dim / 2] },
  sin: { shape: [tokens, model.config.head_dim / 2] },
});

function forwardInputs(model: CausalLM, ids: readonly number[]): HostTensors {
  const angles = rotaryAngles(
    ids.map((_, i) => i),
    model.config.head_dim,
    model.config.rope_theta,
  );
  const shape = [ids.length, model.config.head_dim / 2];
  return {
    ids: hostTensor(Int32Array.from(ids), [ids.length]),
    targets: hostTensor(Int32Array.from(ids.slice(1)), [ids.length - 1]),
    cos: hostTensor(angles.cos, shape),
    sin: hostTensor(angles.sin, shape),
  };
}

function forward(model: CausalLM, inputs: TensorMap, masks?: TensorMap): tf.Tensor1D {
  const { weights, adapter } = model.tensors(inputs, masks);
  const tokens = inputs["ids"]!.shape[0]!;
  const mask = blockMask(tf.zeros([tokens], "int32"), tf.fill([tokens], -1, "int32"));
  const hidden = qwen2Hidden(model.config, weights, inputs as never, maskedAttention(model.config, mask), { adapter });
  const scored = tf.slice(hidden, 0, tokens - 1) as tf.Tensor2D;
  return headLogProbs(scored, inputs["targets"] as tf.Tensor1D, model.base.head(weights, headIsFrozen(model) ? "none" : "kept")).logps;
}

/** log p of every token but the first. */
export async function tokenLogps(model: CausalLM, ids: readonly number[] = VARIANTS.ids): Promise<Float32Array> {
  const engine: Engine = await model.load();
  const program = engine.compile((inputs) => ({ logps: forward(model, inputs) }), forwardSignature(model, ids.length));
  const { logps } = await program.run(forwardInputs(model, ids));
  await program.dispose();
  return logps!.data as Float32Array;
}

/** The same, and the gradient of its sum for everything that is trainable.
 *  @param masks dropout masks by module path, shape [T, in] */
export async function logpsAndGradients(
  model: CausalLM,
  masks: HostTensors = {},
): Promise<{ logps: Float32Array; gradients: Map<string, Float32Array> }> {
  const engine = await model.load();
  const names = [...model.trainable().keys()];
  const signature = forwardSignature(model, VARIANTS.ids.length);
  for (const [path, { shape }] of Object.entries(masks)) signature[`mask/${path}`] = { shape };
  const program = engine.compile((inputs) => {
    const given = Object.fromEntries(Object.keys(masks).map((path) => [path, inputs[`mask/${path}`]!]));
    const { values, gradients } = valueAndGradients(
      (current) => {
        const logps = forward(model, { ...inputs, ...current }, Object.keys(given).length === 0 ? undefined : given);
        return { loss: tf.sum(logps), logps };
      },
      Object.fromEntries(names.map((name) => [name, inputs[name]!])),
    );
    return { logps: values["logps"]!, ...Object.fromEntries(names.map((name) => [`gradient/${name}`, gradients[name]!])) };
  }, signature);
  const masked = Object.fromEntries(Object.entries(masks).map(([path, mask]) => [`mask/${path}`, mask]));
  const outputs = await program.run({ ...forwardInputs(model, VARIANTS.ids), ...masked });
  await program.dispose();
  return {
    logps: outputs["logps"]!.data as Float32Array,
    gradients: new Map(names.map((name) => [name, outputs[`gradient/${name}`]!.data as Float32Array])),
  };
}

/** The largest |a − b|. NaN counts as infinite. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}

export function l2(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! ** 2;
  return Math.sqrt(squares);
}
