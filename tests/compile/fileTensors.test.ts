import { describe, expect, test } from "vitest";
import { float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../../src/compile/fileTensors.js";
import { Random } from "../../src/random.js";

describe("half precision", () => {
  test("all 65,536 halves widen to their value and round back to themselves", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const wide = new Float32Array(65536);
    float16ToFloat32(halves, wide);
    for (let half = 0; half < 65536; half++) {
      const sign = half & 0x8000 ? -1 : 1;
      const exponent = (half >> 10) & 31;
      const mantissa = half & 1023;
      const value =
        exponent === 31 ? (mantissa ? NaN : Infinity) : exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
      if (!Object.is(wide[half], sign * value)) throw new Error(`half ${half}: ${wide[half]} is not ${sign * value}`);
    }
    const back = new Uint16Array(65536);
    expect(float32ToFloat16(wide, back)).toBe(0);
    expect(back.every((half, i) => half === i || (Number.isNaN(wide[i]) && (half & 0x7fff) === 0x7e00))).toBe(true);
  });

  test("rounding is to the nearest, ties to even, against a search over all halves", () => {
    const random = new Random(5);
    const halves = Uint16Array.from({ length: 0x7c01 }, (_, i) => i);
    const wide = new Float32Array(halves.length);
    float16ToFloat32(halves, wide);
    const values = Float32Array.from({ length: 20_000 }, (_, i) => {
      const value = random.normal() * 2 ** (random.integer(44) - 27);
      // Every fourth lies exactly between two halves.
      if (i % 4 !== 0) return value;
      const at = random.integer(0x7bff);
      return ((wide[at]! + wide[at + 1]!) / 2) * (i % 8 === 0 ? 1 : -1);
    });
    const rounded = new Uint16Array(values.length);
    float32ToFloat16(values, rounded);
    values.forEach((value, i) => {
      const magnitude = Math.abs(value);
      let low = 0;
      let high = 0x7c00;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (wide[middle]! <= magnitude) low = middle;
        else high = middle;
      }
      // Infinity stands for 65,536 when the distance is measured.
      const above = (high === 0x7c00 ? 65536 : wide[high]!) - magnitude;
      const below = magnitude - wide[low]!;
      const nearest = below < above || (below === above && low % 2 === 0) ? low : high;
      expect(rounded[i]! & 0x7fff, `rounding ${value}`).toBe(nearest);
      expect(rounded[i]! >> 15).toBe(Object.is(value, -0) || value < 0 ? 1 : 0);
    });
  });

  test("bfloat16 ties, overflow to infinity, NaN", () => {
    const source = new Float32Array(6);
    new Uint32Array(source.buffer).set([0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7fffffff, 0xff800000]);
    const target = new Uint16Array(6);
    float32ToBfloat16(source, target);
    expect([...target]).toEqual([0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7fc0, 0xff80]);
  });
});
