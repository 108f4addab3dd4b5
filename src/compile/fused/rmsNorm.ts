import { tf } from "../tensorflow.js";
import { onnxOp } from "./onnxOp.js";

/**
 * Root-mean-square normalisation, arXiv:1910.07467: `y = x / sqrt(mean(x²) + epsilon) · weight`.
 * @param x shape [T, D]
 * @param weight shape [D]
 * @returns shape [T, D]
 */
export function rmsNorm(x: tf.Tensor2D, weight: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [input, scale, save] = args as [tf.Tensor2D, tf.Tensor1D, tf.GradSaveFunc];
    const [tokens] = input.shape;
    const [value, inverse] = onnxOp(
      {
        opType: "SimplifiedLayerNormalization",
        inputs: [input, scale],
        outputs: [
          { dtype: "float32", shape: input.shape },
          { dtype: "float32", shape: [tokens, 1] },
        ],
        attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
      },
      () => {
        const r = tf.rsqrt(tf.add(tf.mean(tf.square(input), -1, true), epsilon)); // [T, 1]
        return [tf.mul(tf.mul(input, r), scale), r];
      },
    ) as [tf.Tensor2D, tf.Tensor2D];
    save([input, scale, inverse]);
    return { value, gradFunc };
  });
  return op(x, weight);
}

/** With x̂ = x·r and g = dy·weight: dx = r (g − x̂ mean(g x̂)), dweight = Σ_T dy x̂. */
function gradFunc(dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] {
  const [x, weight, r] = saved as [tf.Tensor2D, tf.Tensor1D, tf.Tensor2D];
  const normalised = tf.mul(x, r);
  const g = tf.mul(dy, weight);
  const projection = tf.mean(tf.mul(g, normalised), -1, true); // [T, 1]
  const dx = tf.mul(r, tf.sub(g, tf.mul(normalised, projection)));
  return [dx, tf.sum(tf.mul(dy, normalised), 0)];
}
