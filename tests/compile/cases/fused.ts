/** Fused operations: their traced and eager forms, and their hand-written gradients. */
import {
  type HostTensor,
  type Int8Backward,
  type Nf4Weight,
  blockAttention,
  blockMask,
  blockMasks,
  gatherHalf,
  groupedQueryAttention,
  halfAsFloat32,
  type HeadGradient,
  headLogProbs,
  hostTensor,
  int8AsFloat32,
  int8MatMul,
  nf4AsFloat32,
  nf4MatMul,
  recomputed,
  rmsNorm,
  rotary,
  rotaryAngles,
  swiglu,
  tf,
  valueAndGradients,
} from "../../../src/compile/index.js";
import { float32ToFloat16 } from "../../../src/compile/fileTensors.js";
import { encodeTensor } from "../../../src/compile/quantise/tensorFormat.js";
import { type CaseTensor, type ContractCase, contractCase, floats, ints, normal, uniform } from "../contractCase.js";

const small: ContractCase[] = [
  contractCase({
    name: "RMSNorm",
    inputs: { x: normal([3, 4]), weight: normal([4], 2) },
    fn: ({ x, weight }) => rmsNorm(x, weight, 1e-6),
    gradientOf: ["x", "weight"],
  }),
  contractCase({
    name: "RMSNorm of zeros and of one token",
    inputs: { x: floats([[0, 0, 0]]), weight: floats([1, 2, 3]) },
    fn: ({ x, weight }) => rmsNorm(x, weight, 1e-6),
  }),
  contractCase({
    name: "RMSNorm gradient with a large epsilon",
    inputs: { x: normal([2, 4]), weight: normal([4], 2) },
    fn: ({ x, weight }) => rmsNorm(x, weight, 0.5),
    gradientOf: ["x", "weight"],
  }),
  contractCase({
    name: "SwiGLU",
    inputs: { gate: normal([3, 4]), up: normal([3, 4], 2) },
    fn: ({ gate, up }) => swiglu(gate, up),
    gradientOf: ["gate", "up"],
  }),
  contractCase({
    name: "a part that is computed again in the backward pass",
    inputs: { x: normal([3, 4]), weight: normal([4], 2), unused: normal([2], 3) },
    fn: ({ x, weight, unused }) => {
      const layer = (y: tf.Tensor2D, [w]: readonly tf.Tensor[]): tf.Tensor2D => tf.add(y, tf.square(rmsNorm(y, w as tf.Tensor1D, 1e-6)));
      return recomputed(layer, recomputed(layer, x, [weight, unused]), [weight]);
    },
    gradientOf: ["x", "weight"],
  }),
  contractCase({
    name: "SwiGLU of large gates",
    inputs: { gate: floats([[-100, -30, 30, 100, 0]]), up: floats([[1, 1, 1, 1, 1]]) },
    fn: ({ gate, up }) => swiglu(gate, up),
    gradientOf: ["gate", "up"],
  }),
];

/** Positions as in a pair: the rejected completion restarts after the prompt. */
const POSITIONS = [0, 1, 2, 3, 2];
const ANGLES = rotaryAngles(POSITIONS, 4, 10000);
const cos = hostTensor(ANGLES.cos, [5, 2]);
const sin = hostTensor(ANGLES.sin, [5, 2]);

const rotations: ContractCase[] = [1, 2, 3].map((heads) =>
  contractCase({
    name: `rotary embedding of ${heads} heads`,
    inputs: { x: normal([5, 4 * heads]), cos, sin },
    fn: ({ x, cos, sin }) => rotary(x, cos, sin),
    gradientOf: ["x"],
  }),
);

/** Prompt of 2 tokens (segment 0), chosen of 2 (segment 1), rejected of 1 (segment 2); both continue segment 0. */
const segments = ints([0, 0, 1, 1, 2]);
const parents = ints([-1, -1, 0, 0, 0]);

