import { EngineError } from "../errors.js";
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
 * @throws EngineError `no_gradient` if the loss depends on none of the variables
 */
export function valueAndGradients(fn: (variables: TensorMap) => TensorMap & { loss: tf.Tensor }, variables: TensorMap): ValueAndGradients {
  const names = Object.keys(variables);
  let kept: TensorMap = {};
  const forward = (): tf.Tensor => {
    const { loss, ...rest } = fn(variables);
    // Values that leave by the side would be freed with the scope of the differentiation.
    kept = Object.fromEntries(Object.entries(rest).map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]));
    return loss;
  };
  // tf.valueAndGrads itself refuses a variable that the loss does not use.
  const { value, grads } = tf.engine().gradients(
    forward,
    names.map((name) => variables[name]!),
    undefined,
    true,
  );
  const values: TensorMap = { loss: value };
  for (const [name, tensor] of Object.entries(kept)) {
    values[name] = tf.clone(tensor);
    tensor.dispose();
  }
  const found: readonly (tf.Tensor | undefined)[] = grads;
  if (found.every((gradient) => gradient === undefined)) {
    throw new EngineError(
      "no_gradient",
      `valueAndGradients: the loss must depend on one of ${names.join(", ")}, got one that depends on none; build it from tensor operations on them`,
    );
  }
  return { values, gradients: Object.fromEntries(names.map((name, i) => [name, found[i] ?? tf.fill(variables[name]!.shape, 0)])) };
}
