/** Kernels of one tensor, element by element. */
import { tf } from "../../../src/compile/index.js";
import { type CaseTensor, type ContractCase, bools, contractCase, floats, ints, uniform } from "../contractCase.js";

const inf = Infinity;
/** Numbers on which implementations like to disagree. */
const ODD = floats([
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  -1.5,
  2.5,
  -2.5,
  3.4999,
  1e-8,
  -1e-8,
  1e-3,
  30,
  -30,
  100,
  -100,
  1e30,
  -1e30,
  inf,
  -inf,
  NaN,
]);

interface UnaryRow {
  readonly fn: (x: CaseTensor) => tf.Tensor;
  /** Where the derivative is checked; null when the kernel has none. */
  readonly smooth: readonly [low: number, high: number] | null;
  readonly tolerance?: number;
  readonly differenceTolerance?: number;
}

const rows: Record<string, UnaryRow> = {
  abs: { fn: tf.abs, smooth: [0.2, 2] },
  acos: { fn: tf.acos, smooth: [-0.8, 0.8] },
  acosh: { fn: tf.acosh, smooth: [1.5, 4] },
  asin: { fn: tf.asin, smooth: [-0.8, 0.8] },
  asinh: { fn: tf.asinh, smooth: [-3, 3] },
  atan: { fn: tf.atan, smooth: [-3, 3] },
  atanh: { fn: tf.atanh, smooth: [-0.8, 0.8] },
  ceil: { fn: tf.ceil, smooth: [0.2, 0.8] },
  cos: { fn: tf.cos, smooth: [-3, 3] },
  cosh: { fn: tf.cosh, smooth: [-2, 2] },
  elu: { fn: tf.elu, smooth: [-2, -0.2] },
  erf: { fn: tf.erf, smooth: [-2, 2] },
  exp: { fn: tf.exp, smooth: [-2, 2] },
  expm1: { fn: tf.expm1, smooth: [-2, 2] },
  floor: { fn: tf.floor, smooth: [0.2, 0.8] },
  leakyRelu: { fn: (x) => tf.leakyRelu(x, 0.1), smooth: [-2, -0.2] },
  log: { fn: tf.log, smooth: [0.3, 3] },
  log1p: { fn: tf.log1p, smooth: [-0.7, 3] },
  logSigmoid: { fn: tf.logSigmoid, smooth: [-3, 3] },
  neg: { fn: tf.neg, smooth: [-2, 2] },
  onesLike: { fn: tf.onesLike, smooth: null },
  reciprocal: { fn: tf.reciprocal, smooth: [0.5, 2] },
  relu: { fn: tf.relu, smooth: [0.2, 2] },
  relu6: { fn: tf.relu6, smooth: [0.2, 2] },
  round: { fn: tf.round, smooth: [0.6, 0.9] },
  rsqrt: { fn: tf.rsqrt, smooth: [0.4, 3] },
  selu: { fn: tf.selu, smooth: [-2, -0.2] },
  sigmoid: { fn: tf.sigmoid, smooth: [-4, 4] },
  sign: { fn: tf.sign, smooth: [0.2, 2] },
  sin: { fn: tf.sin, smooth: [-3, 3] },
  sinh: { fn: tf.sinh, smooth: [-2, 2] },
  softplus: { fn: tf.softplus, smooth: [-4, 4] },
  sqrt: { fn: tf.sqrt, smooth: [0.4, 3] },
  square: { fn: tf.square, smooth: [-2, 2] },
  step: { fn: (x) => tf.step(x, 0.25), smooth: [0.2, 2] },
  tan: { fn: tf.tan, smooth: [-1.2, 1.2] },
  tanh: { fn: tf.tanh, smooth: [-3, 3] },
  zerosLike: { fn: tf.zerosLike, smooth: null },
};

/** Trigonometric functions of huge arguments depend on the last bit of the argument's reduction. */
const PERIODIC = new Set(["sin", "cos", "tan"]);
const MODEST = floats([0, -0, 1, -1, 0.5, -0.5, 1.5, -1.5, 2.5, 1e-8, 1e-3, 30, -30, 100, inf, -inf, NaN]);

