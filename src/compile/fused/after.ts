import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/**
 * `x`, but not before `earlier` is there: for the sake of memory, where ONNX Runtime would choose an order that keeps more alive.
 * The cost is one pass over `x`. No gradient: for use inside `tf.customGrad`.
 */
export function after(x: tf.Tensor2D, earlier: tf.Tensor2D): tf.Tensor2D {
  const one = { dtype: "float32", shape: [1, 1] } as const;
  const [corner] = onnxOp({ opType: "Slice", inputs: [earlier, [0, 0], [1, 1]], outputs: [one] }, () => [
    tf.slice(earlier, [0, 0], [1, 1]),
  ]);
  const [nothing] = onnxOp({ opType: "Mul", inputs: [corner!, tf.zeros([1, 1])], outputs: [one] }, () => [tf.mul(corner!, 0)]);
  const [y] = onnxOp({ opType: "Add", inputs: [x, nothing!], outputs: [{ dtype: "float32", shape: x.shape }] }, () => [tf.clone(x)]);
  return y as tf.Tensor2D;
}
