import { tf } from "../tensorflow.js";
import { after } from "./after.js";
import { gatherHalf, halfAsFloat32, halfAsFloat32Again } from "./half.js";
import { onnxOp } from "./onnxOp.js";

/**
 * Whether gradients of the head's weights are wanted. They need the probabilities of the whole vocabulary, which are either kept, C · V
 * numbers, or computed once more block by block.
 */
export type HeadGradient = "none" | "kept" | "recomputed";

/** The language-model head: `weight` whole, and the same rows as `blocks` (views, so that no block is copied out of it). */
export interface Head {
  /** shape [V, D]; of halves when there is a `scale` */
  readonly weight: tf.Tensor2D;
  /** shapes [V_b, D], together the rows of `weight` in order */
  readonly blocks: readonly tf.Tensor2D[];
  /** shape [D], the mean of the rows; computed here when absent, which reads the whole head once more */
  readonly mean?: tf.Tensor1D;
  readonly gradient: HeadGradient;
  /** A head of 16-bit floats, frozen: by what they are multiplied, shape []. Blocks are widened one after the other. */
  readonly scale?: tf.Scalar;
}

export interface HeadResult {
  /** log p(target | h), nats, shape [C]; the only part with a gradient */
  readonly logps: tf.Tensor1D;
  /** entropy of the distribution, nats, shape [C] */
  readonly entropy: tf.Tensor1D;
  /** mean over the vocabulary of the logits, shape [C] */
  readonly meanLogit: tf.Tensor1D;
  /** 1 where the target is the most likely token, shape [C] */
  readonly correct: tf.Tensor1D;
  /** log p(target) − log Σ p², nats, shape [C]: how likely the target is beside what the model would draw; when asked for */
  readonly aligned?: tf.Tensor1D;
}

/**
 * Log-probabilities of given tokens that never store all logits: the vocabulary is visited block by block, and each block
 * leaves its log-sum-exp and its share of `U = softmax(h Wᵀ) W`. That share is also the gradient's:
 * d logp / dh = W[target] − U, so the backward pass is one multiplication by the upstream scalar per token.
 * Entropy is logsumexp − h·U, since Σ p·logit = h·U.
 * @param h shape [C, D]
 * @param targets shape [C] int32
 * @param options aligned: also compute `aligned`, which reads each block's softmax once more
 */
export function headLogProbs(
  h: tf.Tensor2D,
  targets: tf.Tensor1D,
  head: Head,
  { aligned = false }: { readonly aligned?: boolean } = {},
): HeadResult {
  const parts: { rest?: tf.Tensor[] } = {};
  const op = tf.customGrad((...args: unknown[]) => {
    const hidden = args[0] as tf.Tensor2D;
    const save = args.at(-1) as tf.GradSaveFunc;
    const { logps, logSum, expected, top, logSquares, softmaxes } = overBlocks(hidden, targets, head, aligned);
    const targetRows = headRows(head, targets); // [C, D]
    const unitGradient = tf.sub(targetRows, expected); // [C, D]
    const entropy = tf.sub(logSum, tf.sum(tf.mul(hidden, expected), -1));
    const mean = head.mean ?? headMean(head);
    const meanLogit = tf.sum(tf.mul(hidden, mean), -1);
    // Without keep they would be freed with the custom operation's scope.
    parts.rest = [entropy, meanLogit, top, ...logSquares.map((squares) => tf.sub(logps, squares))].map((tensor) => tf.keep(tensor));
    const kept = head.gradient === "kept" ? softmaxes.flat() : [];
    save([hidden, unitGradient, logSum, ...kept]);
    return { value: logps, gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => gradients(dy as tf.Tensor1D, saved, targets, head) };
  });
  const trainables = head.gradient === "none" ? [] : head.blocks;
  const logps = op(h, ...trainables) as tf.Tensor1D;
  const [entropy, meanLogit, correct, ofAligned] = parts.rest!.map((kept) => {
    const owned = tf.clone(kept);
    kept.dispose();
    return owned;
  }) as [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D, tf.Tensor1D | undefined];
  return { logps, entropy, meanLogit, correct, ...(ofAligned === undefined ? {} : { aligned: ofAligned }) };
}

