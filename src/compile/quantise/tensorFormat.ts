/**
 * How the store holds a tensor of floats in fewer bytes: as parts under names that are derived from its own. `fused/` has the operations
 * that read them.
 *
 * - `nf4`: matrices [N, K], K even. `NAME.quant` uint8 [N, K/2], `NAME.absmax` one scale per 64 numbers; with double quantisation that is
 *   uint8, and `NAME.nested_absmax` (one per 256 scales) and `NAME.nested_offset` are beside it. Names after bitsandbytes'.
 * - `float16`: `NAME.half` of the tensor's shape, and `NAME.half_scale`, a power of two by which the halves are multiplied. It puts the
 *   largest number near the top of the range, so that float16 and bfloat16 numbers stay exact: of the latter all but those below
 *   2^-32 of the largest, which lose at most 2^-40 of it.
 * - `blocks`: matrices [N, K], for inference alone. `NAME.codes` uint8 [N, blocks, 32 · bits / 8], `NAME.scales` [N, blocks].
 */
import { EngineError } from "../../errors.js";
import { float32ToFloat16 } from "../fileTensors.js";
import { sizeOf } from "../graph.js";
import type { HostTensor, HostTensors } from "../hostTensor.js";
import type { StoredShape } from "../protocol.js";
import { QUANT_BLOCK, type QuantBits, quantiseBlocks } from "./blockQuant.js";
import { DYNAMIC_BLOCK } from "./dynamicMap.js";
import { NF4_BLOCK, quantiseNf4Blocks, quantiseScales } from "./nf4.js";

export type TensorFormat =
  | { readonly kind: "nf4"; readonly doubleQuant: boolean }
  | { readonly kind: "float16" }
  | { readonly kind: "blocks"; readonly bits: QuantBits };

/** Numbers that are read and converted at a time: whole blocks, and small beside the tensor. */
export const PART_NUMBERS = 1 << 20;

/** What the store holds for a tensor. @param format float32 under the tensor's own name when absent
 *  @throws EngineError `nf4_shape`, `block_shape` */
export function storedParts(name: string, shape: readonly number[], format?: TensorFormat): StoredShape[] {
  if (format === undefined) return [{ name, dtype: "float32", shape }];
  if (format.kind === "float16")
    return [
      { name: `${name}.half`, dtype: "float16", shape },
      { name: `${name}.half_scale`, dtype: "float32", shape: [] },
    ];
  const [rows, columns] = shape;
  if (format.kind === "blocks") {
    if (shape.length !== 2 || columns! % QUANT_BLOCK !== 0)
      throw new EngineError(
        "block_shape",
        `${name}: blocks of ${QUANT_BLOCK} need a matrix with a multiple of ${QUANT_BLOCK} columns, got [${shape.join(",")}]; keep it float32`,
      );
    const blocks = columns! / QUANT_BLOCK;
    return [
      { name: `${name}.codes`, dtype: "uint8", shape: [rows!, blocks, (QUANT_BLOCK * format.bits) / 8] },
      { name: `${name}.scales`, dtype: "float32", shape: [rows!, blocks] },
    ];
  }
  if (shape.length !== 2 || columns! % 2 !== 0)
    throw new EngineError(
      "nf4_shape",
      `${name}: nf4 needs a matrix with an even number of columns, got [${shape.join(",")}]; keep it float32`,
    );
  const blocks = Math.ceil(sizeOf(shape) / NF4_BLOCK);
  const quant: StoredShape = { name: `${name}.quant`, dtype: "uint8", shape: [rows!, columns! / 2] };
  if (!format.doubleQuant) return [quant, { name: `${name}.absmax`, dtype: "float32", shape: [blocks] }];
  return [
    quant,
    { name: `${name}.absmax`, dtype: "uint8", shape: [blocks] },
    { name: `${name}.nested_absmax`, dtype: "float32", shape: [Math.ceil(blocks / DYNAMIC_BLOCK)] },
    { name: `${name}.nested_offset`, dtype: "float32", shape: [] },
  ];
}

/**
 * A tensor in another format.
 * @param parts the numbers in row-major order, `PART_NUMBERS` at a time and the rest in the last one; may be asked for twice
 * @throws EngineError `quantise_not_finite` with the tensor's name, `nf4_shape`, `block_shape`
 */
export function encodeTensor(
  name: string,
  shape: readonly number[],
  format: TensorFormat,
  parts: () => Iterable<Float32Array>,
): HostTensors {
  const stored = storedParts(name, shape, format);
  try {
    const data =
      format.kind === "nf4"
        ? encodeNf4(sizeOf(shape), format.doubleQuant, parts())
        : format.kind === "blocks"
          ? encodeBlocks(sizeOf(shape), format.bits, parts())
          : encodeHalf(sizeOf(shape), parts);
    return Object.fromEntries(stored.map((part, i) => [part.name, { data: data[i]!, dtype: part.dtype, shape: part.shape }]));
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "quantise_not_finite") throw error;
    throw new EngineError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}

/** The numbers of a whole tensor, in the portions that `encodeTensor` takes. */
export function* partsOf(values: Float32Array): Generator<Float32Array> {
  for (let start = 0; start < values.length; start += PART_NUMBERS) yield values.subarray(start, start + PART_NUMBERS);
}

function encodeNf4(length: number, doubleQuant: boolean, parts: Iterable<Float32Array>): HostTensor["data"][] {
  const packed = new Uint8Array(length / 2);
  const absmax = new Float32Array(Math.ceil(length / NF4_BLOCK));
  let start = 0;
  for (const part of parts) {
    const block = start / NF4_BLOCK;
    quantiseNf4Blocks(part, packed.subarray(start / 2), absmax.subarray(block, block + Math.ceil(part.length / NF4_BLOCK)), start);
    start += part.length;
  }
  if (!doubleQuant) return [packed, absmax];
  const scales = quantiseScales(absmax);
  return [packed, scales.absmax, scales.nestedAbsmax, Float32Array.of(scales.nestedOffset)];
}

function encodeBlocks(length: number, bits: QuantBits, parts: Iterable<Float32Array>): HostTensor["data"][] {
  const codes = new Uint8Array((length * bits) / 8);
  const scales = new Float32Array(length / QUANT_BLOCK);
  let start = 0;
  for (const part of parts) {
    quantiseBlocks(part, bits, { codes: codes.subarray((start * bits) / 8), scales: scales.subarray(start / QUANT_BLOCK) });
    start += part.length;
  }
  return [codes, scales];
}

function encodeHalf(length: number, parts: () => Iterable<Float32Array>): HostTensor["data"][] {
  let largest = 0;
  for (const part of parts()) {
    for (const value of part) {
      const magnitude = Math.abs(value);
      if (!(magnitude <= largest)) largest = magnitude;
    }
    if (!Number.isFinite(largest))
      throw new EngineError(
        "quantise_not_finite",
        `float16: numbers must be finite, got ${largest}; the weights are damaged, fetch or train them again`,
      );
  }
  // The largest lands in [2^14, 2^15); a float32 power of two must be able to undo it.
  const exponent = largest === 0 ? 14 : Math.max(-100, Math.floor(Math.log2(largest)));
  const up = 2 ** (14 - exponent);
  const halves = new Uint16Array(length);
  let start = 0;
  for (const part of parts()) {
    float32ToFloat16(
      part.map((value) => value * up),
      halves.subarray(start, start + part.length),
    );
    start += part.length;
  }
  return [halves, Float32Array.of(1 / up)];
}
