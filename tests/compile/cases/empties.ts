/** Tensors without elements: a batch or a slice may well have none. */
import { tf } from "../../../src/compile/index.js";
import { type ContractCase, contractCase, empty, floats, normal } from "../contractCase.js";

export const emptyCases: ContractCase[] = [
  contractCase({
    name: "empty elementwise",
    inputs: { x: empty([0]), m: empty([2, 0]) },
    fn: ({ x, m }) => [
      tf.exp(x),
      tf.add(x, 1),
      tf.mul(m, m),
      tf.relu(m),
      tf.cast(x, "int32"),
      tf.greater(x, 0),
      tf.where(tf.greater(m, 0), m, tf.zerosLike(m)),
      tf.pow(x, 2),
    ],
  }),
  contractCase({
    name: "empty int32 and bool",
    inputs: { i: empty([0], "int32"), b: empty([0, 2], "bool") },
    fn: ({ i, b }) => [tf.add(i, i), tf.logicalNot(b), tf.cast(b, "float32"), tf.floorDiv(i, i), tf.equal(i, i)],
  }),
  contractCase({
    name: "empty reductions",
    inputs: { x: empty([0]), m: empty([2, 0]), n: empty([0, 3]) },
    fn: ({ x, m, n }) => [
      tf.sum(x),
      tf.prod(x),
      tf.sum(m, 1),
      tf.prod(m, 1),
      tf.sum(m, 0),
      tf.mean(m, 1),
      tf.mean(x),
      tf.sum(n, 0),
      tf.sum(n, 0, true),
      tf.max(m, 0),
      tf.cumsum(x),
    ],
  }),
  contractCase({
    name: "empty all and any",
    inputs: { b: empty([2, 0], "bool") },
    fn: ({ b }) => [tf.all(b, 1), tf.any(b, 1), tf.all(b, 0)],
  }),
  contractCase({
    name: "empty layout",
    inputs: { x: empty([0, 2]), y: normal([3, 2]) },
    fn: ({ x, y }) => [
      tf.reshape(x, [2, 0]),
      tf.transpose(x),
      tf.concat([x, y]),
      tf.concat([x, x]),
      tf.slice(y, [3, 0], [0, 2]),
      tf.slice(y, [1, 0], [0, -1]),
      tf.tile(x, [2, 2]),
      tf.pad(
        x,
        [
          [1, 0],
          [0, 0],
        ],
        5,
      ),
      tf.reverse(x),
      tf.expandDims(x, 1),
      tf.tile(y, [0, 1]),
    ],
  }),
  contractCase({
    name: "empty products",
    inputs: { a: empty([0, 3]), b: normal([3, 2]), c: empty([2, 0]), d: empty([0, 2]) },
    fn: ({ a, b, c, d }) => [tf.matMul(a, b), tf.matMul(c, d), tf.matMul(c, c, false, true)],
  }),
  contractCase({
    name: "empty gathers and scatters",
    inputs: { x: normal([3, 2]), i: empty([0], "int32"), u: empty([0, 2]), ids: empty([0], "int32") },
    fn: ({ x, i, u, ids }) => [tf.gather(x, i), tf.gather(x, i, 1), tf.oneHot(i, 3), tf.unsortedSegmentSum(u, ids, 2), tf.softmax(u)],
  }),
  contractCase({
    name: "an output that no input reaches",
    inputs: { x: floats([1]) },
    fn: ({ x }) => [x, tf.zeros([0, 2]), tf.range(2, 2)],
  }),
];
