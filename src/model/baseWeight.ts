import { type TensorMap, tf } from "../compile/index.js";

/** A projection's frozen or trained weight as numbers, shape [out, in]. @param path e.g. `model.layers.0.self_attn.q_proj` */
export function baseWeight(weights: TensorMap, path: string): tf.Tensor2D {
  return weights[`${path}.weight`] as tf.Tensor2D;
}
