/** Kernels of two tensors: arithmetic, comparison, logic, selection, broadcasting. */
import { tf } from "../../../src/compile/index.js";
import { type CaseTensor, type ContractCase, bools, contractCase, floats, ints, normal, uniform } from "../contractCase.js";

const inf = Infinity;
type Binary = (a: CaseTensor, b: CaseTensor) => tf.Tensor;

/** Every pair of the given numbers. */
function pairs(values: readonly number[]): { a: number[]; b: number[] } {
  return { a: values.flatMap((x) => values.map(() => x)), b: values.flatMap(() => [...values]) };
}

const ODD = pairs([0, -0, 1, -1, 0.5, -2.5, 3, 7.25, 1e-3, inf, -inf, NaN]);
const INTEGERS = pairs([0, 1, -1, 2, -2, 3, -3, 7, -7, 2147483647, -2147483648]);

const arithmetic: Record<string, Binary> = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  div: tf.div,
  divNoNan: tf.divNoNan,
  floorDiv: tf.floorDiv,
  maximum: tf.maximum,
  minimum: tf.minimum,
  mod: tf.mod,
  squaredDifference: tf.squaredDifference,
  atan2: tf.atan2,
};
const comparison: Record<string, Binary> = {
  equal: tf.equal,
  notEqual: tf.notEqual,
  greater: tf.greater,
  greaterEqual: tf.greaterEqual,
  less: tf.less,
  lessEqual: tf.lessEqual,
};
const logic: Record<string, Binary> = { logicalAnd: tf.logicalAnd, logicalOr: tf.logicalOr, logicalXor: tf.logicalXor };

const onFloats: ContractCase[] = Object.entries({ ...arithmetic, ...comparison }).map(([name, fn]) =>
  contractCase({ name: `${name} of odd pairs`, inputs: { a: floats(ODD.a), b: floats(ODD.b) }, fn: ({ a, b }) => fn(a, b) }),
);

/** 2^31 is the smallest number that squares of int32 pairs do not hold exactly in TensorFlow.js's double arithmetic. */
const SMALL = pairs([0, 1, -1, 2, -2, 3, -3, 7, -7, 46340]);
const onIntegers: ContractCase[] = [
  ...Object.entries({ ...arithmetic, ...comparison })
    .filter(([name]) => !["divNoNan", "atan2", "mul", "squaredDifference"].includes(name))
    .map(([name, fn]) =>
      contractCase({ name: `${name} of int32 pairs`, inputs: { a: ints(INTEGERS.a), b: ints(INTEGERS.b) }, fn: ({ a, b }) => fn(a, b) }),
    ),
  ...(["mul", "squaredDifference"] as const).map((name) =>
    contractCase({
      name: `${name} of int32 pairs`,
      inputs: { a: ints(SMALL.a), b: ints(SMALL.b) },
      fn: ({ a, b }) => arithmetic[name]!(a, b),
    }),
  ),
  contractCase({ name: "bitwiseAnd", inputs: { a: ints(INTEGERS.a), b: ints(INTEGERS.b) }, fn: ({ a, b }) => tf.bitwiseAnd(a, b) }),
  contractCase({
    name: "floorDiv, div and mod of int32 by constants",
    inputs: { a: ints([7, -7, 6, -6, 0]) },
    fn: ({ a }) => [
      tf.floorDiv(a, tf.scalar(2, "int32")),
      tf.floorDiv(a, tf.scalar(-2, "int32")),
      tf.div(a, tf.scalar(3, "int32")),
      tf.mod(a, tf.scalar(4, "int32")),
      tf.mod(a, tf.scalar(-4, "int32")),
      tf.floorDiv(a, tf.scalar(0, "int32")),
      tf.mod(a, tf.scalar(0, "int32")),
      tf.floorDiv(a, tf.scalar(-1, "int32")),
    ],
  }),
];

