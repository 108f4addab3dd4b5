/** Losses and updates as people write them: TensorFlow.js's own and those of preference tuning. */
import { tf } from "../../../src/compile/index.js";
import { type ContractCase, contractCase, floats, ints, normal, uniform } from "../contractCase.js";

/** softmaxCrossEntropy's gradient takes rows that add up to 1. */
const ONE_HOT = [
  [0, 0, 1],
  [1, 0, 0],
];
const labels = floats([
  [1, 0, 1],
  [0, 1, 1],
]);
const guesses = uniform([2, 3], 0.1, 0.9, 5);

const library: ContractCase[] = [
  contractCase({
    name: "absoluteDifference, meanSquaredError, huberLoss, hingeLoss",
    inputs: { y: labels, p: guesses },
    fn: ({ y, p }) => [
      tf.losses.absoluteDifference(y, p),
      tf.losses.meanSquaredError(y, p),
      tf.losses.huberLoss(y, p, undefined, 0.5),
      tf.losses.hingeLoss(y, p),
    ],
    gradientOf: ["p"],
  }),
  contractCase({
    name: "logLoss, cosineDistance, sigmoidCrossEntropy, softmaxCrossEntropy",
    inputs: { y: labels, p: guesses },
    fn: ({ y, p }) => [
      tf.losses.logLoss(y, p),
      tf.losses.cosineDistance(y, p, 1),
      tf.losses.sigmoidCrossEntropy(y, p),
      tf.losses.softmaxCrossEntropy(ONE_HOT, p),
    ],
    gradientOf: ["p"],
  }),
  contractCase({
    name: "weights, reductions and label smoothing of losses",
    inputs: {
      y: labels,
      p: guesses,
      w: floats([
        [1, 0, 2],
        [0.5, 0, 1],
      ]),
    },
    fn: ({ y, p, w }) => [
      tf.losses.meanSquaredError(y, p, w),
      tf.losses.meanSquaredError(y, p, w, tf.Reduction.SUM),
      tf.losses.meanSquaredError(y, p, w, tf.Reduction.NONE),
      tf.losses.meanSquaredError(y, p, w, tf.Reduction.MEAN),
      tf.losses.sigmoidCrossEntropy(y, p, w, 0.1),
      tf.losses.softmaxCrossEntropy(ONE_HOT, p, tf.tensor1d([1, 0.5]), 0.2),
      tf.losses.absoluteDifference(y, p, tf.scalar(2)),
    ],
    gradientOf: ["p"],
  }),
];

const preference: ContractCase[] = [
  contractCase({
    name: "DPO, hinge and IPO losses by hand",
    inputs: { chosen: normal([4], 1), rejected: normal([4], 2) },
    fn: ({ chosen, rejected }) => {
      const logits = tf.sub(chosen, rejected);
      return [
        tf.neg(tf.mean(tf.logSigmoid(tf.mul(0.1, logits)))),
        tf.mean(tf.relu(tf.sub(1, tf.mul(0.1, logits)))),
        tf.mean(tf.square(tf.sub(logits, 1 / 0.2))),
      ];
    },
    gradientOf: ["chosen", "rejected"],
  }),
  contractCase({
    name: "robust DPO and KTO-like losses",
    inputs: { chosen: normal([4], 1), rejected: normal([4], 2) },
    fn: ({ chosen, rejected }) => {
      const logits = tf.sub(chosen, rejected);
      const robust = tf.div(tf.sub(tf.mul(-0.9, tf.logSigmoid(logits)), tf.mul(-0.1, tf.logSigmoid(tf.neg(logits)))), 0.8);
      const kl = tf.maximum(tf.mean(logits), 0);
      return [
        robust,
        tf.sub(1, tf.sigmoid(tf.mul(0.1, tf.sub(chosen, kl)))),
        tf.mean(tf.where(tf.greater(logits, 0), robust, tf.zerosLike(robust))),
      ];
    },
    gradientOf: ["chosen", "rejected"],
  }),
  contractCase({
    name: "summed log-probabilities of masked tokens",
    inputs: { logits: normal([5, 7]), targets: ints([1, 0, 6, 3, 3]), mask: floats([0, 1, 1, 0, 1]) },
    fn: ({ logits, targets, mask }) => {
      const tokenLogps = tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(targets, 7).toFloat()), -1);
      const picked = tf.reshape(tf.gather(tf.logSoftmax(logits), tf.reshape(targets, [5, 1]), 1, 1), [5]);
      return [
        tf.sum(tf.mul(tokenLogps, mask)),
        tf.div(tf.sum(tf.mul(picked, mask)), tf.sum(mask)),
        tf.mean(tf.cast(tf.equal(tf.argMax(logits, -1), targets), "float32")),
      ];
    },
    gradientOf: ["logits"],
  }),
];

const updates: ContractCase[] = [
  contractCase({
    name: "an AdamW step",
    inputs: {
      w: normal([3, 2]),
      g: normal([3, 2], 2),
      m: normal([3, 2], 3),
      v: uniform([3, 2], 0.01, 1),
      step: ints(3),
      rate: floats(1e-3),
    },
    fn: ({ w, g, m, v, step, rate }) => {
      const t = tf.cast(step, "float32");
      const newM = tf.add(tf.mul(m, 0.9), tf.mul(g, 0.1));
      const newV = tf.add(tf.mul(v, 0.999), tf.mul(tf.square(g), 0.001));
      const corrected = tf.div(newM, tf.sub(1, tf.pow(0.9, t)));
      const denominator = tf.add(tf.sqrt(tf.div(newV, tf.sub(1, tf.pow(0.999, t)))), 1e-8);
      const decayed = tf.mul(w, tf.sub(1, tf.mul(rate, 0.01)));
      return {
        w: tf.sub(decayed, tf.mul(rate, tf.div(corrected, denominator))),
        m: newM,
        v: newV,
        step: tf.add(step, tf.scalar(1, "int32")),
      };
    },
  }),
  contractCase({
    name: "two layers, a loss and a gradient step in one function",
    inputs: { x: normal([4, 3]), y: floats([[1], [0], [1], [0]]), w1: normal([3, 5], 2), w2: normal([5, 1], 3) },
    fn: ({ x, y, w1, w2 }) => {
      const loss = (a: tf.Tensor, b: tf.Tensor): tf.Scalar =>
        tf.losses.sigmoidCrossEntropy<tf.Tensor, tf.Scalar>(y, tf.matMul(tf.tanh(tf.matMul(x, a)), b));
      const { value, grads } = tf.valueAndGrads(loss)([w1, w2]);
      return { loss: value, w1: tf.sub(w1, tf.mul(grads[0]!, 0.1)), w2: tf.sub(w2, tf.mul(grads[1]!, 0.1)) };
    },
  }),
  contractCase({
    name: "a custom gradient",
    inputs: { x: normal([3]) },
    fn: ({ x }) => {
      const straightThrough = tf.customGrad((...args: unknown[]) => ({
        value: tf.round(args[0] as tf.Tensor),
        gradFunc: (dy: tf.Tensor) => tf.mul(dy, 2),
      }));
      return straightThrough(x);
    },
    gradientOf: ["x"],
    noDifferences: "rounding with a made-up gradient",
  }),
  contractCase({
    name: "dropout with a seed repeats its mask",
    inputs: { x: normal([4, 5]) },
    fn: ({ x }) => tf.dropout(x, 0.4, undefined, 7),
    gradientOf: ["x"],
  }),
];

export const lossCases: ContractCase[] = [...library, ...preference, ...updates];
