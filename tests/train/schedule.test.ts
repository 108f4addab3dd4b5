import { describe, expect, it } from "vitest";
import { DPOConfig } from "../../src/train/index.js";
import { learningRateSchedule } from "../../src/train/loop/schedule.js";

const all = (schedule: (step: number) => number, steps: number): number[] => Array.from({ length: steps }, (_, step) => schedule(step));

function expectClose(values: number[], wanted: number[]): void {
  expect(values.length).toBe(wanted.length);
  values.forEach((value, i) => expect(Math.abs(value - wanted[i]!), `step ${i}`).toBeLessThan(1e-15));
}

describe("learning rate", () => {
  it("linear: rises to the peak, then falls to reach 0 after the last step", () => {
    expectClose(all(learningRateSchedule("linear", 8e-6, 2, 6), 6), [0, 4e-6, 8e-6, 6e-6, 4e-6, 2e-6]);
    expectClose(all(learningRateSchedule("linear", 1e-3, 0, 4), 4), [1e-3, 7.5e-4, 5e-4, 2.5e-4]);
  });

  it("cosine: half a wave after the warmup", () => {
    // 0.5 (1 + cos(pi k/4)) for k = 0…3: 1, (2 + √2)/4, 1/2, (2 − √2)/4.
    const r = Math.SQRT2;
    expectClose(all(learningRateSchedule("cosine", 1, 1, 5), 5), [0, 1, (2 + r) / 4, 0.5, (2 - r) / 4]);
    expect(learningRateSchedule("cosine", 1, 1, 5)(5)).toBeLessThan(1e-15);
  });

  it("constant ignores warmup, constant_with_warmup does not", () => {
    expectClose(all(learningRateSchedule("constant", 3e-4, 2, 4), 4), [3e-4, 3e-4, 3e-4, 3e-4]);
    expectClose(all(learningRateSchedule("constant_with_warmup", 3e-4, 2, 4), 4), [0, 1.5e-4, 3e-4, 3e-4]);
  });

  it("warmup as long as the run, or longer, only rises", () => {
    for (const name of ["linear", "cosine", "constant_with_warmup"] as const) {
      expectClose(all(learningRateSchedule(name, 1, 4, 4), 4), [0, 0.25, 0.5, 0.75]);
      expectClose(all(learningRateSchedule(name, 1, 8, 4), 4), [0, 0.125, 0.25, 0.375]);
    }
  });

  it("a run of one step", () => {
    for (const name of ["linear", "cosine", "constant", "constant_with_warmup"] as const)
      expect(learningRateSchedule(name, 0.5, 0, 1)(0)).toBe(0.5);
  });

  it("never negative, finite everywhere", () => {
    for (const name of ["linear", "cosine", "constant", "constant_with_warmup"] as const) {
      for (const [warmup, total] of [
        [0, 1],
        [3, 3],
        [5, 2],
        [0, 100],
        [99, 100],
      ] as const) {
        for (const rate of all(learningRateSchedule(name, 1e-6, warmup, total), total + 5)) {
          expect(rate).toBeGreaterThanOrEqual(0);
          expect(rate).toBeLessThanOrEqual(1e-6);
        }
      }
    }
  });

  it("warmup as a share of all steps is rounded up", () => {
    expect(new DPOConfig({ warmup_ratio: 0.1 }).get_warmup_steps(25)).toBe(3);
    expect(new DPOConfig({ warmup_steps: 0.1 }).get_warmup_steps(25)).toBe(3);
    expect(new DPOConfig({ warmup_steps: 4 }).get_warmup_steps(25)).toBe(4);
    expect(new DPOConfig({}).get_warmup_steps(25)).toBe(0);
  });
});
