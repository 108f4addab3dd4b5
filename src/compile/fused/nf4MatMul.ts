/**
 * Products with a weight that the store holds in NF4 (quantise/tensorFormat.ts). The weight is a constant: no gradient for it.
 * In float32 it exists only while one operation needs it.
 */
import { EngineError } from "../../errors.js";
import { DYNAMIC_BLOCK, DYNAMIC_MAP } from "../quantise/dynamicMap.js";
import { NF4_BLOCK, NF4_LEVELS } from "../quantise/nf4.js";
import { tf } from "../tensorflow.js";
import { bytesAsInt32 } from "./bytes.js";
import { onnxOp } from "./onnxOp.js";

/** The parts of a weight [N, K] inside a tensor function. */
export interface Nf4Weight {
  /** Two codes a byte, uint8 [N, K/2]. */
  readonly quant: tf.Tensor2D;
  /** One scale per 64 numbers: float32, or with double quantisation uint8. */
  readonly absmax: tf.Tensor1D;
  /** With double quantisation: one per 256 scales, float32. */
  readonly nestedAbsmax?: tf.Tensor1D;
  /** With double quantisation, float32 []. */
  readonly nestedOffset?: tf.Scalar;
}

/** Both numbers of each byte, [256, 2]. */
const LEVEL_PAIRS = Float32Array.from({ length: 512 }, (_, i) => NF4_LEVELS[i % 2 === 0 ? i >> 5 : (i >> 1) & 15]!);

/** The weight as numbers, float32 [N, K]. Traced, it is multiplied by 1 as a single column: the operator's own unpacking is the fastest there is. */
export function nf4AsFloat32(weight: Nf4Weight): tf.Tensor2D {
  const [rows, half] = weight.quant.shape;
  const size = rows * half * 2;
  const numbers = packedProduct(tf.ones([1, 1]), weight, [size, 1], (absmax) => {
    const levels = tf.gather(tf.tensor2d(LEVEL_PAIRS, [256, 2]), bytesAsInt32(weight.quant) as tf.Tensor2D); // [N, K/2, 2]
    return timesBlocks(tf.reshape(levels, [size]), absmax, NF4_BLOCK);
  });
  return tf.reshape(numbers, [rows, half * 2]);
}

/**
 * `x Wᵀ` with W in NF4. Traced, one operator takes the packed bytes; its transposed form is broken in ONNX Runtime 1.30, so the backward
 * pass `dx = dy W` spells W out.
 * @param x shape [T, K]
 * @returns shape [T, N]
 */
export function nf4MatMul(x: tf.Tensor2D, weight: Nf4Weight): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [input] = args as [tf.Tensor2D];
    return { value: forward(input, weight), gradFunc: (dy: tf.Tensor) => tf.matMul(dy as tf.Tensor2D, nf4AsFloat32(weight)) };
  });
  return op(x) as tf.Tensor2D;
}

function forward(x: tf.Tensor2D, weight: Nf4Weight): tf.Tensor2D {
  const [rows, half] = weight.quant.shape;
  const [, columns] = x.shape;
  if (columns !== half * 2)
    throw new EngineError(
      "matmul_shape",
      `nf4MatMul: x must have ${half * 2} columns for a weight [${rows},${half * 2}], got [${x.shape.join(",")}]`,
    );
  return packedProduct(x, weight, [rows, columns], () => tf.matMul(x, nf4AsFloat32(weight), false, true)) as tf.Tensor2D;
}

/**
 * `x Wᵀ` by the operator that takes the packed bytes.
 * @param shape [N, K] as which it takes all numbers of the weight
 * @param eager computes the same from the scales of the blocks
 */
function packedProduct(
  x: tf.Tensor2D,
  weight: Nf4Weight,
  [rows, columns]: readonly [number, number],
  eager: (absmax: tf.Tensor1D) => tf.Tensor,
): tf.Tensor {
  const absmax = scales(weight);
  const [y] = onnxOp(
    {
      opType: "MatMulBnb4",
      domain: "com.microsoft",
      inputs: [x, tf.reshape(weight.quant, [-1]), absmax],
      outputs: [{ dtype: "float32", shape: [x.shape[0], rows] }],
      // Quantisation type 1 is NF4.
      attributes: { K: columns, N: rows, block_size: NF4_BLOCK, quant_type: 1 },
    },
    () => [eager(absmax)],
  );
  return y!;
}

/** One number per block of 64. */
function scales({ absmax, nestedAbsmax, nestedOffset }: Nf4Weight): tf.Tensor1D {
  if (nestedAbsmax === undefined || nestedOffset === undefined) return absmax;
  const parts = tf.gather(tf.tensor1d(DYNAMIC_MAP), bytesAsInt32(absmax) as tf.Tensor1D);
  return tf.add(timesBlocks(parts, nestedAbsmax, DYNAMIC_BLOCK), nestedOffset);
}

/** Multiplies each block of `size` numbers by its factor; the last block may be short. */
function timesBlocks(values: tf.Tensor1D, factors: tf.Tensor1D, size: number): tf.Tensor1D {
  const [length] = values.shape;
  const [blocks] = factors.shape;
  const column = tf.reshape(factors, [blocks, 1]);
  if (length === blocks * size) return tf.reshape(tf.mul(tf.reshape(values, [blocks, size]), column), [length]);
  return tf.mul(values, tf.slice(tf.reshape(tf.tile(column, [1, size]), [-1]), 0, length));
}
