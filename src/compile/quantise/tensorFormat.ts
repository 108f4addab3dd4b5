/**
 * How the store holds a tensor of floats in fewer bytes: as parts under names that are derived from its own. `fused/` has the operations
 * that read them.
 *
 * - `nf4`: matrices [N, K], K even. `NAME.quant` uint8 [N, K/2], `NAME.absmax` one scale per 64 numbers; with double quantisation that is
 *   uint8, and `NAME.nested_absmax` (one per 256 scales) and `NAME.nested_offset` are beside it. Names after bitsandbytes'.
 * - `int8`: matrices [N, K]. `NAME.codes` int8 [K, N], the order in which ONNX Runtime multiplies fast, and `NAME.SCB`, the largest magnitude
 *   of each of the N rows. `NAME.threshold`, from which on a number counts as an outlier in the forward product; absent when none does.
 *   For processors that cannot add products of uint8 and int8 up exactly the codes are uint8, moved up by 128: `NAME.codes_unsigned`.
 *   `NAME.backward_int8` or `NAME.backward_int16`: the codes again as [N, K], for a backward product with gradients of that many bits.
 * - `float16`: `NAME.half` of the tensor's shape, and `NAME.half_scale`, a power of two by which the halves are multiplied. It puts the
 *   largest number near the top of the range, so that float16 and bfloat16 numbers stay exact: of the latter all but those below
 *   2^-32 of the largest, which lose at most 2^-40 of it.
 * - `blocks`: matrices [N, K], for inference alone. `NAME.block_codes` uint8 [N, blocks, 32 · bits / 8], `NAME.block_scales` [N, blocks].
 */
import { EngineError } from "../../errors.js";
import { float32ToFloat16 } from "../fileTensors.js";
import { sizeOf } from "../graph.js";
import type { HostTensor, HostTensors } from "../hostTensor.js";
import type { StoredShape } from "../protocol.js";
import { QUANT_BLOCK, type QuantBits, quantiseBlocks } from "./blockQuant.js";
import { DYNAMIC_BLOCK } from "./dynamicMap.js";
import { quantiseInt8, rowMaxima } from "./int8.js";
import { NF4_BLOCK, quantiseNf4Blocks, quantiseScales } from "./nf4.js";

export type TensorFormat =
  | { readonly kind: "nf4"; readonly doubleQuant: boolean }
  | Int8Format
  | { readonly kind: "float16" }
  | { readonly kind: "blocks"; readonly bits: QuantBits };

/** How gradients are multiplied by a weight of 8-bit codes: as they are, or rounded to 16 or 8 bits by row. */
export type Int8Backward = "float32" | "int16" | "int8";

export interface Int8Format {
  readonly kind: "int8";
  /** Magnitude from which on an input is an outlier, and its column multiplied in float32; 0 for none. */
  readonly threshold: number;
  readonly backward: Int8Backward;
  /** Keep the codes as uint8, moved up by 128: exact and slower where `hasExactInt8` says that int8 is not; default false. */
  readonly unsigned?: boolean;
}

/** Numbers that are read and converted at a time: whole blocks, and small beside the tensor. */
export const PART_NUMBERS = 1 << 20;

/** What the store holds for a tensor. @param format float32 under the tensor's own name when absent
 *  @throws EngineError `nf4_shape`, `int8_shape`, `block_shape` */
export function storedParts(name: string, shape: readonly number[], format?: TensorFormat): StoredShape[] {
  if (format === undefined) return [{ name, dtype: "float32", shape }];
  if (format.kind === "float16")
    return [
      { name: `${name}.half`, dtype: "float16", shape },
      { name: `${name}.half_scale`, dtype: "float32", shape: [] },
    ];
  if (format.kind === "int8") return int8Parts(name, shape, format);
  const [rows, columns] = shape;
  if (format.kind === "blocks") {
    if (shape.length !== 2 || columns! % QUANT_BLOCK !== 0)
      throw new EngineError(
        "block_shape",
        `${name}: blocks of ${QUANT_BLOCK} need a matrix with a multiple of ${QUANT_BLOCK} columns, got [${shape.join(",")}]; keep it float32`,
      );
    const blocks = columns! / QUANT_BLOCK;
    return [
      { name: `${name}.block_codes`, dtype: "uint8", shape: [rows!, blocks, (QUANT_BLOCK * format.bits) / 8] },
      { name: `${name}.block_scales`, dtype: "float32", shape: [rows!, blocks] },
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

function int8Parts(name: string, shape: readonly number[], { threshold, backward, unsigned = false }: Int8Format): StoredShape[] {
  if (shape.length !== 2) throw new EngineError("int8_shape", `${name}: int8 needs a matrix, got [${shape.join(",")}]; keep it float32`);
  const [rows, columns] = shape as [number, number];
  const dtype = unsigned ? "uint8" : "int8";
  const parts: StoredShape[] = [
    { name: `${name}.${unsigned ? "codes_unsigned" : "codes"}`, dtype, shape: [columns, rows] },
    { name: `${name}.SCB`, dtype: "float32", shape: [rows] },
  ];
  if (threshold > 0) parts.push({ name: `${name}.threshold`, dtype: "float32", shape: [] });
  if (backward !== "float32") parts.push({ name: `${name}.backward_${backward}`, dtype, shape: [rows, columns] });
  return parts;
}

/**
 * A tensor in another format.
 * @param parts the numbers in row-major order, `PART_NUMBERS` at a time and the rest in the last one; may be asked for twice
 * @throws EngineError `quantise_not_finite` with the tensor's name, `nf4_shape`, `int8_shape`, `block_shape`
 */
export function encodeTensor(
  name: string,
  shape: readonly number[],
  format: TensorFormat,
  parts: () => Iterable<Float32Array>,
): HostTensors {
  const stored = storedParts(name, shape, format);
  try {
    const data = encodedData(shape, format, parts);
    return Object.fromEntries(stored.map((part, i) => [part.name, { data: data[i]!, dtype: part.dtype, shape: part.shape }]));
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "quantise_not_finite") throw error;
    throw new EngineError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}

/** In the order of `storedParts`. */
function encodedData(shape: readonly number[], format: TensorFormat, parts: () => Iterable<Float32Array>): HostTensor["data"][] {
  if (format.kind === "nf4") return encodeNf4(sizeOf(shape), format.doubleQuant, parts());
  if (format.kind === "int8") return encodeInt8(shape as [number, number], format, parts);
  if (format.kind === "blocks") return encodeBlocks(sizeOf(shape), format.bits, parts());
  return encodeHalf(sizeOf(shape), parts);
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

function encodeInt8(
  [rows, columns]: readonly [number, number],
  { threshold, backward, unsigned = false }: Int8Format,
  parts: () => Iterable<Float32Array>,
): HostTensor["data"][] {
  const absmax = rowMaxima(parts(), rows, columns);
  const bytes = () => new (unsigned ? Uint8Array : Int8Array)(rows * columns);
  const codes = bytes();
  const again = backward === "float32" ? undefined : bytes();
  quantiseInt8(parts(), absmax, columns, codes, again);
  return [codes, absmax, ...(threshold > 0 ? [Float32Array.of(threshold)] : []), ...(again === undefined ? [] : [again])];
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