const groupings = [
  [1, 1],
  [2, 2],
  [4, 2],
  [3, 1],
] as const;
const attentions: ContractCase[] = [
  ...groupings.map(([heads, kvHeads]) =>
    contractCase({
      name: `attention, ${heads} heads on ${kvHeads} key/value heads, block mask`,
      inputs: { q: normal([5, 4 * heads]), k: normal([5, 4 * kvHeads], 2), v: normal([5, 4 * kvHeads], 3), segments, parents },
      fn: ({ q, k, v, segments, parents }) => groupedQueryAttention(q, k, v, blockMask(segments, parents), { heads, kvHeads }),
      gradientOf: ["q", "k", "v"],
    }),
  ),
  ...groupings.flatMap(([heads, kvHeads]) =>
    [0, 1].map((from) =>
      contractCase({
        name: `attention by blocks, ${heads} heads on ${kvHeads} key/value heads, queries from token ${from} on`,
        inputs: { q: normal([5 - from, 4 * heads]), k: normal([5, 4 * kvHeads], 2), v: normal([5, 4 * kvHeads], 3) },
        fn: ({ q, k, v }) => {
          const shape = { blocks: [2, 2, 1], heads, kvHeads };
          return blockAttention(q, k, v, blockMasks(shape), shape);
        },
        gradientOf: ["q", "k", "v"],
      }),
    ),
  ),
  contractCase({
    name: "attention of new tokens over a longer cache",
    inputs: {
      q: normal([2, 8]),
      k: normal([5, 4], 2),
      v: normal([5, 4], 3),
      mask: floats([
        [0, 0, 0, 0, -1e9],
        [0, 0, 0, 0, 0],
      ]),
    },
    fn: ({ q, k, v, mask }) => groupedQueryAttention(q, k, v, mask, { heads: 2, kvHeads: 1 }),
    gradientOf: ["q", "k", "v"],
  }),
  contractCase({
    name: "a token that may see nothing",
    inputs: {
      q: normal([2, 2]),
      k: normal([2, 2], 2),
      v: normal([2, 2], 3),
      mask: floats([
        [-1e9, -1e9],
        [0, -1e9],
      ]),
    },
    fn: ({ q, k, v, mask }) => groupedQueryAttention(q, k, v, mask, { heads: 1, kvHeads: 1 }),
  }),
  contractCase({ name: "block mask", inputs: { segments, parents }, fn: ({ segments, parents }) => blockMask(segments, parents) }),
];

const headInputs = { h: normal([4, 3]), a: normal([3, 3], 2), b: normal([4, 3], 3), targets: ints([0, 3, 6, 2]) };
function headOf(a: CaseTensor, b: CaseTensor, gradient: HeadGradient, mean?: CaseTensor) {
  return { weight: tf.concat([a, b]) as tf.Tensor2D, blocks: [a, b], gradient, ...(mean === undefined ? {} : { mean }) };
}