const unary: ContractCase[] = Object.entries(rows).flatMap(([name, { fn, smooth, tolerance, differenceTolerance }]) => [
  contractCase({ name: `${name} of odd numbers`, inputs: { x: PERIODIC.has(name) ? MODEST : ODD }, fn: ({ x }) => fn(x), tolerance }),
  ...(smooth === null
    ? []
    : [
        contractCase({
          name: `${name} and its gradient`,
          inputs: { x: uniform([2, 5], ...smooth) },
          fn: ({ x }) => fn(x),
          gradientOf: ["x"],
          tolerance,
          differenceTolerance,
        }),
      ]),
]);

/** The float input just below and above a kink, where only the choice of side matters. */
const KINKED = floats([-1, -1e-3, 0, 1e-3, 1, 5.9, 6, 6.1]);
const kinks: ContractCase[] = (["abs", "relu", "relu6", "elu", "selu", "leakyRelu", "step", "sign"] as const).map((name) =>
  contractCase({
    name: `${name} gradient at its kink`,
    inputs: { x: KINKED },
    fn: ({ x }) => rows[name]!.fn(x),
    gradientOf: ["x"],
    noDifferences: "not differentiable there",
  }),
);

/** Up to 2^24: TensorFlow.js's `cpu` backend passes some integers through float32. */
const INTEGERS = ints([0, 1, -1, 2, -2, 3, 7, -7, 100, 16777216, -16777216]);
const onIntegers: ContractCase[] = [
  ...(["abs", "neg", "sign", "square", "relu", "relu6", "round", "step", "onesLike", "zerosLike"] as const).map((name) =>
    contractCase({
      name: `${name} of int32`,
      inputs: { x: name === "square" || name === "step" ? ints([0, 1, -1, 7, -7, 40000]) : INTEGERS },
      fn: ({ x }) => rows[name]!.fn(x),
    }),
  ),
  contractCase({ name: "square of int32 that overflows", inputs: { x: ints([65536, 100000]) }, fn: ({ x }) => tf.square(x) }),
  contractCase({ name: "reciprocal of int32", inputs: { x: ints([1, -1, 2, -2]) }, fn: ({ x }) => tf.reciprocal(x) }),
  contractCase({
    name: "leakyRelu, prelu and softplus of int32",
    inputs: { x: ints([0, 1, 2, -1]), alpha: ints(2) },
    fn: ({ x, alpha }) => [tf.leakyRelu(x, 0.5), tf.prelu(x, alpha), tf.softplus(x)],
  }),
  contractCase({
    name: "log1p and expm1 keep small numbers",
    inputs: { x: floats([1e-8, -1e-8, 3e-5, -3e-5, 1e-3, 0.4, -0.4]) },
    fn: ({ x }) => [tf.div(tf.log1p(x), x), tf.div(tf.expm1(x), x)],
  }),
  contractCase({
    name: "exp gives float32 for every type, other kernels keep it",
    inputs: { i: ints([0, 1, -1]), b: bools([true, false]) },
    fn: ({ i, b }) => [tf.exp(i), tf.exp(b), tf.expm1(i), tf.log1p(b), tf.reciprocal(b), tf.softplus(b)],
  }),
  contractCase({
    name: "abs, sign and relu of bool",
    inputs: { x: bools([true, false]) },
    fn: ({ x }) => [tf.abs(x), tf.relu(x), tf.zerosLike(x), tf.onesLike(x)],
  }),
];

