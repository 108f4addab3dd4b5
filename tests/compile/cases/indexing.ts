/** Gathers, scatters, counting, sorting. */
import { tf } from "../../../src/compile/index.js";
import { type ContractCase, bools, contractCase, floats, ints, normal } from "../contractCase.js";

const gathers: ContractCase[] = [
  contractCase({
    name: "gather",
    inputs: { x: normal([4, 3]), i: ints([3, 0, 0, 2]) },
    fn: ({ x, i }) => [
      tf.gather(x, i),
      tf.gather(x, tf.mod(i, tf.scalar(3, "int32")), 1),
      tf.gather(x, tf.reshape(i, [2, 2])),
      tf.gather(x, 1),
      tf.gather(x, tf.tensor1d([1, 2], "int32"), -1),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gather of int32, of bool, with a rank 0 index",
    inputs: {
      n: ints([
        [1, 2],
        [3, 4],
      ]),
      b: bools([true, false]),
      i: ints(1),
    },
    fn: ({ n, b, i }) => [tf.gather(n, i), tf.gather(b, i), tf.gather(n, i, 1)],
  }),
  contractCase({
    name: "gather with batchDims",
    inputs: {
      x: normal([2, 3, 2]),
      i: ints([
        [2, 0],
        [1, 1],
      ]),
    },
    fn: ({ x, i }) => [tf.gather(x, i, 1, 1), tf.gather(x, i, -2, -1)],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gather one element per row",
    inputs: { x: normal([3, 4]), i: ints([2, 0, 3]) },
    fn: ({ x, i }) => tf.gather(x, tf.reshape(i, [3, 1]), 1, 1),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gather with batchDims and a later axis",
    inputs: {
      x: normal([2, 2, 3]),
      i: ints([
        [2, 0, 1],
        [1, 1, 0],
      ]),
    },
    fn: ({ x, i }) => tf.gather(x, i, 2, 1),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gather with batchDims along an axis of length 1",
    inputs: {
      x: normal([2, 1, 3]),
      i: ints([
        [0, 0],
        [0, 0],
      ]),
    },
    fn: ({ x, i }) => tf.gather(x, i, 1, 1),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gather with two batchDims",
    inputs: {
      x: normal([2, 2, 3]),
      i: ints([
        [[2], [0]],
        [[1], [1]],
      ]),
    },
    fn: ({ x, i }) => tf.gather(x, i, 2, 2),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "gatherND",
    inputs: {
      x: normal([2, 3, 2]),
      i: ints([
        [0, 2],
        [1, 0],
      ]),
    },
    fn: ({ x, i }) => [
      tf.gatherND(x, i),
      tf.gatherND(x, tf.reshape(i, [4, 1]).clipByValue(0, 1).toInt()),
      tf.gatherND(x, tf.tensor2d([[1, 2, 1]], [1, 3], "int32")),
    ],
    gradientOf: ["x"],
  }),
];

const scatters: ContractCase[] = [
  contractCase({
    name: "scatterND adds duplicates",
    inputs: { i: ints([[1], [3], [1]]), u: normal([3, 2]) },
    fn: ({ i, u }) => tf.scatterND(i, u, [5, 2]),
    gradientOf: ["u"],
  }),
  contractCase({
    name: "scatterND of int32 with two coordinates",
    inputs: {
      i: ints([
        [0, 1],
        [1, 2],
        [0, 1],
      ]),
      u: ints([5, 6, 7]),
    },
    fn: ({ i, u }) => tf.scatterND(i, u, [2, 3]),
  }),
  contractCase({
    name: "tensorScatterUpdate",
    inputs: { x: normal([4, 2]), i: ints([[2], [0]]), u: normal([2, 2], 2) },
    fn: ({ x, i, u }) => [tf.tensorScatterUpdate(tf.mul(x, 1), i, u), tf.tensorScatterUpdate(tf.zeros([4, 2]), i, u)],
    gradientOf: ["x", "u"],
  }),
  contractCase({
    name: "sparseToDense",
    inputs: {
      i: ints([
        [0, 1],
        [2, 0],
      ]),
      v: floats([1.5, 2.5]),
      s: floats(9),
    },
    fn: ({ i, v, s }) => [
      tf.sparseToDense(i, v, [3, 2], -1),
      tf.sparseToDense(tf.tensor1d([1, 3], "int32"), v, [5], 0),
      tf.sparseToDense(i, s, [3, 2], 0.5),
    ],
  }),
  contractCase({
    name: "unsortedSegmentSum",
    inputs: { x: normal([5, 2]), ids: ints([0, 2, 0, 1, 2]) },
    fn: ({ x, ids }) => [tf.unsortedSegmentSum(x, ids, 4), tf.unsortedSegmentSum(tf.sum(x, 1), ids, 3)],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "unsortedSegmentSum drops ids outside",
    inputs: { x: normal([4, 2]), ids: ints([-1, 1, 5, 0]) },
    fn: ({ x, ids }) => tf.unsortedSegmentSum(x, ids, 2),
  }),
  contractCase({
    name: "unsortedSegmentSum gradient drops negative ids",
    inputs: { x: normal([4, 2]), ids: ints([-1, 1, 1, 0]) },
    fn: ({ x, ids }) => tf.unsortedSegmentSum(x, ids, 2),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "unsortedSegmentSum of int32",
    inputs: { x: ints([1, 2, 3]), ids: ints([1, 0, 1]) },
    fn: ({ x, ids }) => tf.unsortedSegmentSum(x, ids, 2),
  }),
];

const counting: ContractCase[] = [
  contractCase({
    name: "bincount",
    inputs: { x: ints([0, 2, 2, 5, 1]), w: floats([1, 2, 3, 4, 0.5]) },
    fn: ({ x, w }) => [tf.bincount(x, tf.tensor1d([]), 4), tf.bincount(x, w, 4), tf.bincount(x, w, 6)],
  }),
  contractCase({
    name: "denseBincount",
    inputs: {
      x: ints([
        [0, 2, 2],
        [1, 1, 7],
      ]),
      w: floats([
        [1, 2, 3],
        [4, 0.5, 1],
      ]),
    },
    fn: ({ x, w }) => [
      tf.denseBincount(x, tf.tensor2d([], [0, 0]) as never, 3),
      tf.denseBincount(x, w, 3),
      tf.denseBincount(x, tf.tensor1d([]), 3, true),
      tf.denseBincount(tf.reshape(x, [6]) as never, tf.tensor1d([]), 3),
    ],
  }),
  contractCase({
    name: "confusionMatrix",
    inputs: { labels: ints([0, 1, 2, 1]), guesses: ints([0, 2, 2, 1]) },
    fn: ({ labels, guesses }) => tf.math.confusionMatrix(labels, guesses, 3),
  }),
];

const sorting: ContractCase[] = [
  contractCase({
    name: "topk",
    inputs: { x: normal([3, 6]) },
    fn: ({ x }) => ({
      ...tf.topk(x, 2),
      ...Object.fromEntries(Object.entries(tf.topk(x, 6)).map(([k, v]) => [`all ${k}`, v])),
      ...Object.fromEntries(Object.entries(tf.topk(x)).map(([k, v]) => [`one ${k}`, v])),
    }),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "topk takes the first of ties",
    inputs: {
      x: floats([
        [1, 3, 3, 2, 3],
        [2, 2, 2, 2, 2],
      ]),
    },
    fn: ({ x }) => ({ ...tf.topk(x, 3) }),
  }),
  contractCase({
    name: "topk of bool",
    inputs: { x: bools([false, true, true]) },
    fn: ({ x }) => ({ ...tf.topk(x, 2) }),
  }),
  contractCase({
    name: "topk of int32",
    inputs: {
      x: ints([
        [1, 9, 3],
        [7, 7, 8],
      ]),
    },
    fn: ({ x }) => ({ ...tf.topk(x, 2) }),
  }),
  contractCase({
    name: "searchSorted, lowerBound, upperBound",
    inputs: {
      s: floats([
        [1, 2, 2, 4],
        [0, 1, 5, 5],
      ]),
      v: floats([
        [0, 2, 3],
        [5, 9, 1],
      ]),
    },
    fn: ({ s, v }) => [tf.searchSorted(s, v), tf.searchSorted(s, v, "right"), tf.lowerBound(s, v), tf.upperBound(s, v)],
  }),
  contractCase({
    name: "searchSorted of int32 and rank 1",
    inputs: { s: ints([1, 3, 3, 7]), v: ints([3, 0, 8]) },
    fn: ({ s, v }) => [tf.searchSorted(s, v), tf.searchSorted(s, v, "right")],
  }),
];

export const indexingCases: ContractCase[] = [...gathers, ...scatters, ...counting, ...sorting];
