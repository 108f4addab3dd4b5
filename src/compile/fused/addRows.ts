import { scatter } from "../kernels/indexing.js";
import { reshape } from "../kernels/shapes.js";
import { tf } from "../tensorflow.js";
import { currentTrace, tfTensors } from "../trace.js";

/**
 * `base` with row i of `rows` added to its row `places[i]`; several may go to one place. Traced, it touches nothing but these rows where
 * it may be computed in place. It has no gradient.
 * @param base shape [N, D] @param places shape [n] int32, each in [0, N) @param rows shape [n, D]
 */
export function addRows(base: tf.Tensor2D, places: tf.Tensor1D, rows: tf.Tensor2D): tf.Tensor2D {
  const trace = currentTrace();
  if (trace === undefined) return tf.add(base, tf.unsortedSegmentSum(rows, places, base.shape[0]));
  const indices = reshape(trace.graph, trace.symbol(places), [places.shape[0], 1]);
  const sum = scatter(trace.graph, trace.symbol(base), indices, trace.symbol(rows), "add");
  return tfTensors(trace, [sum])[0] as tf.Tensor2D;
}
