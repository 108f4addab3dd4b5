/**
 * Low-rank adaptation, arXiv:2106.09685: `W x` becomes `W x + scaling · B (A x)` with A [R, in] and B [out, R].
 * DoRA, arXiv:2402.09353, also gives every row of `W + scaling · B A` a trained length m: `m / ‖W + scaling · B A‖` times that.
 */
import { type HostTensor, type TensorMap, hostTensor, tf } from "../compile/index.js";
import type { Random } from "../random.js";
import { type AdaptedModule, type AdapterPlan, adapterBiasName, adapterTensorName, lowRankShapes, magnitudeName } from "./adapterPlan.js";
import { baseWeight } from "./baseWeight.js";
import type { LoraConfig } from "./loraConfig.js";

/** The adapters inside a tensor function. */
export interface Adapter {
  /** Those that are active, in the order in which they are applied. */
  readonly layers: readonly AdapterLayer[];
  /** Their tensors, by PEFT name behind the layer's prefix. */
  readonly weights: TensorMap;
  /** Dropout masks by the layer's prefix and the module path, shape [T, in], already divided by the share kept; absent = no dropout. */
  readonly masks?: TensorMap;
}

/** One adapter. */
export interface AdapterLayer {
  /** Tells the tensors of several adapters apart; empty for one. */
  readonly prefix: string;
  readonly modules: ReadonlyMap<string, AdaptedModule>;
}

/**
 * What the adapters make of a projection's output, as PEFT's `lora.Linear.forward`.
 * @param path e.g. `model.layers.0.self_attn.q_proj` @param x [T, in] @param y [T, out], the projection's own output with its bias
 */
export function adapted(adapter: Adapter, weights: TensorMap, path: string, x: tf.Tensor2D, y: tf.Tensor2D): tf.Tensor2D {
  let result = y;
  for (const { prefix, modules } of adapter.layers) {
    const module = modules.get(path);
    if (module === undefined) continue;
    const tensor = (name: string): tf.Tensor => adapter.weights[prefix + name]!;
    const a = tensor(adapterTensorName(path, "A")) as tf.Tensor2D;
    const b = tensor(adapterTensorName(path, "B")) as tf.Tensor2D;
    const mask = adapter.masks?.[prefix + path];
    const seen = mask === undefined ? x : (tf.mul(x, mask) as tf.Tensor2D);
    const low = tf.matMul(seen, a, false, true); // [T, R]
    let added: tf.Tensor2D = tf.matMul(tf.mul(low, module.scaling), b, false, true); // [T, out]
    if (module.loraBias) added = tf.add(added, tf.mul(tensor(adapterBiasName(path)), module.scaling));
    if (module.dora) {
      const weight = baseWeight(weights, path);
      const factor = tf.div(tensor(magnitudeName(path)), rowLengths(weight, a, b, module.scaling)); // [out]
      const bias = weights[`${path}.bias`];
      // With dropout PEFT scales the dropped input's product, and leaves the whole input's as it is.
      const scaled = mask === undefined ? (bias === undefined ? result : tf.sub(result, bias)) : tf.matMul(seen, weight, false, true);
      added = tf.add(tf.mul(tf.sub(factor, 1), scaled), tf.mul(factor, added));
    }
    result = tf.add(result, added);
  }
  return result;
}

/** `‖W + scaling · B A‖` of every row, shape [out]. A constant to the gradient, as section 4.3 of the paper has it. */
export function rowLengths(weight: tf.Tensor2D, a: tf.Tensor2D, b: tf.Tensor2D, scaling: number): tf.Tensor1D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [left, right] = args as [tf.Tensor2D, tf.Tensor2D];
    const moved = tf.add(weight, tf.mul(tf.matMul(left, right), scaling)); // [out, in]
    const value = tf.sqrt(tf.sum(tf.square(moved), 1)) as tf.Tensor1D;
    return { value, gradFunc: () => [tf.fill(left.shape, 0), tf.fill(right.shape, 0)] };
  });
  return op(b, a) as tf.Tensor1D;
}

/**
 * Fresh low-rank tensors as PEFT draws them, without DoRA's lengths, which depend on the model. `true`: A uniform in ±1/√in
 * (Kaiming uniform with a = √5), B zero; "gaussian": A normal with deviation 1/r, B zero: the adapted model starts equal to its
 * base. `false`: B too as torch draws a linear layer.
 */
export function initialAdapter(plan: AdapterPlan, lora: LoraConfig, random: Random): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  const drawn = lora.init_lora_weights;
  for (const [name, shape] of lowRankShapes(plan)) {
    if (name.endsWith(".lora_magnitude_vector")) continue;
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const stream = random.fork(name);
    if (name.endsWith(".lora_A.weight") && drawn === "gaussian") {
      for (let i = 0; i < values.length; i++) values[i] = stream.normal() / shape[0]!;
    } else if (name.endsWith(".lora_A.weight") || drawn === false) {
      // A bias is drawn within the bounds of its matrix: B has r inputs.
      const bound = 1 / Math.sqrt(shape[1] ?? tensors.get(name.replace(".lora_B.bias", ".lora_B.weight"))!.shape[1]!);
      for (let i = 0; i < values.length; i++) values[i] = (2 * stream.uniform() - 1) * bound;
    }
    tensors.set(name, hostTensor(values, shape));
  }
  return tensors;
}
