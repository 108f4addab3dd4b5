/** Kernels that move, repeat or make elements. */
import { tf } from "../../../src/compile/index.js";
import { type ContractCase, bools, contractCase, floats, ints, normal } from "../contractCase.js";

const cube = normal([2, 3, 4]);

const reshaping: ContractCase[] = [
  contractCase({
    name: "reshape, expandDims, squeeze, flatten",
    inputs: { x: cube },
    fn: ({ x }) => [
      tf.reshape(x, [6, 4]),
      tf.reshape(x, [-1]),
      tf.reshape(x, [4, -1, 2]),
      tf.reshape(x, [2, 3, 4]),
      tf.expandDims(x, 1),
      tf.expandDims(x, -1),
      tf.squeeze(tf.expandDims(x, 0)),
      x.flatten(),
      tf.reshape(tf.reshape(x, [24]), [3, 8]),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "reshape to and from rank 0",
    inputs: { x: floats(2), y: floats([[3]]) },
    fn: ({ x, y }) => [tf.reshape(x, [1, 1]), tf.reshape(y, []), tf.expandDims(x), tf.squeeze(y)],
  }),
  contractCase({
    name: "transpose",
    inputs: { x: cube },
    fn: ({ x }) => [
      tf.transpose(x),
      tf.transpose(x, [0, 2, 1]),
      tf.transpose(x, [1, 0, 2]),
      tf.transpose(x, [2, 0, 1]),
      tf.transpose(x, [0, 1, 2]),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "transpose of int32, of bool, of axes of length 1, of rank 0",
    inputs: {
      i: ints([
        [1, 2],
        [3, 4],
      ]),
      b: bools([[true, false]]),
      x: normal([1, 3, 1]),
      s: floats(1),
    },
    fn: ({ i, b, x, s }) => [tf.transpose(i), tf.transpose(b), tf.transpose(x, [2, 1, 0]), tf.transpose(x, [1, 0, 2]), tf.transpose(s)],
  }),
  contractCase({
    name: "broadcastTo",
    inputs: { x: normal([3, 1]), s: floats(2) },
    fn: ({ x, s }) => [tf.broadcastTo(x, [3, 4]), tf.broadcastTo(x, [2, 3, 4]), tf.broadcastTo(x, [3, 1]), tf.broadcastTo(s, [2, 2])],
    gradientOf: ["x", "s"],
  }),
  contractCase({
    name: "tile",
    inputs: { x: normal([2, 3]), s: normal([1]) },
    fn: ({ x, s }) => [tf.tile(x, [2, 1]), tf.tile(x, [1, 3]), tf.tile(x, [2, 2]), tf.tile(x, [1, 1]), tf.tile(s, [4])],
    gradientOf: ["x", "s"],
  }),
  contractCase({
    name: "tile of int32 and bool",
    inputs: { i: ints([[1, 2]]), b: bools([true, false]) },
    fn: ({ i, b }) => [tf.tile(i, [2, 2]), tf.tile(b, [3]), tf.tile(i, [3, 1])],
  }),
  contractCase({
    name: "reverse",
    inputs: { x: cube },
    fn: ({ x }) => [tf.reverse(x), tf.reverse(x, 0), tf.reverse(x, -1), tf.reverse(x, [0, 2]), tf.reverse(x, [])],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "reverse of rank 0, of int32 and of bool",
    inputs: { s: floats(3), i: ints([1, 2, 3]), b: bools([[true, false]]) },
    fn: ({ s, i, b }) => [tf.reverse(s), tf.reverse(i), tf.reverse(b, 1)],
  }),
];

const joining: ContractCase[] = [
  contractCase({
    name: "concat",
    inputs: { a: normal([2, 3]), b: normal([2, 2], 2), c: normal([2, 1], 3) },
    fn: ({ a, b, c }) => [tf.concat([a, b, c], 1), tf.concat([a, b], -1), tf.concat([tf.transpose(a), tf.transpose(b)]), tf.concat([a])],
    gradientOf: ["a", "b", "c"],
  }),
  contractCase({
    name: "concat of int32 and bool, and with constants",
    inputs: { i: ints([1, 2]), b: bools([true]), x: normal([2]) },
    fn: ({ i, b, x }) => [
      tf.concat([i, tf.tensor1d([7], "int32")]),
      tf.concat([b, b]),
      tf.concat([tf.zeros([1]), x, tf.ones([2])]),
      tf.concat([tf.zeros([1]), tf.zeros([2])]),
    ],
  }),
  contractCase({
    name: "concat of mixed types takes the first",
    inputs: { i: ints([1, 2]), x: floats([0.5, -1.5]) },
    fn: ({ i, x }) => [tf.concat([i, x]), tf.concat([x, i])],
  }),
  contractCase({
    name: "stack and unstack",
    inputs: { a: normal([2, 3]), b: normal([2, 3], 2) },
    fn: ({ a, b }) => [
      tf.stack([a, b]),
      tf.stack([a, b], 1),
      tf.stack([a, b], -1),
      tf.stack([a]),
      ...tf.unstack(a),
      ...tf.unstack(b, -1),
      ...tf.unstack(tf.expandDims(a, 0)),
    ],
    gradientOf: ["a", "b"],
  }),
  contractCase({
    name: "unstack of which one part is used",
    inputs: { a: normal([3, 2]) },
    fn: ({ a }) => tf.square(tf.unstack(a)[1]!),
    gradientOf: ["a"],
  }),
  contractCase({
    name: "split",
    inputs: { x: normal([2, 6]) },
    fn: ({ x }) => [
      ...tf.split(x, 3, 1),
      ...tf.split(x, [1, 3, 2], 1),
      ...tf.split(x, 2),
      ...tf.split(x, [2, -1, 1], -1),
      ...tf.split(x, 1, 1),
      ...tf.split(x, [0, 2, 4], 1),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "split of which one part is used",
    inputs: { x: normal([2, 6]) },
    fn: ({ x }) => tf.exp(tf.split(x, 3, 1)[2]!),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "meshgrid",
    inputs: { x: normal([3]), y: normal([2], 2) },
    fn: ({ x, y }) => [...tf.meshgrid(x, y), ...tf.meshgrid(x, y, { indexing: "ij" })],
  }),
];

const slicing: ContractCase[] = [
  contractCase({
    name: "slice",
    inputs: { x: cube },
    fn: ({ x }) => [
      tf.slice(x, [0, 1, 1], [2, 2, 2]),
      tf.slice(x, [1], [1]),
      tf.slice(x, 1, 1),
      tf.slice(x, [0, 1], [-1, 2]),
      tf.slice(x, [0, 0, 3], [2, -1, -1]),
      tf.slice(x, [0, 0, 0]),
      tf.slice(x, [1, 2, 3], [1, 1, 1]),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "slice of int32 and bool",
    inputs: { i: ints([1, 2, 3]), b: bools([true, false, true]) },
    fn: ({ i, b }) => [tf.slice(i, 1), tf.slice(b, 0, 2)],
  }),
  contractCase({
    name: "stridedSlice",
    inputs: { x: cube },
    fn: ({ x }) => [
      tf.stridedSlice(x, [0, 0, 0], [2, 3, 4], [1, 2, 3]),
      tf.stridedSlice(x, [0, 0, 3], [2, 3, 0], [1, 1, -1]),
      tf.stridedSlice(x, [0, -1, 0], [2, -4, 4], [1, -1, 2]),
      tf.stridedSlice(x, [1, 0, 0], [2, 3, 4], [1, 1, 1]),
      tf.stridedSlice(x, [0, 0, 0], [0, 0, 0], [1, 1, 2], 0, 7),
      tf.stridedSlice(x, [1, 1], [2, 3], [1, 1], 0, 0, 0, 0, 1),
      tf.stridedSlice(x, [0, 0], [1, 2], [1, 1], 0, 0, 1),
      tf.stridedSlice(x, [0, 0, 1], [1, 1, 3], [1, 1, 1], 0, 0, 0, 2),
      tf.stridedSlice(x, [0, 0, 0], [2, 3, 4], [1, 1, 1]),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "pad",
    inputs: { x: normal([2, 3]) },
    fn: ({ x }) => [
      tf.pad(x, [
        [1, 0],
        [0, 2],
      ]),
      tf.pad(
        x,
        [
          [1, 1],
          [1, 1],
        ],
        -1.5,
      ),
      tf.pad(x, [
        [0, 0],
        [0, 0],
      ]),
      tf.pad(tf.reshape(x, [6]), [[2, 1]], 3),
    ],
    gradientOf: ["x"],
  }),
  contractCase({
    name: "pad of int32 and bool, with infinity, of rank 4",
    inputs: { i: ints([1, 2]), b: bools([true, true]), x: normal([1, 2, 1, 2]) },
    fn: ({ i, b, x }) => [
      tf.pad(i, [[1, 1]], 7),
      tf.pad(b, [[1, 1]]),
      tf.pad(
        x,
        [
          [0, 0],
          [0, 1],
          [1, 0],
          [0, 0],
        ],
        -Infinity,
      ),
    ],
  }),
  contractCase({
    name: "mirrorPad",
    inputs: { x: normal([3, 4]) },
    fn: ({ x }) => [
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [2, 0],
        ],
        "reflect",
      ),
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [0, 3],
        ],
        "symmetric",
      ),
      tf.mirrorPad(
        x,
        [
          [0, 0],
          [0, 0],
        ],
        "reflect",
      ),
    ],
  }),
  contractCase({
    name: "mirrorPad gradient",
    inputs: { x: normal([3, 4]) },
    fn: ({ x }) =>
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [2, 0],
        ],
        "reflect",
      ),
    gradientOf: ["x"],
  }),
  contractCase({
    name: "mirrorPad of int32",
    inputs: { i: ints([1, 2, 3]) },
    fn: ({ i }) => [tf.mirrorPad(i, [[1, 1]], "reflect"), tf.mirrorPad(i, [[1, 1]], "symmetric")],
  }),
];

