import { tf } from "../tensorflow.js";
import { squeezed, unsqueezed } from "./leadingAxis.js";
import { onnxOp } from "./onnxOp.js";

/**
 * Rotary position embedding, arXiv:2104.09864, halves convention (as Qwen2 and Llama): element i of a head turns with
 * element i + hd/2.
 * @param x shape [T, N·hd], N heads side by side
 * @param cos @param sin shape [T, hd/2], the angles of every token's position
 */
export function rotary(x: tf.Tensor2D, cos: tf.Tensor2D, sin: tf.Tensor2D): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [input, save] = args as [tf.Tensor2D, tf.GradSaveFunc];
    save([cos, sin]);
    return {
      value: rotate(input, cos, sin),
      // A rotation's transpose is the rotation by the negative angle.
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [c, s] = saved as [tf.Tensor2D, tf.Tensor2D];
        return rotate(dy as tf.Tensor2D, c, tf.neg(s));
      },
    };
  });
  return op(x) as tf.Tensor2D;
}

function rotate(x: tf.Tensor2D, cos: tf.Tensor2D, sin: tf.Tensor2D): tf.Tensor2D {
  const [tokens, width] = x.shape;
  const half = cos.shape[1];
  const [y] = onnxOp(
    {
      opType: "RotaryEmbedding",
      domain: "com.microsoft",
      // Position ids [0]: row t of the tables belongs to token t.
      inputs: [unsqueezed(x), [0], cos, sin],
      outputs: [{ dtype: "float32", shape: [1, tokens, width] }],
      attributes: { interleaved: 0 },
    },
    () => {
      const heads = tf.reshape(x, [tokens, -1, 2, half]); // [T, N, 2, hd/2]
      const [first, second] = tf.unstack(heads, 2) as [tf.Tensor3D, tf.Tensor3D]; // [T, N, hd/2]
      const c = tf.expandDims(cos, 1); // [T, 1, hd/2]
      const s = tf.expandDims(sin, 1);
      const turned = [tf.sub(tf.mul(first, c), tf.mul(second, s)), tf.add(tf.mul(second, c), tf.mul(first, s))];
      return [tf.reshape(tf.stack(turned, 2), [1, tokens, width])];
    },
  );
  return squeezed(y!) as tf.Tensor2D;
}

/**
 * The angles' cosines and sines for `rotary`: position · theta^(−2i/hd).
 * @param positions one per token, from 0
 * @returns two arrays of length T · headSize/2, row-major
 */
export function rotaryAngles(positions: ArrayLike<number>, headSize: number, theta: number): { cos: Float32Array; sin: Float32Array } {
  const half = headSize / 2;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (let i = 0; i < half; i++) {
    // transformers rounds the inverse frequency and the angle to float32; equal logits need the same.
    const frequency = Math.fround(1 / Math.fround(theta ** ((2 * i) / headSize)));
    for (let t = 0; t < positions.length; t++) {
      const angle = Math.fround(positions[t]! * frequency);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
