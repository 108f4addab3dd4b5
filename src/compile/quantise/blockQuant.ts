/**
 * Blocks of 32 numbers of a row with one scale each, as llama.cpp's Q8_0 and Q4_0 round them; the scales stay float32. Codes are unsigned,
 * as ONNX Runtime's MatMulNBits takes them: a number is `(code − zero) · scale`.
 */
import { EngineError } from "../../errors.js";

export const QUANT_BLOCK = 32;
export type QuantBits = 4 | 8;

/** The code of 0. */
export function zeroCode(bits: QuantBits): number {
  return bits === 8 ? 128 : 8;
}

export interface QuantisedBlocks {
  /** Block by block; of 4-bit codes two a byte, the earlier one low. */
  readonly codes: Uint8Array;
  /** One per block. */
  readonly scales: Float32Array;
}

/** Quantises whole blocks. @param values a multiple of 32 numbers @param into where their codes and scales go
 *  @throws EngineError `quantise_not_finite` */
export function quantiseBlocks(values: Float32Array, bits: QuantBits, { codes, scales }: QuantisedBlocks): void {
  const zero = zeroCode(bits);
  const bytes = (QUANT_BLOCK * bits) / 8;
  const blocks = values.length / QUANT_BLOCK;
  for (let block = 0; block < blocks; block++) {
    const start = block * QUANT_BLOCK;
    let extreme = 0;
    let magnitude = 0;
    for (let i = start; i < start + QUANT_BLOCK; i++) {
      const value = values[i]!;
      const size = Math.abs(value);
      if (size > magnitude) {
        magnitude = size;
        extreme = value;
      } else if (!(size <= magnitude)) throw notFinite(value);
    }
    if (magnitude === Infinity) throw notFinite(extreme);
    // 8 bits: −127 to 127. 4 bits: the number of the largest magnitude, sign included, becomes −8.
    const scale = bits === 8 ? magnitude / 127 : extreme / -8;
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    const at = block * bytes;
    if (bits === 8) {
      for (let i = 0; i < QUANT_BLOCK; i++) codes[at + i] = Math.round(values[start + i]! * inverse) + zero;
      continue;
    }
    // Adding 8.5 and cutting off rounds; 15 is the largest code.
    const code = (i: number): number => Math.min(15, (values[start + i]! * inverse + 8.5) | 0);
    for (let i = 0; i < bytes; i++) codes[at + i] = code(2 * i) | (code(2 * i + 1) << 4);
  }
}

function notFinite(value: number): EngineError {
  return new EngineError(
    "quantise_not_finite",
    `numbers to quantise must be finite, got ${value}; the weights are damaged, fetch or train them again`,
  );
}