const onBools: ContractCase[] = [
  ...Object.entries({ ...comparison, ...logic }).map(([name, fn]) =>
    contractCase({
      name: `${name} of bools`,
      inputs: { a: bools([true, true, false, false]), b: bools([true, false, true, false]) },
      fn: ({ a, b }) => fn(a, b),
    }),
  ),
  ...Object.entries(logic).map(([name, fn]) =>
    contractCase({
      name: `${name} broadcast`,
      inputs: { a: bools([[true], [false]]), b: bools([true, false, true]) },
      fn: ({ a, b }) => fn(a, b),
    }),
  ),
  contractCase({
    name: "mul, maximum, minimum, squaredDifference of bools",
    inputs: { a: bools([true, true, false, false]), b: bools([true, false, true, false]) },
    fn: ({ a, b }) => [tf.mul(a, b), tf.maximum(a, b), tf.minimum(a, b), tf.squaredDifference(a, b)],
  }),
  contractCase({
    name: "bool with float32 in arithmetic",
    inputs: { a: bools([true, false]), b: floats([2.5, -1]) },
    fn: ({ a, b }) => [tf.add(a, b), tf.sub(a, b), tf.mul(a, b), tf.div(b, tf.add(a, tf.scalar(1))), tf.maximum(a, b)],
  }),
  contractCase({
    name: "bool with int32 in arithmetic",
    inputs: { a: bools([true, false]), b: ints([2, -1]) },
    fn: ({ a, b }) => [tf.add(a, b), tf.sub(a, b), tf.mul(a, b), tf.floorDiv(a, b), tf.mod(a, b)],
  }),
  contractCase({
    name: "int32 with float32 in arithmetic",
    inputs: { a: ints([3, -2]), b: floats([2.5, -1]) },
    fn: ({ a, b }) => [tf.add(a, b), tf.sub(a, b), tf.mul(a, b), tf.div(a, b), tf.pow(tf.abs(a), b), tf.greater(a, b)],
  }),
];

const powers: ContractCase[] = [
  contractCase({
    name: "pow of odd pairs",
    inputs: { a: floats(pairs([0, 1, 0.5, -2.5, 3, -1.5]).a), b: floats(pairs([0, 1, 2, 3, -1, 0.5]).b) },
    fn: ({ a, b }) => tf.pow(a, b),
  }),
  contractCase({
    name: "pow of infinities",
    inputs: { a: floats([inf, inf, -inf, -inf, 0, 0, 2, 0.5, NaN]), b: floats([2, -1, 3, 2, inf, -inf, inf, inf, 0]) },
    fn: ({ a, b }) => tf.pow(a, b),
  }),
  contractCase({
    name: "pow of one and minus one to NaN and infinity",
    inputs: { a: floats([1, 1, -1, -1, 1, 1]), b: floats([NaN, inf, inf, -inf, -inf, 2]) },
    fn: ({ a, b }) => tf.pow(a, b),
  }),
  contractCase({
    name: "pow of int32",
    inputs: { a: ints([2, 3, -2, -3, 0, 1, 10, 2, 0, -1]), b: ints([10, 3, 3, 2, 0, 5, 9, -1, -1, -3]) },
    fn: ({ a, b }) => tf.pow(a, b),
  }),
  contractCase({
    name: "pow with constant exponents",
    inputs: { x: floats([0.5, 2, -1.5, 3]) },
    fn: ({ x }) => [tf.pow(x, 2), tf.pow(x, 3), tf.pow(x, -1), tf.pow(x, 0), tf.pow(tf.abs(x), 0.5)],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "pow gradient of a negative base",
    inputs: { a: floats([-1.5, -2, 2]), b: floats([2, 3, 2]) },
    fn: ({ a, b }) => tf.pow(a, b),
    gradientOf: ["a", "b"],
    noDifferences: "TensorFlow.js takes the log of a negative base as 0",
  }),
];

