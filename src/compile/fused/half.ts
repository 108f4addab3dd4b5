/**
 * Tensors of 16-bit floats in the store. TensorFlow.js has no such type: traced, such a tensor counts as a bool there and is float16 in
 * the graph; eagerly it is float32. Nothing but these functions may touch one.
 */
import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/** The numbers of the halves, float32 of the same shape. No gradient. */
export function halfAsFloat32(half: tf.Tensor): tf.Tensor {
  const [y] = onnxOp({ opType: "Cast", inputs: [half], outputs: [{ dtype: "float32", shape: half.shape }], attributes: { to: 1 } }, () => [
    tf.clone(half),
  ]);
  return y!;
}

/**
 * The same, for a second use much later: widened anew, where the first result would otherwise be kept until then. ONNX Runtime makes
 * equal nodes one, so the shape differs on the way.
 */
export function halfAsFloat32Again(half: tf.Tensor): tf.Tensor {
  return tf.reshape(halfAsFloat32(tf.reshape(half, [1, ...half.shape])), half.shape);
}

/** Rows of a matrix of halves, float32 [n, D]; the rest of the matrix stays 16 bits wide. No gradient. @param rows [n] int32 */
export function gatherHalf(half: tf.Tensor2D, rows: tf.Tensor1D): tf.Tensor2D {
  return halfAsFloat32(tf.gather(half, rows)) as tf.Tensor2D;
}