/** A block as numbers; of halves, to be multiplied by the head's scale. */
export function headBlock({ scale }: Head, block: tf.Tensor2D): tf.Tensor2D {
  return scale === undefined ? block : (halfAsFloat32(block) as tf.Tensor2D);
}

/** Rows of the head by their numbers. @param rows shape [n] int32 @returns shape [n, D] */
function headRows({ weight, scale }: Head, rows: tf.Tensor1D): tf.Tensor2D {
  return scale === undefined ? tf.gather(weight, rows) : tf.mul(gatherHalf(weight, rows), scale);
}

/** The mean of the head's rows, shape [D]. */
export function headMean(head: Head): tf.Tensor1D {
  const sum = tf.addN(head.blocks.map((block) => tf.sum(headBlock(head, block), 0)));
  const mean = tf.div(sum, head.weight.shape[0]) as tf.Tensor1D;
  return head.scale === undefined ? mean : tf.mul(mean, head.scale);
}

interface OverBlocks {
  logps: tf.Tensor1D;
  logSum: tf.Tensor1D;
  expected: tf.Tensor2D;
  top: tf.Tensor1D;
  /** log Σ p², shape [C], when asked for. */
  logSquares: tf.Tensor1D[];
  /** Each block's softmax, shape [C, V_b], and by what it must be multiplied, shape [C, 1]. */
  softmaxes: [tf.Tensor2D, tf.Tensor2D][];
}

function overBlocks(h: tf.Tensor2D, targets: tf.Tensor1D, head: Head, withSquares: boolean): OverBlocks {
  const logSums: tf.Tensor[] = [];
  const maxima: tf.Tensor[] = [];
  const shares: tf.Tensor2D[] = [];
  const inBlocks: tf.Tensor2D[] = [];
  const squares: tf.Tensor[] = [];
  let targetLogit: tf.Tensor1D | undefined;
  // A power of two, so that it makes no difference where it is multiplied in: here it is cheapest.
  const seen = head.scale === undefined ? h : (tf.mul(h, head.scale) as tf.Tensor2D);
  /** What the last block leaves. */
  let done: tf.Tensor[] = [];
  let start = 0;
  for (const stored of head.blocks) {
    const block = headBlock(head, stored);
    const [rows] = block.shape;
    // One block after the other: ONNX Runtime would keep the logits of all blocks.
    const logits = tf.matMul(done.length === 0 ? seen : after(seen, ...done), block, false, true); // [C, V_b]
    const softmax = tf.softmax(logits);
    inBlocks.push(softmax as tf.Tensor2D);
    const maximum = rowMaximum(logits); // [C, 1]
    maxima.push(maximum);
    // The largest probability of a block is 1/Σexp(logit − max), which gives the block's sum without another pass.
    logSums.push(tf.sub(maximum, tf.log(rowMaximum(softmax))));
    shares.push(tf.matMul(softmax, head.scale === undefined ? stored : (halfAsFloat32Again(stored) as tf.Tensor2D)));
    // At least 1 / V_b, so the logarithm is safe.
    if (withSquares) squares.push(tf.log(tf.sum(tf.square(softmax), -1, true))); // [C, 1]
    const local = tf.sub(targets, tf.scalar(start, "int32"));
    const inside = tf.logicalAnd(tf.greaterEqual(local, tf.scalar(0, "int32")), tf.less(local, tf.scalar(rows, "int32")));
    const index = tf.clipByValue(local, 0, rows - 1).toInt();
    const picked = tf.reshape(tf.gather(logits, tf.reshape(index, [-1, 1]), 1, 1), [-1]); // [C]
    const here = tf.where(inside, picked, tf.scalar(0)) as tf.Tensor1D;
    targetLogit = targetLogit === undefined ? here : tf.add(targetLogit, here);
    done = [shares.at(-1)!, logSums.at(-1)!, here, ...squares.slice(-1)];
    start += rows;
  }
  const blockLogSums = tf.concat(logSums as tf.Tensor2D[], 1); // [C, blocks]
  const top = tf.max(tf.concat(maxima as tf.Tensor2D[], 1), 1); // [C]
  const logSum = tf.logSumExp(blockLogSums, 1) as tf.Tensor1D; // [C]
  const logWeights = tf.sub(blockLogSums, tf.reshape(logSum, [-1, 1])); // [C, blocks]
  const weights = tf.exp(logWeights);
  const columns = tf.split(weights, head.blocks.length, 1) as tf.Tensor2D[];
  const expected = shares.map((share, b) => tf.mul(share, columns[b]!)).reduce((sum, share) => tf.add(sum, share)) as tf.Tensor2D;
  return {
    logps: tf.sub(targetLogit!, logSum),
    logSum,
    expected: head.scale === undefined ? expected : tf.mul(expected, head.scale),
    softmaxes: inBlocks.map((softmax, b) => [softmax, columns[b]!]),
    top: tf.cast(tf.greaterEqual(targetLogit!, top), "float32"),
    logSquares: withSquares ? [tf.logSumExp(tf.add(tf.concat(squares as tf.Tensor2D[], 1), tf.mul(logWeights, 2)), 1) as tf.Tensor1D] : [],
  };
}