/** Both sides broadcast, and away from kinks. */
const differentiable: readonly string[] = [
  "add",
  "sub",
  "mul",
  "div",
  "divNoNan",
  "maximum",
  "minimum",
  "squaredDifference",
  "atan2",
  "pow",
];
const gradients: ContractCase[] = differentiable.flatMap((name) => {
  const fn = name === "pow" ? tf.pow : arithmetic[name]!;
  const a = uniform([2, 3], 0.5, 1.5, 3);
  return [
    contractCase({
      name: `${name} gradient`,
      inputs: { a, b: uniform([2, 3], 1.6, 2.5, 4) },
      fn: ({ a, b }) => fn(a, b),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${name} gradient, right side broadcast`,
      inputs: { a, b: uniform([3], 1.6, 2.5, 4) },
      fn: ({ a, b }) => fn(a, b),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${name} gradient, left side broadcast`,
      inputs: { a: uniform([3], 1.6, 2.5, 4), b: a },
      fn: ({ a, b }) => fn(a, b),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${name} gradient, both sides broadcast`,
      inputs: { a: uniform([2, 1], 0.5, 1.5), b: uniform([1, 3], 1.6, 2.5) },
      fn: ({ a, b }) => fn(a, b),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${name} gradient, a scalar side`,
      inputs: { a: uniform([2, 2], 0.5, 1.5), b: uniform([], 1.6, 2.5) },
      fn: ({ a, b }) => fn(a, b),
      gradientOf: ["a", "b"],
    }),
  ];
});

