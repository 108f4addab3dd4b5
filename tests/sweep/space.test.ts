import { describe, expect, test } from "vitest";
import { gridSampler, haltonSampler, randomSampler, withSeeds } from "../../src/sweep/sampler.js";
import { holds, readGrid, readSpace, valueAt } from "../../src/sweep/space.js";

const code = (work: () => unknown): { code: unknown; message: string } => {
  try {
    work();
  } catch (error) {
    return { code: (error as { code?: unknown }).code, message: (error as Error).message };
  }
  throw new Error("nothing was thrown");
};

const SPACE = readSpace(
  {
    lr: { log_uniform: [1e-5, 1e-2] },
    beta: { uniform: [0, 1] },
    r: { integer: [4, 8] },
    size: { log_integer: [1, 64] },
    targets: [["q_proj", "v_proj"], "all-linear"],
  },
  "test",
);

describe("dimensions", () => {
  test("are refused with the place and what to do", () => {
    expect(code(() => readSpace({ lr: { loguniform: [1, 2] } as never }, "s.yaml"))).toEqual({
      code: "sweep_space",
      message:
        's.yaml: lr must be a list, or one of choice, uniform, log_uniform, integer, log_integer, got {"loguniform":[1,2]}; did you mean log_uniform?',
    });
    expect(code(() => readSpace({ lr: { log_uniform: [0, 1] } }, "s")).message).toContain("must begin above 0");
    expect(code(() => readSpace({ lr: { uniform: [2, 1] } }, "s")).message).toContain("the lower first");
    expect(code(() => readSpace({ r: { integer: [1, 2.5] } }, "s")).message).toContain("whole numbers");
    expect(code(() => readGrid({ r: [1, 1] }, "s")).message).toContain("each once");
    expect(code(() => readGrid({ r: { integer: [1, 2] } }, "s")).message).toContain("put ranges under space");
  });

  test("every drawn value is one of the dimension's, and both ends are reached", () => {
    for (const [, dimension] of SPACE.dimensions) {
      for (let u = 0; u < 1; u += 0.01) expect(holds(dimension, valueAt(dimension, u))).toBe(true);
    }
    const r = SPACE.dimensions.get("r")!;
    expect([valueAt(r, 0), valueAt(r, 1 - 2 ** -32)]).toEqual([4, 8]);
    const size = SPACE.dimensions.get("size")!;
    expect([valueAt(size, 0), valueAt(size, 1 - 2 ** -32)]).toEqual([1, 64]);
    // The middle of a logarithmic range is its geometric mean.
    expect(valueAt(SPACE.dimensions.get("lr")!, 0.5)).toBeCloseTo(Math.sqrt(1e-5 * 1e-2), 8);
  });
});

describe("samplers", () => {
  test("a grid has every combination, the last dimension fastest, seeds innermost", () => {
    const sampler = withSeeds(gridSampler(readGrid({ a: [1, 2], b: ["x", "y", "z"] }, "t")), [7, 8]);
    expect(sampler.size).toBe(12);
    expect([0, 1, 2, 6, 11].map((i) => sampler.point(i))).toEqual([
      { a: 1, b: "x", seed: 7 },
      { a: 1, b: "x", seed: 8 },
      { a: 1, b: "y", seed: 7 },
      { a: 2, b: "x", seed: 7 },
      { a: 2, b: "z", seed: 8 },
    ]);
    expect(new Set(Array.from({ length: 12 }, (_, i) => JSON.stringify(sampler.point(i)))).size).toBe(12);
  });

  test("the same seed and number give the same settings, another seed others", () => {
    for (const make of [randomSampler, haltonSampler]) {
      expect(make(SPACE, 1).point(5)).toEqual(make(SPACE, 1).point(5));
      expect(make(SPACE, 1).point(5)).not.toEqual(make(SPACE, 2).point(5));
      expect(make(SPACE, 1).point(5)).not.toEqual(make(SPACE, 1).point(6));
    }
  });

  test("Halton fills each quarter and each ninth of a square evenly, random points do not", () => {
    const square = readSpace({ x: { uniform: [0, 1] }, y: { uniform: [0, 1] } }, "t");
    // 36 points in a row: bases 2 and 3, so exactly one in each cell of 4 × 9.
    const cells = (sampler: { point(i: number): Record<string, unknown> }): number =>
      new Set(
        Array.from({ length: 36 }, (_, i) => {
          const { x, y } = sampler.point(i) as { x: number; y: number };
          return `${Math.floor(x * 4)} ${Math.floor(y * 9)}`;
        }),
      ).size;
    expect(cells(haltonSampler(square, 3))).toBe(36);
    expect(cells(randomSampler(square, 3))).toBeLessThan(33);
  });
});
