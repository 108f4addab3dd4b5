/** Sums, extremes, scans, softmax and what is built from them. */
import { tf } from "../../../src/compile/index.js";
import { type CaseTensor, type ContractCase, bools, contractCase, floats, ints, normal, uniform } from "../contractCase.js";

type Reduction = (x: CaseTensor, axis?: number | number[], keepDims?: boolean) => tf.Tensor;
const reductions: Record<string, Reduction> = { sum: tf.sum, mean: tf.mean, prod: tf.prod, max: tf.max, min: tf.min };

const overAxes: ContractCase[] = Object.entries(reductions).map(([name, fn]) =>
  contractCase({
    name: `${name} over every choice of axes`,
    inputs: { x: normal([2, 3, 2]) },
    fn: ({ x }) => [
      fn(x),
      fn(x, 0),
      fn(x, 1),
      fn(x, -1),
      fn(x, [0, 2]),
      fn(x, [-1, -2]),
      fn(x, [0, 1, 2]),
      fn(x, null as never, true),
      fn(x, 1, true),
      fn(x, [0, 1], true),
      fn(x, []),
    ],
    gradientOf: ["x"],
  }),
);

const ofTypes: ContractCase[] = Object.entries(reductions).flatMap(([name, fn]) => [
  contractCase({
    name: `${name} of int32`,
    inputs: {
      x: ints([
        [3, -4, 7],
        [2, 2, -9],
      ]),
    },
    fn: ({ x }) => [fn(x), fn(x, 0), fn(x, 1, true)],
  }),
  contractCase({
    name: `${name} of bool`,
    inputs: {
      x: bools([
        [true, false, true],
        [true, true, true],
      ]),
    },
    fn: ({ x }) => [fn(x), fn(x, 0), fn(x, 1, true)],
  }),
  contractCase({
    name: `${name} of rank 0 and of axes of length 1`,
    inputs: { s: floats(1.5), x: normal([1, 3, 1]), b: bools([[true]]), i: ints([[7]]) },
    fn: ({ s, x, b, i }) => [fn(s), fn(x, 0), fn(x, [0, 2]), fn(x, 2, true), fn(b, 0), fn(i)],
  }),
  contractCase({
    name: `${name} with NaN and infinities`,
    inputs: {
      x: floats([
        [1, NaN, 2],
        [Infinity, 1, 2],
        [-Infinity, Infinity, 0],
        [-Infinity, 3, 4],
      ]),
    },
    fn: ({ x }) => [fn(x, 1), fn(x)],
  }),
]);

const logical: ContractCase[] = [
  contractCase({
    name: "all and any",
    inputs: {
      x: bools([
        [true, false, true],
        [true, true, true],
        [false, false, false],
      ]),
    },
    fn: ({ x }) => [tf.all(x), tf.any(x), tf.all(x, 0), tf.any(x, 1), tf.all(x, 1, true), tf.any(x, [0, 1], true)],
  }),
  contractCase({
    name: "all and any over axes of length 1 and rank 0",
    inputs: { x: bools([[true], [false]]), s: bools(true) },
    fn: ({ x, s }) => [tf.all(x, 1), tf.any(x, 1), tf.all(s), tf.any(s)],
  }),
  contractCase({
    name: "argMax and argMin",
    inputs: { x: normal([3, 4, 2]) },
    fn: ({ x }) => [tf.argMax(x), tf.argMax(x, 1), tf.argMin(x, -1), tf.argMin(x, 0), tf.argMax(x, 2)],
  }),
  contractCase({
    name: "argMax and argMin take the first of ties",
    inputs: {
      x: floats([
        [1, 3, 3, 1],
        [0, -0, 0, -0],
        [2, 2, 2, 2],
      ]),
    },
    fn: ({ x }) => [tf.argMax(x, 1), tf.argMin(x, 1), tf.argMax(x, 0), tf.argMin(x, 0)],
  }),
  contractCase({
    name: "argMax and argMin beside NaN",
    inputs: {
      x: floats([
        [1, NaN, 3, 2],
        [NaN, 1, 2, 0],
      ]),
    },
    fn: ({ x }) => [tf.argMax(x, 1), tf.argMin(x, 1)],
  }),
  contractCase({
    name: "argMax and argMin of int32 and bool",
    inputs: {
      x: ints([
        [3, -4, 7],
        [2, 2, -9],
      ]),
      b: bools([[false, true, true]]),
    },
    fn: ({ x, b }) => [tf.argMax(x, 1), tf.argMin(x, 1), tf.argMax(b, 1), tf.argMin(b, 1)],
  }),
];

const extremes: ContractCase[] = [
  contractCase({
    name: "max and min gradients at ties",
    inputs: {
      x: floats([
        [1, 3, 3],
        [2, 2, 1],
      ]),
    },
    fn: ({ x }) => [tf.max(x, 1), tf.min(x, 1), tf.max(x)],
    gradientOf: ["x"],
    noDifferences: "a tie is a kink",
  }),
  contractCase({
    name: "prod gradient with a zero",
    inputs: {
      x: floats([
        [2, 0, 3],
        [1, 4, -2],
      ]),
    },
    fn: ({ x }) => tf.prod(x, 1),
    gradientOf: ["x"],
  }),
];

