import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/**
 * The gated activation of arXiv:2002.05202: `silu(gate) · up`, silu(x) = x σ(x).
 * @param gate @param up same shape, [T, F]
 */
export function swiglu(gate: tf.Tensor2D, up: tf.Tensor2D): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [g, u, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.GradSaveFunc];
    save([g, u]);
    return { value: tf.mul(silu(g), u), gradFunc };
  });
  return op(gate, up) as tf.Tensor2D;
}

/** One pass over memory when traced: QuickGelu with alpha 1 is silu. */
function silu(x: tf.Tensor2D): tf.Tensor2D {
  const [y] = onnxOp(
    {
      opType: "QuickGelu",
      domain: "com.microsoft",
      inputs: [x],
      outputs: [{ dtype: "float32", shape: x.shape }],
      attributes: { alpha: { float: 1 } },
    },
    () => [tf.mul(x, tf.sigmoid(x))],
  );
  return y as tf.Tensor2D;
}

/** With s = σ(g) and du = dy·g·s: dg = u (du + s (dy − du)), since silu'(g) = s + g s (1 − s). Every operation is a pass over memory. */
function gradFunc(dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] {
  const [gate, up] = saved as [tf.Tensor2D, tf.Tensor2D];
  const sigmoid = tf.sigmoid(gate);
  const dUp = tf.mul(dy, tf.mul(gate, sigmoid));
  const dGate = tf.mul(up, tf.add(dUp, tf.mul(sigmoid, tf.sub(dy, dUp))));
  return [dGate, dUp];
}
