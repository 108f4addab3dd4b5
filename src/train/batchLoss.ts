/** The loss of a whole micro-batch from its log-probs, with the slopes that a coupled loss sends back to each pair. */
import { tf } from "../compile/index.js";
import { ConfigError } from "../errors.js";
import type { DPOLossFunction, PairLogps } from "./dpoConfig.js";
import type { PairScores, PreparedPair, ReferenceLogps } from "./pairBatch.js";

export interface BatchLoss {
  /** Mean over the pairs. */
  readonly loss: number;
  /** d loss / d log-prob, one a pair. */
  readonly chosenSlopes: ArrayLike<number>;
  readonly rejectedSlopes: ArrayLike<number>;
}

/**
 * Evaluated by TensorFlow.js's cpu backend: a handful of numbers.
 * @throws ConfigError `loss_shape` if the loss does not return one value a pair
 */
export async function batchLoss(loss: DPOLossFunction, beta: number, pairs: readonly PreparedPair[], scores: readonly PairScores[], references: readonly ReferenceLogps[]): Promise<BatchLoss> {
  const previous = tf.engine().backendName || "cpu";
  await tf.setBackend("cpu");
  try {
    return tf.tidy(() => {
      const column = (of: (i: number) => number): tf.Tensor1D => tf.tensor1d(pairs.map((_, i) => of(i)));
      const fixed = {
        referenceChosen: column((i) => references[i]!.chosen),
        referenceRejected: column((i) => references[i]!.rejected),
        chosenLengths: column((i) => pairs[i]!.layout.chosenLength),
        rejectedLengths: column((i) => pairs[i]!.layout.rejectedLength),
      };
      const mean = (policyChosen: tf.Tensor1D, policyRejected: tf.Tensor1D): tf.Scalar => {
        const logps: PairLogps = { ...fixed, policyChosen, policyRejected };
        const values = loss(logps, { beta });
        requireOneAPair(values, pairs.length);
        return tf.mean(values);
      };
      const both = tf.valueAndGrads((chosen: tf.Tensor, rejected: tf.Tensor) => mean(chosen as tf.Tensor1D, rejected as tf.Tensor1D));
      const { value, grads } = both([column((i) => scores[i]!.chosenLogps), column((i) => scores[i]!.rejectedLogps)]);
      return { loss: value.dataSync()[0]!, chosenSlopes: grads[0]!.dataSync(), rejectedSlopes: grads[1]!.dataSync() };
    });
  } finally {
    await tf.setBackend(previous);
  }
}

export function requireOneAPair(values: tf.Tensor, pairs: number): void {
  if (values.shape.length === 1 && values.shape[0] === pairs) return;
  throw new ConfigError("loss_shape", `loss_type: the function must return one loss a pair, shape [${pairs}], got [${values.shape.join(", ")}]; do not average inside it`);
}
