/** The loss of a whole micro-batch from its log-probs, with the slopes that a coupled loss sends back to each pair. */
import { type Engine, type HostTensors, type Signature, hostTensor, tf } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import type { PairLogps } from "../options/preferenceLoss.js";
import { scoredTokens } from "../sequence/pairLayout.js";
import type { Preference } from "./preference.js";
import type { PairScores, PreparedPair, ReferenceLogps } from "./pairBatch.js";

export interface BatchLoss {
  /** Mean over the pairs. */
  readonly loss: number;
  /** d loss / d value, one a pair, for each value that has a gradient. */
  readonly slopes: Readonly<Record<(typeof SLOPED)[number], ArrayLike<number>>>;
}

/** What a loss is differentiated for. */
const SLOPED = ["policyChosen", "policyRejected", "chosenNll"] as const;

/**
 * Evaluated by TensorFlow.js's cpu backend: a handful of numbers.
 * @param references as many as pairs, or none for a loss without a reference
 * @throws ConfigError `loss_shape` if the loss does not return one value a pair, `loss_gradient` if it has no gradient
 */
export async function batchLoss(
  preference: Preference,
  pairs: readonly PreparedPair[],
  scores: readonly PairScores[],
  references: readonly ReferenceLogps[],
): Promise<BatchLoss> {
  const counts = countColumns(pairs);
  const columns: Columns = {
    ...counts,
    policyChosen: scores.map(({ chosenLogps }) => chosenLogps),
    policyRejected: scores.map(({ rejectedLogps }) => rejectedLogps),
    chosenNll: scores.map(({ chosenNll }) => chosenNll),
  };
  if (preference.reference) {
    columns["referenceChosen"] = references.map(({ chosen }) => chosen);
    columns["referenceRejected"] = references.map(({ rejected }) => rejected);
  }
  if (preference.parts.weights) {
    columns["chosenWeights"] = scores.map(({ chosenWeights }) => chosenWeights!);
    columns["rejectedWeights"] = scores.map(({ rejectedWeights }) => rejectedWeights!);
  }
  return onCpu(preference, columns);
}

/** What a loss gets to know of the pairs' lengths, by the names of `PolicyLogps`. */
export function countColumns(pairs: readonly PreparedPair[]) {
  const layouts = pairs.map(({ layout }) => layout);
  const tokens = layouts.map(scoredTokens);
  const nllTokens = Math.max(
    1,
    tokens.reduce((sum, { chosen, prompt }) => sum + chosen + prompt, 0),
  );
  return {
    chosenLengths: layouts.map(({ chosenLength }) => chosenLength),
    rejectedLengths: layouts.map(({ rejectedLength }) => rejectedLength),
    chosenTokens: tokens.map(({ chosen }) => chosen),
    rejectedTokens: tokens.map(({ rejected }) => rejected),
    nllTokens: tokens.map(() => nllTokens / pairs.length),
  };
}

/**
 * Tries a user's loss on made-up log-probs, so that a mistake in it shows before the reference is computed.
 * @param pairs of a micro-batch; with 1 the function will be traced, so it is traced here too
 * @throws ConfigError as `batchLoss`; EngineError for what cannot be traced
 */
export async function tryLoss(preference: Preference, pairs: number, engine: Engine): Promise<void> {
  const column = (first: number, step: number): number[] => Array.from({ length: pairs }, (_, i) => first + step * i);
  const columns: Columns = {
    policyChosen: column(-20, -1),
    policyRejected: column(-24, -2),
    chosenNll: column(20, 1),
    referenceChosen: column(-21, -1.5),
    referenceRejected: column(-23, -1.25),
    chosenLengths: column(10, 1),
    rejectedLengths: column(12, 1),
    chosenTokens: column(10, 1),
    rejectedTokens: column(12, 1),
    nllTokens: column(10 + (pairs - 1) / 2, 0),
  };
  if (preference.parts.weights) Object.assign(columns, { chosenWeights: column(0.2, 0.01), rejectedWeights: column(0.1, 0.02) });
  if (pairs > 1) return void (await onCpu(preference, columns));
  const signature: Signature = Object.fromEntries(Object.keys(columns).map((name) => [name, { shape: [1] }]));
  const program = engine.compile((inputs) => ({ ...valueAndSlopes(preference, inputs as unknown as PairLogps) }), signature, {
    name: "loss_type",
  });
  try {
    await program.run(Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, hostTensor(values, [1])])) as HostTensors);
  } finally {
    await program.dispose();
  }
}

type Columns = Record<string, number[]>;

async function onCpu(preference: Preference, columns: Columns): Promise<BatchLoss> {
  const previous = tf.engine().backendName || "cpu";
  await tf.setBackend("cpu");
  try {
    tf.engine().startScope();
    try {
      const logps = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, tf.tensor1d(values)]));
      const { value, slopes } = valueAndSlopes(preference, logps as unknown as PairLogps);
      const all = slopes.dataSync();
      const pairs = columns["policyChosen"]!.length;
      const of = (i: number): ArrayLike<number> => all.slice(i * pairs, (i + 1) * pairs);
      return { loss: value.dataSync()[0]!, slopes: { policyChosen: of(0), policyRejected: of(1), chosenNll: of(2) } };
    } finally {
      tf.engine().endScope();
    }
  } finally {
    await tf.setBackend(previous);
  }
}

/** The mean over the pairs and its slopes in the order of `SLOPED`, shape [3, P]. */
function valueAndSlopes(preference: Preference, logps: PairLogps): { value: tf.Scalar; slopes: tf.Tensor2D } {
  const mean = (policy: tf.Tensor): tf.Scalar => {
    const variables = tf.unstack(policy) as tf.Tensor1D[];
    const current = Object.fromEntries(SLOPED.map((name, i) => [name, variables[i]!]));
    return tf.mean(preference.loss({ ...logps, ...current }));
  };
  // One stacked variable: a loss may leave out some of them, but not all.
  const policy = tf.stack(SLOPED.map((name) => logps[name])); // [3, P]
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