/** One pass over the block: traced `tf.max` looks for NaN too, and here a NaN shows in the softmax anyway. */
function rowMaximum(x: tf.Tensor): tf.Tensor2D {
  const rows = x.shape[0]!;
  const [y] = onnxOp(
    { opType: "ReduceMax", inputs: [x, [1]], outputs: [{ dtype: "float32", shape: [rows, 1] }], attributes: { keepdims: 1 } },
    () => [tf.max(x, -1, true)],
  );
  return y as tf.Tensor2D;
}

/** dh = dy·(W[target] − U); dW = Σ_C (softmax − onehot(target)) (−dy·h), with the softmax of all blocks. */
function gradients(dy: tf.Tensor1D, saved: tf.Tensor[], targets: tf.Tensor1D, head: Head): tf.Tensor[] {
  const [h, unitGradient, logSum, ...kept] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D, ...tf.Tensor2D[]];
  const column = tf.reshape(dy, [-1, 1]); // [C, 1]
  const dh = tf.mul(unitGradient, column);
  if (head.gradient === "none") return [dh];
  const scaled = tf.neg(tf.mul(h, column)); // [C, D]
  let start = 0;
  const blockGradients = head.blocks.map((block, b) => {
    const [rows] = block.shape;
    const softmax =
      kept.length === 0
        ? tf.exp(tf.sub(tf.matMul(h, block, false, true), tf.reshape(logSum, [-1, 1]))) // [C, V_b]
        : tf.mul(kept[2 * b]!, kept[2 * b + 1]!);
    const local = tf.sub(targets, tf.scalar(start, "int32"));
    start += rows;
    return tf.matMul(lessTargets(softmax as tf.Tensor2D, local as tf.Tensor1D), scaled, true, false); // [V_b, D]
  });
  return [dh, ...blockGradients];
}

/** softmax − onehot(targets), where a target outside of the block takes nothing off. @param softmax shape [C, V_b] @param local shape [C] int32 */
function lessTargets(softmax: tf.Tensor2D, local: tf.Tensor1D): tf.Tensor2D {
  const [count, rows] = softmax.shape;
  const inside = tf.logicalAnd(tf.greaterEqual(local, tf.scalar(0, "int32")), tf.less(local, tf.scalar(rows, "int32")));
  const place = tf.reshape(tf.clipByValue(local, 0, rows - 1).toInt(), [count, 1]);
  const taken = tf.reshape(tf.neg(tf.cast(inside, "float32")), [count, 1]);
  const [y] = onnxOp(
    {
      opType: "ScatterElements",
      inputs: [softmax, place, taken],
      outputs: [{ dtype: "float32", shape: softmax.shape }],
      attributes: { axis: 1, reduction: "add" },
    },
    () => [tf.add(softmax, tf.mul(tf.oneHot(tf.reshape(place, [count]), rows), taken))],
  );
  return y as tf.Tensor2D;
}
