import { tf } from "../tensorflow.js";
import { after } from "./after.js";

/**
 * Gradient checkpointing, arXiv:1604.06174: `fn(x, variables)`, of which the forward pass keeps nothing but `x`; the backward pass computes it again.
 * Value and gradients are those of `fn` itself.
 * @param fn of `x`, of everything else that wants a gradient, and of `kept`. It is called twice; other tensors that it uses must live
 *   until the backward pass is over, as the inputs of a program do
 * @param x shape [T, D]
 * @param kept intermediate results that `fn` needs, without gradient
 */
export function recomputed(
  fn: (x: tf.Tensor2D, variables: readonly tf.Tensor[], kept: readonly tf.Tensor[]) => tf.Tensor2D,
  x: tf.Tensor2D,
  variables: readonly tf.Tensor[],
  kept: readonly tf.Tensor[] = [],
): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const given = args.slice(0, -1) as tf.Tensor[];
    save([...given, ...kept]);
    return {
      value: fn(given[0] as tf.Tensor2D, given.slice(1), kept),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        // Without the dependency ONNX Runtime may compute everything a second time at once, and nothing would be saved.
        const again = [after(saved[0] as tf.Tensor2D, dy as tf.Tensor2D), ...saved.slice(1, given.length)];
        const keptAgain = saved.slice(given.length);
        const found = gradientsInside(() => fn(again[0] as tf.Tensor2D, again.slice(1), keptAgain), again, dy);
        return again.map((tensor, i) => found[i] ?? tf.fill(tensor.shape, 0));
      },
    };
  });
  return op(x, ...variables) as tf.Tensor2D;
}

/** `tf.grads` inside a gradient: TensorFlow.js lets go of the outer tape when the inner one ends, so it is put back. */
function gradientsInside(f: () => tf.Tensor, variables: tf.Tensor[], dy: tf.Tensor): readonly (tf.Tensor | undefined)[] {
  const engine = tf.engine();
  const { activeTape } = engine.state;
  try {
    return engine.gradients(f, variables, dy, true).grads;
  } finally {
    engine.state.activeTape = activeTape;
  }
}
