/** A leading axis of 1, as some ONNX operators want it, without writing a shape into the graph. No gradients. */
import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/** [...] → [1, ...] */
export function unsqueezed(x: tf.Tensor): tf.Tensor {
  const shape = [1, ...x.shape];
  const [y] = onnxOp({ opType: "Unsqueeze", inputs: [x, [0]], outputs: [{ dtype: "float32", shape }] }, () => [tf.reshape(x, shape)]);
  return y!;
}

/** [1, ...] → [...] */
export function squeezed(x: tf.Tensor): tf.Tensor {
  const shape = x.shape.slice(1);
  const [y] = onnxOp({ opType: "Squeeze", inputs: [x, [0]], outputs: [{ dtype: "float32", shape }] }, () => [tf.reshape(x, shape)]);
  return y!;
}
