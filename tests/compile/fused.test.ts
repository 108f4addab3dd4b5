/** Fused operations against values derived by hand or from TensorFlow.js's plain operations, run eagerly. */
import { beforeAll, expect, test } from "vitest";
import {
  blockAttention,
  blockMask,
  blockMasks,
  groupedQueryAttention,
  headLogProbs,
  rmsNorm,
  rotary,
  rotaryAngles,
  swiglu,
  tf,
} from "../../src/compile/index.js";
import { normal } from "./contractCase.js";

beforeAll(async () => {
  await tf.setBackend("cpu");
});

function tensor<T extends tf.Tensor>(shape: number[], seed: number): T {
  return tf.tensor(normal(shape, seed).data as Float32Array, shape) as T;
}

function expectEqual(actual: tf.Tensor, wanted: ArrayLike<number>): void {
  expect(actual.size).toBe(wanted.length);
  actual.dataSync().forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 5));
}

test("block mask: each completion sees the prompt and itself, and no completion sees the other", () => {
  // Prompt of 2 tokens, chosen of 2, rejected of 1.
  const segments = tf.tensor1d([0, 0, 1, 1, 2], "int32");
  const parents = tf.tensor1d([-1, -1, 0, 0, 0], "int32");
  const visible = [
    [1, 0, 0, 0, 0],
    [1, 1, 0, 0, 0],
    [1, 1, 1, 0, 0],
    [1, 1, 1, 1, 0],
    [1, 1, 0, 0, 1],
  ];
  expect(blockMask(segments, parents).arraySync()).toEqual(visible.map((row) => row.map((seen) => (seen === 1 ? 0 : -1e9))));
});

test("RMSNorm divides by the root of the mean square", () => {
  // mean(3², 4²) = 12.5, √12.5 = 3.535534
  expectEqual(rmsNorm(tf.tensor2d([[3, 4]]), tf.tensor1d([1, 2]), 0), [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)]);
});

test("SwiGLU is gate · σ(gate) · up", () => {
  expectEqual(swiglu(tf.tensor2d([[0, 1, -1]]), tf.tensor2d([[5, 2, 3]])), [0, 2 / (1 + Math.exp(-1)), -3 / (1 + Math.E)]);
});

test("rotary embedding turns element i with element i + hd/2 by position · theta^(−2i/hd)", () => {
  const { cos, sin } = rotaryAngles([0, 3], 4, 100);
  // Angles at position 3: 3 · 100^0 and 3 · 100^(−1/2).
  [1, 1, Math.cos(3), Math.cos(0.3)].forEach((value, i) => expect(cos[i]).toBeCloseTo(value, 6));
  [0, 0, Math.sin(3), Math.sin(0.3)].forEach((value, i) => expect(sin[i]).toBeCloseTo(value, 6));
  const turned = rotary(
    tf.tensor2d([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]),
    tf.tensor2d(cos, [2, 2]),
    tf.tensor2d(sin, [2, 2]),
  );
  const second = [
    Math.cos(3) - 3 * Math.sin(3),
    2 * Math.cos(0.3) - 4 * Math.sin(0.3),
    3 * Math.cos(3) + Math.sin(3),
    4 * Math.cos(0.3) + 2 * Math.sin(0.3),
  ];
  expectEqual(turned, [1, 2, 3, 4, ...second]);
});

test("grouped-query attention equals plain attention with repeated key/value heads", () => {
  const [tokens, heads, kvHeads, size] = [3, 4, 2, 2];
  const q = tensor<tf.Tensor2D>([tokens, heads * size], 1);
  const k = tensor<tf.Tensor2D>([tokens, kvHeads * size], 2);
  const v = tensor<tf.Tensor2D>([tokens, kvHeads * size], 3);
  const mask = tf.tensor2d([
    [0, -1e9, -1e9],
    [0, 0, -1e9],
    [0, 0, 0],
  ]);
  const split = (x: tf.Tensor, count: number): tf.Tensor => tf.transpose(tf.reshape(x, [tokens, count, size]), [1, 0, 2]);
  const repeated = (x: tf.Tensor): tf.Tensor => tf.gather(split(x, kvHeads), tf.tensor1d([0, 0, 1, 1], "int32"));
  const scores = tf.add(tf.div(tf.matMul(split(q, heads), repeated(k), false, true), Math.sqrt(size)), mask);
  const plain = tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), repeated(v)), [1, 0, 2]), [tokens, heads * size]);
  expectEqual(groupedQueryAttention(q, k, v, mask, { heads, kvHeads }), plain.dataSync());
});