const scans: ContractCase[] = [
  contractCase({
    name: "cumsum",
    inputs: { x: normal([2, 4, 3]) },
    fn: ({ x }) => [
      tf.cumsum(x),
      tf.cumsum(x, 1),
      tf.cumsum(x, 2),
      tf.cumsum(x, 1, true),
      tf.cumsum(x, 1, false, true),
      tf.cumsum(x, 2, true, true),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "cumsum of int32 and bool",
    inputs: { x: ints([3, -1, 4]), b: bools([true, false, true, true]) },
    fn: ({ x, b }) => [tf.cumsum(x), tf.cumsum(x, 0, true, true), tf.cumsum(b), tf.cumsum(b, 0, true)],
  }),
  contractCase({
    name: "cumprod",
    inputs: { x: uniform([2, 5, 3], 0.5, 1.5) },
    fn: ({ x }) => [
      tf.cumprod(x),
      tf.cumprod(x, 1),
      tf.cumprod(x, 2),
      tf.cumprod(x, 1, true),
      tf.cumprod(x, 1, false, true),
      tf.cumprod(x, 1, true, true),
    ],
  }),
  contractCase({
    name: "cumprod of int32, of bool and of length 1",
    inputs: { x: ints([3, -1, 4, 2]), b: bools([true, true, false, true]), one: floats([[2.5]]) },
    fn: ({ x, b, one }) => [tf.cumprod(x), tf.cumprod(x, 0, true, true), tf.cumprod(b), tf.cumprod(one, 1), tf.cumprod(one, 1, true)],
  }),
];

const softmaxes: ContractCase[] = [
  contractCase({
    name: "softmax",
    inputs: { x: normal([3, 5]) },
    fn: ({ x }) => [tf.softmax(x), tf.softmax(x, -1), tf.softmax(x, 1)],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "softmax of large, equal and masked logits",
    inputs: {
      x: floats([
        [1000, 999, -1000],
        [5, 5, 5],
        [0, -1e9, -1e9],
        [-1e9, -1e9, -1e9],
        [1, -Infinity, 2],
      ]),
    },
    fn: ({ x }) => tf.softmax(x),
  }),
  contractCase({
    name: "softmax of one element and of rank 4",
    inputs: { x: normal([2, 2, 2, 3]), y: normal([4, 1]) },
    fn: ({ x, y }) => [tf.softmax(x), tf.softmax(y)],
  }),
  contractCase({ name: "logSoftmax", inputs: { x: normal([3, 5]) }, fn: ({ x }) => tf.logSoftmax(x), gradientOf: ["x"] }),
  contractCase({
    name: "logSoftmax of large logits",
    inputs: {
      x: floats([
        [1000, 999, -1000],
        [5, 5, 5],
      ]),
    },
    fn: ({ x }) => tf.logSoftmax(x),
  }),
  contractCase({
    name: "logSumExp",
    inputs: { x: normal([3, 4]) },
    fn: ({ x }) => [tf.logSumExp(x), tf.logSumExp(x, 1), tf.logSumExp(x, 0, true), tf.logSumExp(x, [0, 1])],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "logSumExp of large numbers",
    inputs: {
      x: floats([
        [1000, 1000],
        [-1000, -1000],
      ]),
    },
    fn: ({ x }) => tf.logSumExp(x, 1),
  }),
];

const composed: ContractCase[] = [
  contractCase({
    name: "moments",
    inputs: { x: normal([3, 4]) },
    fn: ({ x }) => ({ ...tf.moments(x, 1, true), ...Object.fromEntries(Object.entries(tf.moments(x)).map(([k, v]) => [`all ${k}`, v])) }),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "norms",
    inputs: {
      x: floats([
        [0.5, -1.2, 0.9, 2.2],
        [1.4, 0.6, -1.8, 0.3],
        [-0.8, 1.6, 0.4, 1.1],
      ]),
    },
    fn: ({ x }) => [
      tf.norm(x),
      tf.norm(x, 1),
      tf.norm(x, "euclidean", 1),
      tf.norm(x, "fro", [0, 1]),
      tf.norm(x, Infinity, 0),
      tf.norm(x, -Infinity, 1),
      tf.norm(x, 2, 1, true),
      tf.euclideanNorm(x, 1),
      tf.norm(x, 1, [0, 1]),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "layer normalisation by hand",
    inputs: { x: normal([3, 4]), scale: normal([4], 2), shift: normal([4], 3) },
    fn: ({ x, scale, shift }) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), scale), shift);
    },
    gradientOf: ["x", "scale", "shift"],
  }),
  contractCase({
    name: "batchNorm",
    inputs: { x: normal([4, 3]), mean: normal([3], 2), variance: uniform([3], 0.5, 2), scale: normal([3], 3), offset: normal([3], 4) },
    fn: ({ x, mean, variance, scale, offset }) => tf.batchNorm(x, mean, variance, offset, scale, 0.1),
    gradientOf: ["x", "mean", "variance", "scale", "offset"],
  }),
  contractCase({
    name: "batchNorm without scale, and without offset",
    inputs: { x: normal([4, 3]), mean: normal([3], 2), variance: uniform([3], 0.5, 2), offset: normal([3], 4) },
    fn: ({ x, mean, variance, offset }) => [tf.batchNorm(x, mean, variance), tf.batchNorm(x, mean, variance, offset)],
  }),
  contractCase({
    name: "gradient clipping by global norm",
    inputs: { a: normal([3]), b: normal([2, 2], 2) },
    fn: ({ a, b }) => {
      const norm = tf.sqrt(tf.addN([a, b].map((g) => tf.sum(tf.square(g)))));
      const factor = tf.minimum(tf.scalar(1), tf.div(0.5, tf.add(norm, 1e-6)));
      return [tf.mul(a, factor), tf.mul(b, factor), norm];
    },
  }),
];

export const reductionCases: ContractCase[] = [...overAxes, ...ofTypes, ...logical, ...extremes, ...scans, ...softmaxes, ...composed];
