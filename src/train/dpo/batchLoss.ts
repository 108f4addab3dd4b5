/** The loss of a whole micro-batch from its log-probs, with the slopes that a coupled loss sends back to each pair. */
import { type Engine, type HostTensors, type Signature, hostTensor, tf } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import type { DPOLossFunction, PairLogps } from "../options/dpoConfig.js";
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
 * @throws ConfigError `loss_shape` if the loss does not return one value a pair, `loss_gradient` if it has no gradient
 */
export async function batchLoss(
  loss: DPOLossFunction,
  beta: number,
  pairs: readonly PreparedPair[],
  scores: readonly PairScores[],
  references: readonly ReferenceLogps[],
): Promise<BatchLoss> {
  return onCpu(loss, beta, {
    policyChosen: scores.map(({ chosenLogps }) => chosenLogps),
    policyRejected: scores.map(({ rejectedLogps }) => rejectedLogps),
    referenceChosen: references.map(({ chosen }) => chosen),
    referenceRejected: references.map(({ rejected }) => rejected),
    chosenLengths: pairs.map(({ layout }) => layout.chosenLength),
    rejectedLengths: pairs.map(({ layout }) => layout.rejectedLength),
  });
}

/**
 * Tries a user's loss on made-up log-probs, so that a mistake in it shows before the reference is computed.
 * @param pairs of a micro-batch; with 1 the function will be traced, so it is traced here too
 * @throws ConfigError as `batchLoss`; EngineError for what cannot be traced
 */
export async function tryLoss(loss: DPOLossFunction, beta: number, pairs: number, engine: Engine): Promise<void> {
  const column = (first: number, step: number): number[] => Array.from({ length: pairs }, (_, i) => first + step * i);
  const columns: Columns = {
    policyChosen: column(-20, -1),
    policyRejected: column(-24, -2),
    referenceChosen: column(-21, -1.5),
    referenceRejected: column(-23, -1.25),
    chosenLengths: column(10, 1),
    rejectedLengths: column(12, 1),
  };
  if (pairs > 1) return void (await onCpu(loss, beta, columns));
  const signature: Signature = Object.fromEntries(Object.keys(columns).map((name) => [name, { shape: [1] }]));
  const program = engine.compile((inputs) => ({ ...valueAndSlopes(loss, beta, inputs as unknown as PairLogps) }), signature, {
    name: "loss_type",
  });
  try {
    await program.run(Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, hostTensor(values, [1])])) as HostTensors);
  } finally {
    await program.dispose();
  }
}

type Columns = Record<keyof PairLogps, number[]>;

async function onCpu(loss: DPOLossFunction, beta: number, columns: Columns): Promise<BatchLoss> {
  const previous = tf.engine().backendName || "cpu";
  await tf.setBackend("cpu");
  try {
    return tf.tidy(() => {
      const logps = Object.fromEntries(
        Object.entries(columns).map(([name, values]) => [name, tf.tensor1d(values)]),
      ) as unknown as PairLogps;
      const { value, slopes } = valueAndSlopes(loss, beta, logps);
      const both = slopes.dataSync();
      const pairs = columns.policyChosen.length;
      return { loss: value.dataSync()[0]!, chosenSlopes: both.slice(0, pairs), rejectedSlopes: both.slice(pairs) };
    });
  } finally {
    await tf.setBackend(previous);
  }
}

/** The mean over the pairs and its slopes by policyChosen and policyRejected, shape [2, P]. */
function valueAndSlopes(loss: DPOLossFunction, beta: number, logps: PairLogps): { value: tf.Scalar; slopes: tf.Tensor2D } {
  const mean = (policy: tf.Tensor): tf.Scalar => {
    const [policyChosen, policyRejected] = tf.unstack(policy) as [tf.Tensor1D, tf.Tensor1D];
    const values = loss({ ...logps, policyChosen, policyRejected }, { beta });
    requireOneAPair(values, logps.policyChosen.shape[0]);
    return tf.mean(values);
  };
  // One stacked variable: a loss may leave out one of the two, but not both.
  const policy = tf.stack([logps.policyChosen, logps.policyRejected]); // [2, P]
  try {
    const { value, grads } = tf.valueAndGrads(mean)([policy]);
    return { value, slopes: grads[0] as tf.Tensor2D };
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("Cannot compute gradient of y=f(x)")) throw error;
    const message =
      "loss_type: the function's result must depend on policyChosen or policyRejected, got one without a gradient; build it from TensorFlow.js operations on them, without dataSync or arraySync";
    throw new ConfigError("loss_gradient", message, { cause: error });
  }
}

/** @throws ConfigError `loss_shape` */
export function requireOneAPair(values: unknown, pairs: number): asserts values is tf.Tensor1D {
  const tensor = values instanceof tf.Tensor ? (values as tf.Tensor) : undefined;
  if (tensor?.dtype === "float32" && tensor.shape.length === 1 && tensor.shape[0] === pairs) return;
  const got =
    tensor === undefined
      ? values instanceof Promise
        ? "a Promise"
        : typeof values
      : `${tensor.dtype} of shape [${tensor.shape.join(", ")}]`;
  throw new ConfigError(
    "loss_shape",
    `loss_type: the function must return one loss a pair, a float32 tensor of shape [${pairs}], got ${got}; do not average inside it`,
  );
}
