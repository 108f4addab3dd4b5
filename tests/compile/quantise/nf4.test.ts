/** NF4 against tests/golden/nf4.json and nf4.safetensors: codes, packing, scales and double quantisation. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readFileBytes, readFileTensor } from "../../../src/compile/fileTensors.js";
import { DYNAMIC_MAP } from "../../../src/compile/quantise/dynamicMap.js";
import { NF4_LEVELS, dequantiseNf4, quantiseNf4, quantiseScales, restoreScales } from "../../../src/compile/quantise/nf4.js";
import { readSafetensors } from "../../../src/model/safetensors.js";
import { normal } from "../contractCase.js";

interface Golden {
  nf4_levels: number[];
  dynamic_map: number[];
  small: {
    shape: number[];
    weight: number[][];
    codes: number[];
    packed: number[];
    absmax: number[];
    dequantised: number[][];
    double_offset: number[];
    double_codes: number[];
    double_absmax: number[];
    double_absmax_restored: number[];
    double_dequantised: number[][];
  };
}
const golden = JSON.parse(readFileSync("tests/golden/nf4.json", "utf8")) as Golden;
const file = readSafetensors("tests/golden/nf4.safetensors").tensors;
const floats = (name: string): Float32Array => readFileTensor(file.get(name)!);
const bytes = (name: string): number[] => [...readFileBytes(file.get(name)!)];

/** The largest difference in units of the wanted number, or of 1e-3 for smaller ones. */
function relative(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(actual.length).toBe(wanted.length);
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    const difference = Math.abs(actual[i]! - wanted[i]!) / Math.max(1e-3, Math.abs(wanted[i]!));
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

const codesOf = (packed: Uint8Array, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? packed[i >> 1]! >> 4 : packed[i >> 1]! & 15));

test("the two tables", () => {
  expect([...NF4_LEVELS]).toEqual(golden.nf4_levels);
  expect([...DYNAMIC_MAP]).toEqual(golden.dynamic_map);
});

describe.each([
  {
    name: "5 x 33, the last block short and the last byte half used",
    weight: Float32Array.from(golden.small.weight.flat()),
    wanted: { ...golden.small, dequantised: golden.small.dequantised.flat(), double_dequantised: golden.small.double_dequantised.flat() },
  },
  {
    name: "96 x 192",
    weight: floats("weight"),
    wanted: {
      codes: bytes("codes"),
      packed: bytes("packed"),
      absmax: [...floats("absmax")],
      dequantised: floats("dequantised"),
      double_offset: [...floats("double_offset")],
      double_codes: bytes("double_codes"),
      double_absmax: [...floats("double_absmax")],
      double_absmax_restored: floats("double_absmax_restored"),
      double_dequantised: floats("double_dequantised"),
    },
  },
])("$name", ({ weight, wanted }) => {
  test("codes, bytes and scales are exact, numbers to 1e-6", () => {
    const numbers = quantiseNf4(weight, false);
    expect(codesOf(numbers.packed, weight.length)).toEqual(wanted.codes);
    expect([...numbers.packed]).toEqual(wanted.packed);
    expect([...numbers.scales.absmax]).toEqual(wanted.absmax);
    expect(relative(dequantiseNf4(numbers, weight.length), wanted.dequantised)).toBeLessThan(1e-6);
  });

  test("scales quantised again: codes exact, numbers to 1e-6", () => {
    const numbers = quantiseNf4(weight, true);
    const scales = quantiseScales(Float32Array.from(wanted.absmax));
    expect(numbers.scales).toEqual(scales);
    expect([...numbers.packed]).toEqual(wanted.packed);
    expect([...scales.absmax]).toEqual(wanted.double_codes);
    expect(relative([scales.nestedOffset], wanted.double_offset)).toBeLessThan(1e-6);
    expect(relative(scales.nestedAbsmax, wanted.double_absmax)).toBeLessThan(1e-6);
    expect(relative(restoreScales(scales), wanted.double_absmax_restored)).toBeLessThan(1e-6);
    expect(relative(dequantiseNf4(numbers, weight.length), wanted.double_dequantised)).toBeLessThan(1e-6);
  });
});

describe("what a block of 64 can hold", () => {
  test("every code is the nearest level, for many numbers", () => {
    const values = normal([6400], 3).data as Float32Array;
    const { packed, scales } = quantiseNf4(values, false);
    const codes = codesOf(packed, values.length);
    let wrong = 0;
    values.forEach((value, i) => {
      const scaled = value / (scales.absmax[i >> 6] as number);
      const distances = [...NF4_LEVELS].map((level) => Math.abs(level - scaled));
      if (distances[codes[i]!]! > Math.min(...distances) + 1e-7) wrong++;
    });
    expect(wrong).toBe(0);
  });

  test("zeros stay zeros, and quantising what was dequantised changes nothing", () => {
    const zeros = quantiseNf4(new Float32Array(70), true);
    expect([...dequantiseNf4(zeros, 70)]).toEqual(Array.from({ length: 70 }, () => 0));
    const once = quantiseNf4(normal([640], 4).data as Float32Array, false);
    const again = quantiseNf4(dequantiseNf4(once, 640), false);
    expect(again).toEqual(once);
  });

  test("one large number in a block leaves the other blocks as they are", () => {
    const values = new Float32Array(128).fill(0.5);
    values[3] = 1000;
    const back = dequantiseNf4(quantiseNf4(values, false), 128);
    expect([back[3], back[0], back[64], back[127]]).toEqual([1000, 0, 0.5, 0.5]);
  });

  test.each([NaN, Infinity, -Infinity])("%s is refused", (bad) => {
    const values = new Float32Array(128).fill(1);
    values[65] = bad;
    expect(() => quantiseNf4(values, false)).toThrowError(
      expect.objectContaining({
        code: "quantise_not_finite",
        message: `quantise: numbers must be finite, got ${bad} at 65; the weights are damaged, fetch or train them again`,
      }) as Error,
    );
  });
});
