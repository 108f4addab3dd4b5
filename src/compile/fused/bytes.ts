/**
 * Tensors of bytes (uint8), for packed and quantised storage. TensorFlow.js has no such type: traced, such a tensor counts as a
 * bool there and is uint8 in the graph; eagerly it is int32. Nothing but these two functions and operators made for it may touch one.
 */
import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/** The numbers 0 to 255 that the bytes hold, int32 of the same shape. No gradient. */
export function bytesAsInt32(bytes: tf.Tensor): tf.Tensor {
  const [y] = onnxOp({ opType: "Cast", inputs: [bytes], outputs: [{ dtype: "int32", shape: bytes.shape }], attributes: { to: 6 } }, () => [
    tf.clone(bytes),
  ]);
  return y!;
}

/** Numbers 0 to 255, int32, as bytes of the same shape. No gradient. */
export function int32AsBytes(numbers: tf.Tensor): tf.Tensor {
  const [y] = onnxOp(
    { opType: "Cast", inputs: [numbers], outputs: [{ dtype: "uint8", shape: numbers.shape }], attributes: { to: 2 } },
    () => [tf.clone(numbers)],
  );
  return y!;
}
