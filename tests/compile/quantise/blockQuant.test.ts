/** Blocks of 8 and 4 bits. */
import { expect, it } from "vitest";
import { type QuantBits, quantiseBlocks } from "../../../src/compile/quantise/blockQuant.js";
import { encodeTensor } from "../../../src/compile/quantise/tensorFormat.js";
import { Random } from "../../../src/random.js";

function quantise(values: Float32Array, bits: QuantBits) {
  const codes = new Uint8Array((values.length * bits) / 8);
  const scales = new Float32Array(values.length / 32);
  quantiseBlocks(values, bits, { codes, scales });
  return { codes, scales };
}

it("8 bits: 127 steps to the largest magnitude, as Q8_0", () => {
  const values = new Float32Array(64);
  values.set([127, -127, 1, -1.4, 0.6, 0]);
  // The second block is all zeros.
  const { codes, scales } = quantise(values, 8);
  expect([...scales]).toEqual([1, 0]);
  expect([...codes.subarray(0, 7)]).toEqual([255, 1, 129, 127, 129, 128, 128]);
  expect([...codes.subarray(32)]).toEqual(new Array(32).fill(128));
});

it("4 bits: the number of the largest magnitude is −8 steps, as Q4_0; the earlier code is in the low half", () => {
  const values = new Float32Array(32);
  values.set([-8, 7, 7.6, 1, -1, 0.4]);
  const { codes, scales } = quantise(values, 4);
  expect([...scales]).toEqual([1]);
  // Codes 0, 15, 15 (7.6 + 8.5 would be 16), 9, 7, 8, then 8s.
  expect([...codes.subarray(0, 4)]).toEqual([0xf0, 0x9f, 0x87, 0x88]);
  values[0] = 8;
  // Now the scale is −1, and 8 the largest.
  expect([...quantise(values, 4).scales]).toEqual([-1]);
  expect(quantise(values, 4).codes[0]).toBe(0x10);
});

it.each([8, 4] as const)("%i bits: no number is off by more than a step", (bits) => {
  const random = new Random(1);
  const values = Float32Array.from({ length: 320 }, () => random.normal());
  const { codes, scales } = quantise(values, bits);
  values.forEach((value, i) => {
    const code = bits === 8 ? codes[i]! - 128 : ((codes[i >> 1]! >> (4 * (i & 1))) & 15) - 8;
    const scale = scales[Math.floor(i / 32)]!;
    // Half a step; of 4 bits a whole one at the end that has no code.
    expect(Math.abs(code * scale - value)).toBeLessThanOrEqual(Math.abs(scale) * (bits === 8 ? 0.501 : 1.001));
  });
});

it("refuses what has no number or no blocks", () => {
  expect(() => quantise(new Float32Array(32).fill(NaN), 8)).toThrow("numbers to quantise must be finite, got NaN");
  expect(() => quantise(new Float32Array(32).fill(-Infinity), 4)).toThrow("got -Infinity");
  const encode = (shape: number[]) =>
    encodeTensor("w", shape, { kind: "blocks", bits: 8 }, () => [new Float32Array(shape[0]! * shape[1]!)]);
  expect(() => encode([2, 33])).toThrow("w: blocks of 32 need a matrix with a multiple of 32 columns, got [2,33]");
  expect(Object.keys(encode([2, 64]))).toEqual(["w.block_codes", "w.block_scales"]);
});