test("attention by blocks is attention under their mask, for all tokens and for those from the first block's last on", () => {
  const blocks = [3, 2, 4];
  const segments = tf.tensor1d([0, 0, 0, 1, 1, 2, 2, 2, 2], "int32");
  const parents = tf.tensor1d([-1, -1, -1, 0, 0, 0, 0, 0, 0], "int32");
  const shape = { heads: 4, kvHeads: 2 };
  const [q, k, v] = [8, 4, 4].map((width, i) => tf.randomNormal([9, width], 0, 1, "float32", i + 1)) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  const masked = groupedQueryAttention(q, k, v, blockMask(segments, parents), shape);
  const masks = blockMasks({ blocks, ...shape });
  expectEqual(blockAttention(q, k, v, masks, { blocks, ...shape }), masked.dataSync());
  const last = tf.slice(q, [2, 0], [7, 8]);
  expectEqual(blockAttention(last, k, v, masks, { blocks, ...shape }), tf.slice(masked, [2, 0], [7, 8]).dataSync());
});

test("head log-probs and metrics over blocks equal those of stored logits", () => {
  const h = tensor<tf.Tensor2D>([4, 3], 1);
  const blocks = [tensor<tf.Tensor2D>([3, 3], 2), tensor<tf.Tensor2D>([4, 3], 3)];
  const weight = tf.concat(blocks) as tf.Tensor2D;
  const targets = tf.tensor1d([0, 3, 6, 2], "int32");
  const { logps, entropy, meanLogit, correct } = headLogProbs(h, targets, { weight, blocks, gradient: "none" });
  const logits = tf.matMul(h, weight, false, true);
  const stored = tf.logSoftmax(logits);
  expectEqual(logps, tf.gather(stored, tf.reshape(targets, [4, 1]), 1, 1).dataSync());
  expectEqual(entropy, tf.neg(tf.sum(tf.mul(tf.exp(stored), stored), 1)).dataSync());
  expectEqual(meanLogit, tf.mean(logits, 1).dataSync());
  expectEqual(correct, tf.cast(tf.equal(tf.argMax(logits, 1), targets), "float32").dataSync());
});

test("log p − log Σ p² of the head, over blocks, equals the plain formula and has no gradient", () => {
  const [h, a, b] = [tensor<tf.Tensor2D>([4, 3], 1), tensor<tf.Tensor2D>([3, 3], 2), tensor<tf.Tensor2D>([4, 3], 3)];
  const targets = tf.tensor1d([0, 3, 6, 2], "int32");
  const weight = tf.concat([a, b]);
  const p = tf.softmax(tf.matMul(h, weight, false, true));
  const { logps, aligned } = headLogProbs(h, targets, { weight, blocks: [a, b], gradient: "none" }, { aligned: true });
  expectEqual(aligned!, tf.sub(logps, tf.log(tf.sum(tf.square(p), -1))).dataSync());
  const scaled = (weights: (aligned: tf.Tensor) => tf.Tensor) =>
    tf.grad((h) => {
      const result = headLogProbs(h as tf.Tensor2D, targets, { weight, blocks: [a, b], gradient: "none" }, { aligned: true });
      return tf.sum(tf.mul(result.logps, weights(result.aligned!)));
    })(h);
  expectEqual(
    scaled((inside) => tf.exp(inside)),
    scaled(() => tf.exp(aligned!)).dataSync(),
  );
});
