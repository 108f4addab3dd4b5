/**
 * NF4, arXiv:2305.14314: 16 levels at the quantiles of a normal distribution, scaled by the largest magnitude of each block of 64 numbers.
 * Layout is bitsandbytes': blocks run over the row-major numbers, two codes are a byte, the first in its high half.
 * Runs in any thread, without TensorFlow.js.
 */
import { EngineError } from "../../errors.js";
import { DYNAMIC_BLOCK, DYNAMIC_MAP, quantiseDynamic } from "./dynamicMap.js";

/** Numbers that share one scale. */
export const NF4_BLOCK = 64;

/** Level of each code, rising; 7 is 0. From the paper's appendix E. */
export const NF4_LEVELS = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** Above the middle between two levels a number gets the upper one. */
const MIDDLES = Float64Array.from({ length: 15 }, (_, i) => (NF4_LEVELS[i]! + NF4_LEVELS[i + 1]!) / 2);
/** Parts of [−1, 1], each with the lowest code that a number in it can have: at most one step is left to take. */
const BINS = 256;
const LOWEST_CODES = Uint8Array.from({ length: BINS + 1 }, (_, bin) => MIDDLES.filter((middle) => middle < (2 * bin) / BINS - 1).length);

/** Scales of the blocks: plain, or again quantised ("double quantisation"). */
export type Nf4Scales = { readonly absmax: Float32Array } | NestedScales;

export interface NestedScales {
  /** Places in the dynamic map. */
  readonly absmax: Uint8Array;
  readonly nestedAbsmax: Float32Array;
  readonly nestedOffset: number;
}

/** Codes of a whole number of blocks; the last block may be short.
 *  @param packed gets half as many bytes as there are numbers, rounded up
 *  @param absmax gets one number a block
 *  @param first place of the first number in the whole tensor, for messages
 *  @throws EngineError `quantise_not_finite` */
export function quantiseNf4Blocks(values: Float32Array, packed: Uint8Array, absmax: Float32Array, first = 0): void {
  for (let block = 0; block < absmax.length; block++) {
    const start = block * NF4_BLOCK;
    const end = Math.min(start + NF4_BLOCK, values.length);
    let largest = 0;
    for (let i = start; i < end; i++) {
      const magnitude = Math.abs(values[i]!);
      // NaN compares false with everything, and must not get a code.
      if (!(magnitude <= largest)) largest = magnitude;
      if (!Number.isFinite(largest)) throw notFinite(values[i]!, first + i);
    }
    absmax[block] = largest;
    const scale = largest === 0 ? 0 : 1 / largest;
    for (let i = start; i < end; i += 2) {
      // The half byte after an odd end stands for 0, as in bitsandbytes.
      const low = i + 1 < end ? nf4Code(values[i + 1]! * scale) : 7;
      packed[i >> 1] = (nf4Code(values[i]! * scale) << 4) | low;
    }
  }
}

function notFinite(value: number, place: number): EngineError {
  return new EngineError(
    "quantise_not_finite",
    `quantise: numbers must be finite, got ${value} at ${place}; the weights are damaged, fetch or train them again`,
  );
}

/** @param value within [−1, 1] */
function nf4Code(value: number): number {
  let code = LOWEST_CODES[Math.floor((value + 1) * (BINS / 2))]!;
  while (code < 15 && value > MIDDLES[code]!) code++;
  return code;
}

/** Quantises the scales again: their mean is taken off and the rest goes into the dynamic map. */
export function quantiseScales(absmax: Float32Array): NestedScales {
  const sum = absmax.reduce((total, value) => total + value, 0);
  const nestedOffset = Math.fround(sum / Math.max(1, absmax.length));
  const { codes, absmax: nestedAbsmax } = quantiseDynamic(absmax.map((value) => value - nestedOffset));
  return { absmax: codes, nestedAbsmax, nestedOffset };
}

/** The scales as numbers again, one a block. */
export function restoreScales(scales: Nf4Scales): Float32Array {
  if (!("nestedAbsmax" in scales)) return scales.absmax;
  const { absmax, nestedAbsmax, nestedOffset } = scales;
  // Rounded after the product as well, as float32 arithmetic does.
  return Float32Array.from(
    absmax,
    (code, i) => Math.fround(DYNAMIC_MAP[code]! * nestedAbsmax[Math.floor(i / DYNAMIC_BLOCK)]!) + nestedOffset,
  );
}

export interface Nf4Numbers {
  /** Two codes a byte, ⌈n/2⌉ bytes. */
  readonly packed: Uint8Array;
  readonly scales: Nf4Scales;
}

/** @param values row-major, finite @throws EngineError `quantise_not_finite` */
export function quantiseNf4(values: Float32Array, doubleQuant: boolean): Nf4Numbers {
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  const absmax = new Float32Array(Math.ceil(values.length / NF4_BLOCK));
  quantiseNf4Blocks(values, packed, absmax);
  return { packed, scales: doubleQuant ? quantiseScales(absmax) : { absmax } };
}

/** The numbers that the codes stand for. @param length how many */
export function dequantiseNf4({ packed, scales }: Nf4Numbers, length: number): Float32Array {
  const absmax = restoreScales(scales);
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const byte = packed[i >> 1]!;
    values[i] = NF4_LEVELS[i % 2 === 0 ? byte >> 4 : byte & 15]! * absmax[Math.floor(i / NF4_BLOCK)]!;
  }
  return values;
}