const more: ContractCase[] = [
  contractCase({
    name: "mod gradient",
    inputs: { a: floats([5.3, -5.3, 7.1]), b: floats([2, 3, -2.5]) },
    fn: ({ a, b }) => tf.mod(a, b),
    gradientOf: ["a", "b"],
  }),
  contractCase({
    name: "maximum and minimum gradients at ties",
    inputs: { a: floats([1, 2, 3]), b: floats([1, 3, 2]) },
    fn: ({ a, b }) => [tf.maximum(a, b), tf.minimum(a, b)],
    gradientOf: ["a", "b"],
    noDifferences: "a tie is a kink",
  }),
  contractCase({
    name: "floorDiv of floats gives int32",
    inputs: { a: floats([5.5, -5.5, 0.3]), b: floats([2, 2, 0.1]) },
    fn: ({ a, b }) => tf.floorDiv(a, b),
  }),
  contractCase({
    name: "neutral constants",
    inputs: { x: normal([2, 2]) },
    fn: ({ x }) => [
      tf.add(x, 0),
      tf.sub(x, 0),
      tf.sub(0, x),
      tf.mul(x, 1),
      tf.div(x, 1),
      tf.div(1, tf.exp(x)),
      tf.mul(x, 0),
      tf.add(tf.zeros([2, 2]), x),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "neutral constants that broadcast",
    inputs: { x: normal([2]) },
    fn: ({ x }) => [
      tf.add(x, tf.zeros([3, 2])),
      tf.mul(tf.ones([3, 2]), x),
      tf.mul(x, tf.zeros([3, 1])),
      tf.sub(x, tf.zeros([1, 1, 2])),
      tf.div(x, tf.ones([2, 1])),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "constants among themselves",
    inputs: { x: normal([2]) },
    fn: ({ x }) => [
      tf.add(tf.scalar(2), tf.scalar(3)),
      tf.div(tf.ones([2]), tf.zeros([2])),
      tf.mul(x, tf.sub(tf.fill([2], 0.1), tf.fill([2], 0.3))),
      tf.add(tf.scalar(3, "int32"), tf.scalar(4, "int32")),
      tf.div(tf.scalar(7, "int32"), tf.scalar(2, "int32")),
    ],
  }),
  contractCase({
    name: "operators on two repeated numbers keep their shape",
    inputs: { x: normal([2]) },
    fn: ({ x }) => [
      tf.maximum(tf.zerosLike(x), tf.onesLike(x)),
      tf.squaredDifference(tf.ones([2, 1]), tf.zeros([1, 3])),
      tf.equal(tf.ones([2, 2]), tf.ones([2, 2])),
      tf.pow(tf.fill([3], 2), tf.fill([3], 3)),
      tf.mod(tf.fill([2], 7, "int32"), tf.fill([2], 4, "int32")),
      tf.atan2(tf.ones([2]), tf.ones([1])),
    ],
  }),
  contractCase({
    name: "addN",
    inputs: { a: normal([2, 2], 1), b: normal([2, 2], 2), c: normal([2, 2], 3) },
    fn: ({ a, b, c }) => [tf.addN([a, b, c]), tf.addN([a])],
    gradientOf: ["a", "b", "c"],
  }),
  contractCase({
    name: "a tensor with itself",
    inputs: { x: uniform([3], 0.5, 2) },
    fn: ({ x }) => [tf.add(x, x), tf.sub(x, x), tf.mul(x, x), tf.div(x, x), tf.maximum(x, x), tf.equal(x, x)],
    gradientOf: ["x"],
    noDifferences: "a tie is a kink",
  }),
  contractCase({
    name: "where",
    inputs: {
      c: bools([
        [true, false],
        [false, true],
      ]),
      a: normal([2, 2], 1),
      b: normal([2, 2], 2),
    },
    fn: ({ c, a, b }) => tf.where(c, a, b),
    gradientOf: ["a", "b"],
  }),
  contractCase({
    name: "where broadcasts every part",
    inputs: { c: bools([true, false, true]), a: normal([2, 1], 1), b: floats(0.5) },
    fn: ({ c, a, b }) => tf.where(c, a, b),
    gradientOf: ["a", "b"],
  }),
  contractCase({
    name: "where with constants",
    inputs: { c: bools([[true], [false]]), x: normal([2, 3]) },
    fn: ({ c, x }) => [
      tf.where(c, x, tf.scalar(0)),
      tf.where(c, tf.scalar(-1e9), x),
      tf.where(c, tf.scalar(1), tf.scalar(2)),
      tf.where(tf.greater(x, 0), tf.ones([2, 3]), tf.zeros([2, 3])),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "where picks past NaN and infinity",
    inputs: { c: bools([true, false, true]), x: floats([NaN, inf, -inf]) },
    fn: ({ c, x }) => [tf.where(c, x, tf.zerosLike(x)), tf.where(c, tf.zerosLike(x), x)],
  }),
  contractCase({
    name: "where of int32, of bool and of mixed types",
    inputs: { c: bools([true, false]), i: ints([1, 2]), f: floats([0.5, 1.5]), p: bools([false, true]) },
    fn: ({ c, i, f, p }) => [
      tf.where(c, i, tf.neg(i)),
      tf.where(c, p, tf.logicalNot(p)),
      tf.where(c, i, f),
      tf.where(c, f, i),
      tf.where(c, p, f),
    ],
  }),
  contractCase({
    name: "where with a constant condition",
    inputs: { a: normal([2]), b: normal([2], 2) },
    fn: ({ a, b }) => [
      tf.where(tf.tensor([1, 0], [2], "bool"), a, b),
      tf.where(tf.scalar(true, "bool"), a, b),
      tf.where(tf.tensor([0, 0], [2], "bool"), a, b),
    ],
    gradientOf: ["a", "b"],
  }),
  contractCase({
    name: "comparisons with constants and broadcasting",
    inputs: { x: normal([2, 3]) },
    fn: ({ x }) => [
      tf.greater(x, 0),
      tf.lessEqual(x, tf.tensor1d([0, 1, -1])),
      tf.equal(tf.cast(x, "int32"), tf.scalar(0, "int32")),
      tf.greater(tf.ones([2, 1]), x),
      tf.notEqual(x, x),
    ],
  }),
  contractCase({
    name: "rank 0 with rank 3",
    inputs: { a: floats(2), b: normal([2, 1, 2]) },
    fn: ({ a, b }) => [tf.add(a, b), tf.sub(b, a), tf.pow(tf.abs(b), a), tf.maximum(a, b), tf.where(tf.greater(b, 0), a, b)],
  }),
];

export const binaryCases: ContractCase[] = [...onFloats, ...onIntegers, ...onBools, ...powers, ...gradients, ...more];
