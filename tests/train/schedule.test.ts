import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/config/index.js";
import { ConfigError } from "../../src/errors.js";
import { DPOConfig, type DPOConfigInput } from "../../src/train/index.js";
import { type Schedule, learningRateSchedule } from "../../src/train/loop/schedule.js";
import type { SchedulerName } from "../../src/train/options/schedulerKwargs.js";
import { SCHEDULER_KWARGS } from "../../src/train/options/schedulerKwargs.js";

const all = (schedule: Schedule, steps: number): number[] => Array.from({ length: steps }, (_, step) => schedule.rate(step));

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
    expect(learningRateSchedule("cosine", 1, 1, 5).rate(5)).toBeLessThan(1e-15);
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
      expect(learningRateSchedule(name, 0.5, 0, 1).rate(0)).toBe(0.5);
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

interface GoldenCase {
  name: SchedulerName;
  kwargs: JsonObject;
  peak: number;
  warmup: number;
  total: number;
  /** Told one after each step. */
  metrics?: number[];
  rates: number[];
}

// scripts/golden/schedules.py: torch 2.13, transformers 5.18.
const { cases } = JSON.parse(readFileSync("tests/golden/schedules.json", "utf8")) as { cases: GoldenCase[] };
const titled = cases.map((one) => [`${one.name} ${JSON.stringify(one.kwargs)} peak ${one.peak} warmup ${one.warmup}`, one] as const);

/** The rates of a run that tells each metric after its step. */
function played(schedule: Schedule, { metrics, rates }: GoldenCase, from = 0, to = rates.length): number[] {
  const got: number[] = [];
  for (let step = from; step < to; step++) {
    got.push(schedule.rate(step));
    const metric = metrics?.[step];
    if (metric !== undefined) schedule.onMetric!(metric);
  }
  return got;
}

describe("against transformers", () => {
  it("every schedule is among the golden cases", () => {
    expect(new Set(cases.map(({ name }) => name))).toEqual(new Set(Object.keys(SCHEDULER_KWARGS)));
  });

  it.each(titled)("%s", (_title, one) => {
    const got = played(learningRateSchedule(one.name, one.peak, one.warmup, one.total, one.kwargs), one);
    one.rates.forEach((rate, step) => {
      // A cosine at its zero is the rounding of 1 + cos(π): relative to the peak.
      const scale = rate < 1e-12 * one.peak ? one.peak : rate;
      expect(Math.abs(got[step]! - rate), `step ${step}`).toBeLessThanOrEqual(1e-12 * scale);
    });
  });

  it.each(titled.filter(([, { metrics }]) => metrics !== undefined))("state there and back in the middle: %s", (_title, one) => {
    for (const cut of [0, 5, 23, 40]) {
      const first = learningRateSchedule(one.name, one.peak, one.warmup, one.total, one.kwargs);
      const before = played(first, one, 0, cut);
      const state = JSON.parse(JSON.stringify(first.state())) as JsonObject;
      const second = learningRateSchedule(one.name, one.peak, one.warmup, one.total, one.kwargs);
      second.restore(state);
      expect([...before, ...played(second, one, cut)]).toEqual(
        played(learningRateSchedule(one.name, one.peak, one.warmup, one.total, one.kwargs), one),
      );
    }
  });
});

function failure(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("refusals", () => {
  it.each<[DPOConfigInput, string]>([
    [
      { lr_scheduler_type: "cosine", lr_scheduler_kwargs: { num_cycle: 2 } },
      'option_unknown: DPOConfig: lr_scheduler_kwargs of "cosine" must be known to it, got num_cycle; known: num_cycles',
    ],
    [
      { lr_scheduler_type: "linear", lr_scheduler_kwargs: { power: 2 } },
      'option_unknown: DPOConfig: lr_scheduler_kwargs of "linear" must be known to it, got power; known: none',
    ],
    [
      { lr_scheduler_type: "cosine", lr_scheduler_kwargs: { num_cycles: "2" } },
      'option_type: DPOConfig: lr_scheduler_kwargs.num_cycles must be a number >= 0, got "2"; the default is 0.5',
    ],
    [
      { lr_scheduler_type: "polynomial", lr_scheduler_kwargs: { lr_end: 1e-3 }, learning_rate: 1e-3 },
      "option_conflict: DPOConfig: lr_scheduler_kwargs: lr_end must be smaller than learning_rate 0.001, got 0.001",
    ],
    [
      { lr_scheduler_type: "cosine_with_min_lr" },
      'option_conflict: DPOConfig: lr_scheduler_kwargs: "cosine_with_min_lr" needs one of min_lr and min_lr_rate, got neither',
    ],
    [
      { lr_scheduler_type: "cosine_warmup_with_min_lr", lr_scheduler_kwargs: { min_lr: 0, min_lr_rate: 0 } },
      'option_conflict: DPOConfig: lr_scheduler_kwargs: "cosine_warmup_with_min_lr" needs one of min_lr and min_lr_rate, got both',
    ],
    [
      { lr_scheduler_type: "warmup_stable_decay" },
      "option_missing: DPOConfig: lr_scheduler_kwargs.num_decay_steps must be given; Steps over which the rate falls",
    ],
    [
      { lr_scheduler_type: "warmup_stable_decay", lr_scheduler_kwargs: { num_decay_steps: 3, decay_type: "square" } },
      'option_choice: DPOConfig: lr_scheduler_kwargs.decay_type must be one of linear, cosine, 1-sqrt, got "square"; the default is "cosine"',
    ],
    [
      { lr_scheduler_type: "greedy" },
      'option_conflict: DPOConfig: lr_scheduler_type "greedy" needs eval_strategy "steps" or "epoch", got "no"',
    ],
    [
      { lr_scheduler_kwargs: [1] as never },
      "option_type: DPOConfig: lr_scheduler_kwargs must be a JSON object or null, got [1]; the default is null",
    ],
  ])("%j", (options, message) => {
    expect(failure(() => new DPOConfig(options))).toBe(message);
  });

  it("kwargs are part of the saved options", () => {
    const config = new DPOConfig({ lr_scheduler_type: "cosine", lr_scheduler_kwargs: { num_cycles: 2 } });
    expect(DPOConfig.from_json(JSON.stringify(config)).lr_scheduler_kwargs).toEqual({ num_cycles: 2 });
  });

  it("the state of another schedule, or a damaged one", () => {
    const schedule = learningRateSchedule("reduce_lr_on_plateau", 1, 0, 10);
    expect(failure(() => schedule.restore({ name: "greedy" }))).toBe(
      'scheduler_state: schedule: the state must be that of lr_scheduler_type "reduce_lr_on_plateau", got "greedy"; resume with the lr_scheduler_type of the checkpoint',
    );
    expect(failure(() => schedule.restore({ ...schedule.state(), bad: "1" }))).toBe(
      'scheduler_state: schedule: bad of a saved state must be a number, got "1"; the checkpoint is damaged, resume from another',
    );
    expect(failure(() => learningRateSchedule("linear", 1, 0, 10).restore({}))).toMatch(/^scheduler_state: .*, got null;/);
  });
});
