/**
 * Block-wise 8-bit numbers (arXiv:2110.02861): each row of a matrix is divided by its largest magnitude, and each quotient becomes the
 * nearest of the 256 numbers of a dynamic map. No gradient.
 */
import { tf } from "../tensorflow.js";
import { bytesAsInt32, int32AsBytes } from "./bytes.js";
import { dynamicMap, nearestFinder } from "./dynamicMap.js";
import { onnxOp } from "./onnxOp.js";

export interface CodedBlocks {
  /** uint8, shape [blocks, length] */
  readonly codes: tf.Tensor2D;
  /** The largest magnitude of each block, float32, shape [blocks] */
  readonly absmax: tf.Tensor1D;
}

/** The smallest normal float32: a block of zeros is divided by it. */
const SMALLEST = 2 ** -126;

/** Codes of 0 in the maps. */
const SIGNED_ZERO = 127;

/** Holds its tables as tensors: make one inside the function that uses it. */
export class BlockCodec {
  readonly #signed: boolean;
  readonly #map: tf.Tensor1D;
  readonly #lower: tf.Tensor1D;
  readonly #above: tf.Tensor1D;
  readonly #scale: number;

  /** @param signed for numbers of both signs; without it for numbers ≥ 0, twice as finely */
  constructor(signed: boolean) {
    const map = dynamicMap(signed);
    const { lower, above, scale } = nearestFinder(signed ? map.slice(SIGNED_ZERO) : map);
    this.#signed = signed;
    this.#map = tf.tensor1d(map);
    this.#lower = tf.tensor1d(lower, "int32");
    this.#above = tf.tensor1d(above);
    this.#scale = scale;
  }

  /** @param values shape [blocks, length], finite; without a sign ≥ 0 */
  encode(values: tf.Tensor2D): CodedBlocks {
    const magnitudes = this.#signed ? tf.abs(values) : values;
    const absmax = rowMaximum(magnitudes); // [blocks, 1]
    const share = tf.div(magnitudes, tf.maximum(absmax, SMALLEST)); // in [0, 1]
    const bin = truncate(tf.mul(tf.sqrt(share), this.#scale));
    const isNext = tf.cast(tf.greater(share, tf.gather(this.#above, bin)), "int32");
    const index = tf.add(tf.gather(this.#lower, bin), isNext);
    return { codes: int32AsBytes(this.#signed ? withSign(index, values) : index) as tf.Tensor2D, absmax: tf.reshape(absmax, [-1]) };
  }

  /** @returns shape [blocks, length] */
  decode({ codes, absmax }: CodedBlocks): tf.Tensor2D {
    return tf.mul(tf.gather(this.#map, bytesAsInt32(codes)), tf.reshape(absmax, [-1, 1]));
  }
}

/** Codes of a signed map from the index of the magnitude, 0 to 128. There is no −1: its nearest number is index 127. */
function withSign(index: tf.Tensor, values: tf.Tensor): tf.Tensor {
  const zero = tf.scalar(SIGNED_ZERO, "int32");
  return tf.where(tf.less(values, 0), tf.sub(zero, tf.minimum(index, zero)), tf.add(index, zero));
}

/** tf.max looks for NaN in another pass; here a NaN ends the run by itself, as an index out of range. */
function rowMaximum(x: tf.Tensor2D): tf.Tensor2D {
  const [y] = onnxOp(
    { opType: "ReduceMax", inputs: [x, [1]], outputs: [{ dtype: "float32", shape: [x.shape[0], 1] }], attributes: { keepdims: 1 } },
    () => [tf.max(x, -1, true)],
  );
  return y as tf.Tensor2D;
}

/** tf.cast would look for NaN and for what int32 cannot hold. */
function truncate(x: tf.Tensor): tf.Tensor {
  const [y] = onnxOp({ opType: "Cast", inputs: [x], outputs: [{ dtype: "int32", shape: x.shape }], attributes: { to: 6 } }, () => [
    tf.cast(x, "int32"),
  ]);
  return y!;
}