const making: ContractCase[] = [
  contractCase({
    name: "range",
    inputs: { x: floats(1) },
    fn: ({ x }) => [
      tf.range(0, 5),
      tf.range(2, 9, 3, "int32"),
      tf.range(5, 0, -2),
      tf.range(0, 1, 0.25),
      tf.range(3, 3),
      tf.range(5, 2),
      tf.range(0, 4, 1, "int32"),
      tf.range(-2, 2, 1, "int32"),
      tf.range(0, 5, -1),
      tf.range(0.5, 4, 1, "int32"),
      x,
    ],
  }),
  contractCase({
    name: "linspace",
    inputs: { x: floats(1) },
    fn: ({ x }) => [tf.linspace(0, 1, 5), tf.linspace(3, -3, 4), tf.linspace(2, 2, 3), x],
  }),
  contractCase({
    name: "zeros, ones, fill, eye, scalars",
    inputs: { x: floats(1) },
    fn: ({ x }) => [
      tf.zeros([2, 2]),
      tf.ones([3], "int32"),
      tf.ones([2], "bool"),
      tf.fill([2, 2], 1.5),
      tf.fill([2], 3, "int32"),
      tf.fill([2], 1, "bool"),
      tf.fill([], 7),
      tf.eye(3),
      tf.eye(2, 4),
      tf.eye(3, 2, [2]),
      tf.scalar(true),
      tf.scalar(2.5),
      tf.tensor2d(
        [
          [1, 2],
          [3, 4],
        ],
        [2, 2],
        "int32",
      ),
      x,
    ],
  }),
  contractCase({
    name: "windows",
    inputs: { x: floats(1) },
    fn: ({ x }) => [tf.signal.hannWindow(5), tf.signal.hammingWindow(6), tf.signal.frame(tf.mul<tf.Tensor1D>(x, tf.range(0, 8)), 3, 2)],
  }),
  contractCase({
    name: "oneHot",
    inputs: {
      i: ints([
        [0, 2],
        [1, 5],
      ]),
      out: ints([-1, 3, 0]),
    },
    fn: ({ i, out }) => [
      tf.oneHot(i, 4),
      tf.oneHot(out, 3, 0.5, -0.5),
      tf.oneHot(out, 3, 5, -1, "int32"),
      tf.oneHot(out, 3, 1, 0, "float32"),
      tf.oneHot(out, 3, 1, 0, "bool"),
      tf.oneHot(tf.reshape(tf.slice(out, 2), []), 2),
    ],
  }),
  contractCase({
    name: "diag and bandPart",
    inputs: { x: normal([3]), m: normal([2, 3, 4], 2), w: normal([2, 2], 3) },
    fn: ({ x, m, w }) => [tf.diag(x), tf.diag(w), tf.linalg.bandPart(m, 1, 1), tf.linalg.bandPart(m, -1, 0), tf.linalg.bandPart(m, 0, -1)],
    gradientOf: ["x", "w", "m"],
  }),
  contractCase({
    name: "diag of int32 and of rank 0",
    inputs: { i: ints([1, 2]), s: floats(3) },
    fn: ({ i, s }) => [tf.diag(i), tf.diag(tf.reshape(s, [1]))],
  }),
  contractCase({
    name: "bandPart gradient",
    inputs: { m: normal([2, 3, 3]) },
    fn: ({ m }) => tf.linalg.bandPart(m, 1, 0),
    gradientOf: ["m"],
  }),
  contractCase({
    name: "causal mask",
    inputs: { scores: normal([2, 4, 4]) },
    fn: ({ scores }) => {
      const mask = tf.linalg.bandPart(tf.ones([4, 4]), -1, 0);
      return tf.softmax(tf.add(scores, tf.mul(tf.sub(mask, 1), 1e9)));
    },
    gradientOf: ["scores"],
  }),
  contractCase({
    name: "broadcastArgs",
    inputs: { x: floats(1) },
    fn: ({ x }) => [tf.broadcastArgs([2, 1, 3], [5, 1]), tf.broadcastArgs([], [4]), x],
  }),
];

export const layoutCases: ContractCase[] = [...reshaping, ...joining, ...slicing, ...making];
