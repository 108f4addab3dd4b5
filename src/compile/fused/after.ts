import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/**
 * `x`, but not before `earlier` are there: for the sake of memory, where ONNX Runtime would choose an order that keeps more alive.
 * The cost is one pass over `x`. No gradient: for use inside `tf.customGrad`.
 * @param x shape [T, D] @param earlier of any shapes
 */
export function after(x: tf.Tensor2D, ...earlier: readonly tf.Tensor[]): tf.Tensor2D {
  const nothing = earlier.map(zeroOf).reduce((sum, zero) => node("Add", [sum, zero], [1, 1], () => tf.add(sum, zero)));
  return node("Add", [x, nothing], x.shape, () => tf.clone(x)) as tf.Tensor2D;
}

/** 0, computed from the first element. */
function zeroOf(tensor: tf.Tensor): tf.Tensor {
  const flat = tf.reshape(tensor, [-1, 1]);
  const first = node("Slice", [flat, [0, 0], [1, 1]], [1, 1], () => tf.slice(flat, [0, 0], [1, 1]));
  return node("Mul", [first, tf.fill([1, 1], 0)], [1, 1], () => tf.mul(first, 0));
}

/** Written as it is: the tracing kernels would see that it comes to nothing. */
function node(opType: string, inputs: readonly (tf.Tensor | readonly number[])[], shape: number[], eager: () => tf.Tensor): tf.Tensor {
  return onnxOp({ opType, inputs, outputs: [{ dtype: "float32", shape }] }, () => [eager()])[0]!;
}
