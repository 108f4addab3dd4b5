/** A model's weights inside a tensor function, however the engine holds them (weightFormats.ts). */
import {
  type BlockWeight,
  type Int8Weight,
  type Nf4Weight,
  type TensorMap,
  blockMatMul,
  blocksAsFloat32,
  gatherBlocks,
  gatherHalf,
  halfAsFloat32,
  int8AsFloat32,
  int8MatMul,
  joinBlocks,
  nf4AsFloat32,
  nf4MatMul,
  tf,
} from "../compile/index.js";

/** A projection's frozen or trained weight as numbers, shape [out, in]. @param path e.g. `model.layers.0.self_attn.q_proj` */
export function baseWeight(weights: TensorMap, path: string): tf.Tensor2D {
  return floatWeight(weights, `${path}.weight`) as tf.Tensor2D;
}

/** Outputs of several projections of the same x without their biases, `x Wᵀ`. @param x [T, in] @returns [T, out] of each */
export function baseProducts(weights: TensorMap, paths: readonly string[], x: tf.Tensor2D): tf.Tensor2D[] {
  const blocks = paths.flatMap((path) => blocksOf(weights, `${path}.weight`) ?? []);
  if (blocks.length < paths.length) return paths.map((path) => baseProduct(weights, path, x));
  if (blocks.length === 1) return [blockMatMul(x, blocks[0]!)];
  // A product rounds x for itself, and of one row that is no small part of its time.
  const rows = blocks.map(({ codes }) => codes.shape[0]);
  return tf.split(blockMatMul(x, joinBlocks(blocks)), rows, 1) as tf.Tensor2D[];
}

function baseProduct(weights: TensorMap, path: string, x: tf.Tensor2D): tf.Tensor2D {
  const blocks = blocksOf(weights, `${path}.weight`);
  if (blocks !== undefined) return blockMatMul(x, blocks);
  const nf4 = nf4Of(weights, `${path}.weight`);
  if (nf4 !== undefined) return nf4MatMul(x, nf4);
  const int8 = int8Of(weights, `${path}.weight`);
  return int8 === undefined ? tf.matMul(x, baseWeight(weights, path), false, true) : int8MatMul(x, int8);
}

/** Rows of an embedding, [T, D]. @param ids shape [T] int32 */
export function embeddingRows(weights: TensorMap, name: string, ids: tf.Tensor1D): tf.Tensor2D {
  const blocks = blocksOf(weights, name, GATHERED);
  if (blocks !== undefined) return gatherBlocks(blocks, ids);
  const half = halfOf(weights, name);
  return half === undefined ? tf.gather(weights[name] as tf.Tensor2D, ids) : tf.mul(gatherHalf(half.numbers, ids), half.scale);
}

/** Any weight as float32. @param name e.g. `model.norm.weight` */
export function floatWeight(weights: TensorMap, name: string): tf.Tensor {
  const blocks = blocksOf(weights, name);
  if (blocks !== undefined) return blocksAsFloat32(blocks);
  const nf4 = nf4Of(weights, name);
  if (nf4 !== undefined) return nf4AsFloat32(nf4);
  const int8 = int8Of(weights, name);
  if (int8 !== undefined) return int8AsFloat32(int8);
  const half = halfOf(weights, name);
  return half === undefined ? weights[name]! : tf.mul(halfAsFloat32(half.numbers), half.scale);
}

/** A weight of 16-bit floats: the numbers, which only operations for halves may touch, and what they are multiplied by. */
export function halfOf(weights: TensorMap, name: string): { numbers: tf.Tensor2D; scale: tf.Scalar } | undefined {
  const numbers = weights[`${name}.half`] as tf.Tensor2D | undefined;
  return numbers === undefined ? undefined : { numbers, scale: weights[`${name}.half_scale`] as tf.Scalar };
}

/** Behind the names of inputs that are looked up row by row: a weight that is a product's too comes twice. */
export const GATHERED = ".gathered";

/** A weight in blocks of 8 or 4 bits, for inference. */
export function blocksOf(weights: TensorMap, name: string, suffix: "" | typeof GATHERED = ""): BlockWeight | undefined {
  const codes = weights[`${name}.block_codes${suffix}`] as tf.Tensor3D | undefined;
  return codes === undefined ? undefined : { codes, scales: weights[`${name}.block_scales${suffix}`] as tf.Tensor2D };
}

function nf4Of(weights: TensorMap, name: string): Nf4Weight | undefined {
  const quant = weights[`${name}.quant`] as tf.Tensor2D | undefined;
  if (quant === undefined) return undefined;
  return {
    quant,
    absmax: weights[`${name}.absmax`] as tf.Tensor1D,
    nestedAbsmax: weights[`${name}.nested_absmax`] as tf.Tensor1D | undefined,
    nestedOffset: weights[`${name}.nested_offset`] as tf.Scalar | undefined,
  };
}

function int8Of(weights: TensorMap, name: string): Int8Weight | undefined {
  const unsigned = `${name}.codes_unsigned` in weights;
  const codes = weights[`${name}.${unsigned ? "codes_unsigned" : "codes"}`] as tf.Tensor2D | undefined;
  if (codes === undefined) return undefined;
  const again = ([8, 16] as const).map((bits) => ({ bits, codes: weights[`${name}.backward_int${bits}`] as tf.Tensor2D }));
  return {
    codes,
    unsigned,
    absmax: weights[`${name}.SCB`] as tf.Tensor1D,
    threshold: weights[`${name}.threshold`] as tf.Scalar | undefined,
    backward: again.find((part) => part.codes !== undefined),
  };
}
