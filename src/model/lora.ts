/** Low-rank adaptation, arXiv:2106.09685: `W x` becomes `W x + scaling · B (A x)` with A [R, in] and B [out, R]. */
import { type HostTensor, type TensorMap, hostTensor, tf } from "../compile/index.js";
import type { Random } from "../random.js";
import { adapterShapes, adapterTensorName } from "./adapterFiles.js";
import { baseWeight } from "./baseWeight.js";
import type { Qwen2Config } from "./config.js";
import type { LoraConfig } from "./loraConfig.js";

/** An adapter inside a tensor function. */
export interface Adapter {
  readonly scaling: number;
  /** A and B by PEFT name; a module without them is not adapted. */
  readonly weights: TensorMap;
  /** Dropout masks by module path, shape [T, in], already divided by the share kept; absent = no dropout. */
  readonly masks?: TensorMap;
}

/** Adds the low-rank part to a projection's output. @param path e.g. `model.layers.0.self_attn.q_proj` @param x [T, in] @param y [T, out] */
export function adapted(adapter: Adapter, path: string, x: tf.Tensor2D, y: tf.Tensor2D): tf.Tensor2D {
  const a = adapter.weights[adapterTensorName(path, "A")] as tf.Tensor2D | undefined;
  const b = adapter.weights[adapterTensorName(path, "B")] as tf.Tensor2D | undefined;
  if (a === undefined || b === undefined) return y;
  const mask = adapter.masks?.[path];
  const seen = mask === undefined ? x : (tf.mul(x, mask) as tf.Tensor2D);
  const low = tf.matMul(seen, a, false, true); // [T, R]
  return tf.add(y, tf.matMul(tf.mul(low, adapter.scaling), b, false, true));
}

/**
 * Fresh adapter weights as PEFT draws them: A uniform in ±1/√in (Kaiming uniform with a = √5), B zero, so that the
 * adapted model starts equal to its base.
 */
export function initialAdapter(config: Qwen2Config, lora: LoraConfig, random: Random): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  for (const [name, shape] of adapterShapes(config, lora)) {
    const values = new Float32Array(shape[0]! * shape[1]!);
    if (name.endsWith(".lora_A.weight")) {
      const bound = 1 / Math.sqrt(shape[1]!);
      const stream = random.fork(name);
      for (let i = 0; i < values.length; i++) values[i] = (2 * stream.uniform() - 1) * bound;
    }
    tensors.set(name, hostTensor(values, shape));
  }
  return tensors;
}

/** `W + scaling · B A` as float32, for merging an adapter into its base. @param path e.g. `model.layers.0.self_attn.q_proj` */
export function mergedWeight(scaling: number, path: string): (inputs: TensorMap) => TensorMap {
  return (inputs) => {
    const delta = tf.mul(tf.matMul(inputs["b"] as tf.Tensor2D, inputs["a"] as tf.Tensor2D), scaling);
    return { merged: tf.add(baseWeight(inputs, path), delta) };
  };
}
