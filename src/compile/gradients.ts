import { tf } from "./tensorflow.js";
import type { TensorMap } from "./tracingBackend.js";

export interface ValueAndGradients {
  /** Everything that `fn` returned, the loss included. */
  readonly values: TensorMap;
  /** The gradient of the loss for each variable; zeros where the loss does not depend on it. */
  readonly gradients: TensorMap;
}

/**
 * `tf.valueAndGrads` for functions that return more than the loss.
 * @param fn returns named tensors, one of them the scalar `loss`
 * @param variables what to differentiate for
 */
export function valueAndGradients(fn: (variables: TensorMap) => TensorMap & { loss: tf.Tensor }, variables: TensorMap): ValueAndGradients {
  const names = Object.keys(variables);
  let kept: TensorMap = {};
  const { value, grads } = tf.valueAndGrads((...tensors: tf.Tensor[]) => {
    const { loss, ...rest } = fn(Object.fromEntries(names.map((name, i) => [name, tensors[i]!])));
    // Values that leave by the side would be freed with the scope of the differentiation.
    kept = Object.fromEntries(Object.entries(rest).map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]));
    return loss as tf.Scalar;
  })(names.map((name) => variables[name]!));
  const values: TensorMap = { loss: value };
  for (const [name, tensor] of Object.entries(kept)) {
    values[name] = tf.clone(tensor);
    tensor.dispose();
  }
  return { values, gradients: Object.fromEntries(names.map((name, i) => [name, grads[i]!])) };
}