const casts: ContractCase[] = [
  contractCase({
    name: "cast float32 to int32 and bool",
    inputs: { x: floats([0, -0, 0.9, -0.9, 1.5, -1.5, 2147483000, -2147483648, inf, -inf, NaN]) },
    fn: ({ x }) => [tf.cast(x, "int32"), tf.cast(x, "bool"), tf.cast(x, "float32")],
  }),
  contractCase({
    name: "cast int32 to float32 and bool",
    inputs: { x: ints([0, 1, -1, 5, 16777217]) },
    fn: ({ x }) => [tf.cast(x, "float32"), tf.cast(x, "bool"), tf.cast(x, "int32")],
  }),
  contractCase({
    name: "cast bool to float32 and int32",
    inputs: { x: bools([true, false]) },
    fn: ({ x }) => [tf.cast(x, "float32"), tf.cast(x, "int32"), tf.cast(x, "bool")],
  }),
  contractCase({
    name: "cast gradient",
    inputs: { x: uniform([3], -1, 1) },
    fn: ({ x }) => tf.mul(tf.cast(x, "float32"), x),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "clone and identity gradients",
    inputs: { x: uniform([3], -1, 1) },
    fn: ({ x }) => tf.mul(tf.clone(x), tf.clone(tf.clone(x))),
    gradientOf: ["x"],
  }),
];

const others: ContractCase[] = [
  contractCase({ name: "isNaN, isInf, isFinite", inputs: { x: ODD }, fn: ({ x }) => [tf.isNaN(x), tf.isInf(x), tf.isFinite(x)] }),
  contractCase({
    name: "isNaN, isInf, isFinite of int32",
    inputs: { x: ints([0, 1, -1]) },
    fn: ({ x }) => [tf.isNaN(x), tf.isInf(x), tf.isFinite(x)],
  }),
  contractCase({ name: "clipByValue", inputs: { x: ODD }, fn: ({ x }) => [tf.clipByValue(x, -1, 1.5), tf.clipByValue(x, 0, 0)] }),
  contractCase({
    name: "clipByValue of int32",
    inputs: { x: INTEGERS },
    fn: ({ x }) => [tf.clipByValue(x, -2, 3), tf.clipByValue(x, -1.5, 2.5)],
  }),
  contractCase({
    name: "clipByValue gradient, at the bounds too",
    inputs: { x: floats([-2, -1, -0.5, 0.5, 1, 2]) },
    fn: ({ x }) => tf.clipByValue(x, -1, 1),
    gradientOf: ["x"],
    noDifferences: "kinks at the bounds",
  }),
  contractCase({
    name: "clipByValue gradient inside",
    inputs: { x: floats([-2, -0.5, 0.5, 2]) },
    fn: ({ x }) => tf.square(tf.clipByValue(x, -1, 1)),
    gradientOf: ["x"],
  }),
  contractCase({ name: "logicalNot", inputs: { x: bools([[true], [false]]) }, fn: ({ x }) => tf.logicalNot(x) }),
  contractCase({ name: "prelu", inputs: { x: ODD, alpha: floats(0.3) }, fn: ({ x, alpha }) => tf.prelu(x, alpha) }),
  contractCase({
    name: "prelu gradient, alpha per column",
    inputs: {
      x: floats([
        [1, -2, 0.5],
        [-0.6, 0.7, -1],
      ]),
      alpha: floats([0.3, -0.2, 0.1]),
    },
    fn: ({ x, alpha }) => tf.prelu(x, alpha),
    gradientOf: ["x", "alpha"],
  }),
  contractCase({ name: "leakyRelu with the default slope", inputs: { x: ODD }, fn: ({ x }) => tf.leakyRelu(x) }),
  contractCase({
    name: "rank 0",
    inputs: { x: floats(0.7) },
    fn: ({ x }) => [tf.exp(x), tf.neg(x), tf.relu(x), tf.cast(x, "int32")],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "second derivative of a polynomial",
    inputs: { x: uniform([4], 0.5, 2) },
    fn: ({ x }) => tf.grad((v) => tf.sum(tf.mul(tf.mul(v, v), v)))(x),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gelu as composed with erf and with tanh",
    inputs: { x: uniform([6], -3, 3) },
    fn: ({ x }) => [
      tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.div(x, Math.SQRT2)))),
      tf.mul(tf.mul(x, 0.5), tf.add(1, tf.tanh(tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.pow(x, 3))))))),
    ],
    gradientOf: ["x"],
  }),
];

export const elementwiseCases: ContractCase[] = [...unary, ...kinks, ...onIntegers, ...casts, ...others];
