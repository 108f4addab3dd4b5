/**
 * Products with a weight that the store holds in blocks of 8 or 4 bits (quantise/blockQuant.ts). For inference: no gradients. ONNX Runtime
 * rounds each row of x to 8 bits by blocks too and multiplies integers, as llama.cpp does (accuracy_level 4).
 */
import { EngineError } from "../../errors.js";
import { QUANT_BLOCK, type QuantBits, zeroCode } from "../quantise/blockQuant.js";
import { tf } from "../tensorflow.js";
import { bytesAsInt32 } from "./bytes.js";
import { onnxOp } from "./onnxOp.js";

/** The parts of a weight [N, K] inside a tensor function. As parts of a product they must be `fixed` states: anew in every run they are 50 times slower. */
export interface BlockWeight {
  /** uint8 [N, blocks, 32 · bits / 8]. */
  readonly codes: tf.Tensor3D;
  /** float32 [N, blocks]. */
  readonly scales: tf.Tensor2D;
}

/** Both numbers of each byte of two 4-bit codes, [256, 2]. */
const NIBBLES = Float32Array.from({ length: 512 }, (_, i) => (i % 2 === 0 ? (i >> 1) & 15 : i >> 5) - zeroCode(4));

function bitsOf({ codes }: BlockWeight): QuantBits {
  return codes.shape[2] === QUANT_BLOCK ? 8 : 4;
}

/** The weight as numbers, float32 [N, K]. */
export function blocksAsFloat32(weight: BlockWeight): tf.Tensor2D {
  const [rows, blocks] = weight.codes.shape;
  const codes = bytesAsInt32(weight.codes);
  const numbers =
    bitsOf(weight) === 8
      ? tf.sub(tf.cast(codes, "float32"), zeroCode(8))
      : keepRows(tf.gather(tf.tensor2d(NIBBLES, [256, 2]), codes), [rows, blocks, QUANT_BLOCK]);
  return keepRows(tf.mul(numbers, keepRows(weight.scales, [rows, blocks, 1])), [rows, blocks * QUANT_BLOCK]) as tf.Tensor2D;
}

/** A reshape that leaves the first axis alone, whatever its size: 0 stands for that in ONNX. */
function keepRows(x: tf.Tensor, shape: readonly [number, ...number[]]): tf.Tensor {
  const [y] = onnxOp({ opType: "Reshape", inputs: [x, [0, ...shape.slice(1)]], outputs: [{ dtype: "float32", shape }] }, () => [
    tf.reshape(x, [...shape]),
  ]);
  return y!;
}

/** Rows of the weight, float32 [n, K]; the rest stays packed. Not from a `fixed` state. @param rows [n] int32 */
export function gatherBlocks(weight: BlockWeight, rows: tf.Tensor1D): tf.Tensor2D {
  return blocksAsFloat32({ codes: tf.gather(weight.codes, rows), scales: tf.gather(weight.scales, rows) });
}

/** Weights of equal columns and bits, one under the other. Of `fixed` states it is one tensor when the session is opened. */
export function joinBlocks(weights: readonly BlockWeight[]): BlockWeight {
  const join = <T extends tf.Tensor>(parts: readonly T[], dtype: "uint8" | "float32"): T => {
    const shape = [parts.reduce((rows, part) => rows + part.shape[0]!, 0), ...parts[0]!.shape.slice(1)];
    const [joined] = onnxOp({ opType: "Concat", inputs: parts, outputs: [{ dtype, shape }], attributes: { axis: 0 } }, () => [
      tf.concat([...parts], 0),
    ]);
    return joined as T;
  };
  return {
    codes: join(
      weights.map(({ codes }) => codes),
      "uint8",
    ),
    scales: join(
      weights.map(({ scales }) => scales),
      "float32",
    ),
  };
}

/** `x Wᵀ`. @param x shape [T, K] @returns shape [T, N] */
export function blockMatMul(x: tf.Tensor2D, weight: BlockWeight): tf.Tensor2D {
  const [rows, blocks] = weight.codes.shape;
  const [tokens, columns] = x.shape;
  if (columns !== blocks * QUANT_BLOCK)
    throw new EngineError(
      "matmul_shape",
      `blockMatMul: x must have ${blocks * QUANT_BLOCK} columns for a weight of ${rows} rows, got [${x.shape.join(",")}]`,
    );
  const [y] = onnxOp(
    {
      opType: "MatMulNBits",
      domain: "com.microsoft",
      inputs: [x, weight.codes, weight.scales],
      outputs: [{ dtype: "float32", shape: [tokens, rows] }],
      attributes: { K: columns, N: rows, bits: bitsOf(weight), block_size: QUANT_BLOCK, accuracy_level: 4 },
    },
    () => [tf.matMul(x, blocksAsFloat32(weight), false, true)],
  );
  return y as tf.Tensor2D;
}
