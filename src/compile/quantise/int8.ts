/**
 * Vector-wise 8-bit integers, arXiv:2208.07339: each row of a weight is scaled by 127 / its largest magnitude and rounded, halves to the even
 * code, as bitsandbytes does it (`int8_vectorwise_quant`). Runs in any thread, without TensorFlow.js.
 */
import { EngineError } from "../../errors.js";

/** The largest code. −128 is not used. */
export const INT8_LARGEST = 127;

/** What is added to codes that are kept as uint8. */
export const UINT8_ZERO = 128;

/** Adding and taking it off rounds a float32 below 2^22 to a whole number, halves to even. */
const ROUNDER = 3 * 2 ** 22;

/** The largest magnitude of each row, before any code can be made.
 *  @param parts the matrix in row-major order, in portions of any length
 *  @throws EngineError `quantise_not_finite` */
export function rowMaxima(parts: Iterable<Float32Array>, rows: number, columns: number): Float32Array {
  const absmax = new Float32Array(rows);
  let place = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length;) {
      const row = Math.floor(place / columns);
      const end = Math.min(part.length, i + columns - (place % columns));
      place += end - i;
      let largest = absmax[row]!;
      for (; i < end; i++) {
        const magnitude = Math.abs(part[i]!);
        // NaN compares false with everything, and must not get a code.
        if (!(magnitude <= largest)) largest = magnitude;
        if (!Number.isFinite(largest))
          throw new EngineError(
            "quantise_not_finite",
            `quantise: numbers must be finite, got ${part[i]!} at ${place - end + i}; the weights are damaged, fetch or train them again`,
          );
      }
      absmax[row] = largest;
    }
  }
  return absmax;
}

/** Codes −127 to 127 of a matrix [N, K].
 *  @param parts as for `rowMaxima`, whose result `absmax` is
 *  @param columnsFirst gets the codes as [K, N]; as uint8 they are moved up by 128
 *  @param rowsFirst gets them as [N, K], if they are wanted in that order too */
export function quantiseInt8(
  parts: Iterable<Float32Array>,
  absmax: Float32Array,
  columns: number,
  columnsFirst: Int8Array | Uint8Array,
  rowsFirst?: Int8Array | Uint8Array,
): void {
  const zero = columnsFirst instanceof Uint8Array ? UINT8_ZERO : 0;
  const rows = absmax.length;
  let place = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length;) {
      const row = Math.floor(place / columns);
      let column = place % columns;
      const end = Math.min(part.length, i + columns - column);
      const scale = absmax[row] === 0 ? 0 : Math.fround(INT8_LARGEST / absmax[row]!);
      for (; i < end; i++, column++, place++) {
        const code = Math.fround(Math.fround(part[i]! * scale) + ROUNDER) - ROUNDER + zero;
        columnsFirst[column * rows + row] = code;
        if (rowsFirst !== undefined) rowsFirst[place] = code;
      }
    }
  }
}

/** What the codes stand for: code · absmax / 127. @param codes [K, N] @returns [N, K] */
export function dequantiseInt8(codes: Int8Array, absmax: Float32Array): Float32Array {
  const rows = absmax.length;
  const columns = codes.length / rows;
  return Float32Array.from(codes, (_, i) => {
    const row = Math.floor(i / columns);
    return codes[(i % columns) * rows + row]! * Math.fround(absmax[row]! / INT8_LARGEST);
  });
}