const heads: ContractCase[] = [
  contractCase({
    name: "head log-probs of a frozen head",
    inputs: headInputs,
    fn: ({ h, a, b, targets }) => headLogProbs(h, targets, headOf(a, b, "none")).logps,
    gradientOf: ["h"],
  }),
  contractCase({
    name: "head log-probs of a trained head",
    inputs: headInputs,
    fn: ({ h, a, b, targets }) => headLogProbs(h, targets, headOf(a, b, "kept")).logps,
    gradientOf: ["h", "a", "b"],
  }),
  contractCase({
    name: "head log-probs of a trained head whose probabilities are computed twice",
    inputs: headInputs,
    fn: ({ h, a, b, targets }) => headLogProbs(h, targets, headOf(a, b, "recomputed")).logps,
    gradientOf: ["h", "a", "b"],
  }),
  contractCase({
    name: "head log-probs in one block, with all metrics",
    inputs: headInputs,
    fn: ({ h, b, targets }) => ({
      ...headLogProbs(h, tf.clipByValue(targets, 0, 3).toInt(), { weight: b, blocks: [b], gradient: "none" }),
    }),
  }),
  contractCase({
    name: "head metrics over blocks, mean given and not",
    inputs: { ...headInputs, mean: normal([3], 4) },
    fn: ({ h, a, b, targets, mean }) => [
      ...Object.values(headLogProbs(h, targets, headOf(a, b, "none"))),
      headLogProbs(h, targets, headOf(a, b, "none", mean)).meanLogit,
    ],
  }),
  contractCase({
    name: "a weight of log p − log Σ p² inside the loss",
    inputs: headInputs,
    fn: ({ h, a, b, targets }) => {
      const loss = (current: Record<string, tf.Tensor>) => {
        const { h, a, b } = current as Record<"h" | "a" | "b", tf.Tensor2D>;
        const { logps, aligned } = headLogProbs(h, targets, headOf(a, b, "kept"), { aligned: true });
        return { loss: tf.sum(tf.mul(logps, tf.exp(aligned!))), aligned: aligned! };
      };
      const { values, gradients } = valueAndGradients(loss, { h, a, b });
      return { ...values, ...gradients };
    },
  }),
  contractCase({
    name: "head log-probs of confident logits",
    inputs: {
      h: floats([
        [60, 0, 0],
        [0, -60, 0],
      ]),
      a: normal([3, 3], 2),
      b: normal([4, 3], 3),
      targets: ints([1, 5]),
    },
    fn: ({ h, a, b, targets }) => ({ ...headLogProbs(h, targets, headOf(a, b, "none"), { aligned: true }) }),
    tolerance: 2e-5,
  }),
];

/** The parts of a weight in NF4, as inputs, with bytes as int32: the contract's inputs are read by TensorFlow.js too. */
function packed(rows: number, columns: number, doubleQuant: boolean) {
  const values = normal([rows, columns], 5).data as Float32Array;
  const parts = encodeTensor("w", [rows, columns], { kind: "nf4", doubleQuant }, () => [values]);
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name.slice(2), part]));
}

function nf4Weight({ quant, absmax, nested_absmax, nested_offset }: Record<string, CaseTensor>): Nf4Weight {
  return { quant: quant!, absmax: absmax!, nestedAbsmax: nested_absmax, nestedOffset: nested_offset };
}

const nf4Shapes = [
  [4, 16, false],
  [4, 16, true],
  // Blocks that end in the middle of a row, and a short one at the end.
  [5, 34, false],
  [5, 34, true],
  // More than one block of scales, the second short.
  [130, 128, true],
] as const;
const quantised: ContractCase[] = nf4Shapes.flatMap(([rows, columns, doubleQuant]) => {
  const title = `NF4 [${rows},${columns}]${doubleQuant ? ", scales quantised too" : ""}`;
  return [
    contractCase({
      name: `${title}: product and its gradient`,
      inputs: { x: normal([3, columns]), ...packed(rows, columns, doubleQuant) },
      fn: ({ x, ...parts }) => nf4MatMul(x as tf.Tensor2D, nf4Weight(parts)),
      gradientOf: ["x"],
      tolerance: 2e-5,
    }),
    contractCase({
      name: `${title}: as numbers`,
      inputs: packed(rows, columns, doubleQuant),
      fn: (parts) => nf4AsFloat32(nf4Weight(parts)),
    }),
  ];
});

/** Rows of x: ordinary, all zero, with outliers of both signs, one of exactly the threshold, and small. */
const oddRows = floats([
  [0.5, -1.25, 2, 0.01, -0.3],
  [0, 0, 0, 0, 0],
  [0.7, -9, 0.2, 1.1, 12],
  [6, 0.1, -0.2, 0.3, 5.99],
  [1e-20, -2e-20, 0, 0, 3e-20],
]);
const eightBits: ContractCase[] = ([0, 6, 0.005, 100] as const).flatMap((threshold) =>
  (["float32", "int16", "int8"] as const).map((backward) => {
    const { codes, SCB, ...rest } = inEightBits(7, 5, threshold, backward);
    const again = Object.keys(rest).find((name) => name.startsWith("backward"));
    return contractCase({
      name: `int8 [7,5], outliers from ${threshold}, ${backward} backward`,
      inputs: { x: oddRows, codes: codes!, SCB: SCB!, ...rest },
      fn: ({ x, codes, SCB, threshold: from, ...others }: Record<string, CaseTensor>) => {
        const back = again === undefined ? undefined : ({ codes: others[again]!, bits: backward === "int8" ? 8 : 16 } as const);
        const weight = { codes: codes!, absmax: SCB!, threshold: from, backward: back };
        const { gradients, values } = valueAndGradients(
          (v) => {
            const y = int8MatMul(v["x"] as tf.Tensor2D, weight);
            return { loss: tf.sum(tf.mul(y, tf.sin(tf.range(0, 35, 1).reshape([5, 7])))), y };
          },
          { x: x! },
        );
        return { y: values["y"]!, dx: gradients["x"]!, w: int8AsFloat32(weight) };
      },
      tolerance: 2e-6,
    });
  }),
);

function inEightBits(rows: number, columns: number, threshold: number, backward: Int8Backward): Record<string, HostTensor> {
  const values = normal([rows, columns], 5).data as Float32Array;
  const parts = encodeTensor("w", [rows, columns], { kind: "int8", threshold, backward }, () => [values]);
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name.slice(2), part]));
}

/** Random rows of 3 halves, some rows of each seed. */
function halfRows(...parts: (readonly [rows: number, seed: number])[]): HostTensor {
  const numbers = parts.flatMap(([rows, seed]) => [...normal([rows, 3], seed).data]);
  const bits = new Uint16Array(numbers.length);
  float32ToFloat16(Float32Array.from(numbers), bits);
  return hostTensor(bits, [numbers.length / 3, 3]);
}
const halfHead = { a: halfRows([3, 2]), b: halfRows([4, 3]) };
const halves: ContractCase[] = [
  contractCase({
    name: "halves as numbers, and rows of them",
    inputs: { half: halfHead.b, rows: ints([3, 0, 3]) },
    fn: ({ half, rows }) => [halfAsFloat32(half), gatherHalf(half, rows)],
  }),
  contractCase({
    name: "head log-probs and metrics of a head of halves",
    inputs: { h: normal([4, 3]), targets: ints([0, 3, 2, 1]), half: halfHead.b, scale: hostTensor([0.25], []) },
    fn: ({ h, half, targets, scale }) => ({ ...headLogProbs(h, targets, { weight: half, blocks: [half], gradient: "none", scale }) }),
  }),
  contractCase({
    name: "gradient of log-probs of a head of halves in blocks",
    inputs: { h: normal([4, 3]), targets: ints([0, 3, 6, 2]), ...halfHead, whole: halfRows([3, 2], [4, 3]), scale: hostTensor([0.25], []) },
    fn: ({ h, a, b, whole, targets, scale }) =>
      headLogProbs(h as tf.Tensor2D, targets as tf.Tensor1D, {
        weight: whole as tf.Tensor2D,
        blocks: [a, b] as tf.Tensor2D[],
        gradient: "none",
        scale: scale as tf.Scalar,
      }).logps,
    gradientOf: ["h"],
  }),
];

const together: ContractCase[] = [
  contractCase({
    name: "values beside the loss, and zeros for a variable that the loss does not use",
    inputs: { x: uniform([3], 0.5, 2), unused: normal([2]) },
    fn: ({ x, unused }) => {
      const { values, gradients } = valueAndGradients((v) => ({ loss: tf.sum(tf.square(v["x"]!)), cubes: tf.pow(v["x"]!, 3) }), {
        x,
        unused,
      });
      return { ...values, dx: gradients["x"]!, dUnused: gradients["unused"]! };
    },
  }),
];

export const fusedCases: ContractCase[] = [
  ...small,
  ...rotations,
  ...attentions,
  ...heads,
  ...quantised,
  ...eightBits,
  ...halves,
  ...together,
];
