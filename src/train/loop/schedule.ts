/** Learning-rate schedules by Hugging Face's names; formulas as in transformers' optimization.py. */
import type { JsonObject } from "../../config/index.js";
import { type KwargsOf, type SchedulerName, resolveSchedulerKwargs } from "../options/schedulerKwargs.js";
import { greedyFollower, plateauFollower } from "./metricSchedule.js";
import { type Schedule, requireState } from "./scheduleState.js";

export type { Schedule } from "./scheduleState.js";

/**
 * @param peak `learning_rate`
 * @param warmup optimizer steps over which the rate rises
 * @param total optimizer steps of the run
 * @param kwargs `lr_scheduler_kwargs`
 * @throws ConfigError as `resolveSchedulerKwargs`
 */
export function learningRateSchedule(
  name: SchedulerName,
  peak: number,
  warmup: number,
  total: number,
  kwargs: JsonObject | null = null,
): Schedule {
  const of = <N extends SchedulerName>(kind: N): KwargsOf<N> => resolveSchedulerKwargs(kind, kwargs, peak, "learningRateSchedule");
  if (name === "reduce_lr_on_plateau") return plateauFollower(peak, of(name));
  if (name === "greedy") return greedyFollower(peak, of(name));
  const factor = stepFactor(name, peak, warmup, total, of);
  return {
    name,
    rate: (step) => peak * factor(step),
    state: () => ({ name }),
    restore: (state) => requireState(name, state),
  };
}

type StepSchedule = Exclude<SchedulerName, "reduce_lr_on_plateau" | "greedy">;

/** The share of the peak at each step. */
function stepFactor(
  name: StepSchedule,
  peak: number,
  warmup: number,
  total: number,
  of: <N extends SchedulerName>(kind: N) => KwargsOf<N>,
): (step: number) => number {
  const rising = (step: number): number => step / Math.max(1, warmup);
  const after = (step: number): number => (step - warmup) / Math.max(1, total - warmup);
  const warmed = (factor: (step: number) => number) => (step: number) => (step < warmup ? rising(step) : factor(step));
  switch (name) {
    case "constant":
      of(name);
      return () => 1;
    case "constant_with_warmup":
      of(name);
      return warmed(() => 1);
    case "linear":
      of(name);
      return warmed((step) => Math.max(0, (total - step) / Math.max(1, total - warmup)));
    case "cosine": {
      const { num_cycles } = of(name);
      return warmed((step) => Math.max(0, wave(num_cycles, after(step))));
    }
    case "cosine_with_restarts": {
      const { num_cycles } = of(name);
      return warmed((step) => (after(step) >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((num_cycles * after(step)) % 1))))));
    }
    case "polynomial": {
      const { lr_end, power } = of(name);
      // A run that is all warmup has no step after it.
      const left = (step: number): number => 1 - (step - warmup) / Math.max(1, total - warmup);
      return warmed((step) => (step > total ? lr_end : (peak - lr_end) * left(step) ** power + lr_end) / peak);
    }
    case "inverse_sqrt": {
      const timescale = of(name).timescale ?? (warmup || 10_000);
      return warmed((step) => 1 / Math.sqrt((step + timescale - warmup) / timescale));
    }
    case "cosine_with_min_lr": {
      const { num_cycles, ...lowest } = of(name);
      const floor = lowestShare(lowest, peak);
      return warmed((step) => Math.max(0, wave(num_cycles, after(step)) * (1 - floor) + floor));
    }
    case "cosine_warmup_with_min_lr":
      return warmupFromRate(of(name), peak, warmup, total);
    case "warmup_stable_decay":
      return stableDecay(of(name), warmup, total);
  }
}

function wave(cycles: number, progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
}

/** @param lowest one of the two is a number */
function lowestShare({ min_lr, min_lr_rate }: { min_lr: number | null; min_lr_rate: number | null }, peak: number): number {
  return min_lr === null ? min_lr_rate! : min_lr / peak;
}

/** Counts steps from 1, so that the first one trains and the last one is at the lowest rate. */
function warmupFromRate(
  { num_cycles, warmup_lr_rate, ...lowest }: KwargsOf<"cosine_warmup_with_min_lr">,
  peak: number,
  warmup: number,
  total: number,
): (step: number) => number {
  const floor = lowestShare(lowest, peak);
  return (step) => {
    if (step < warmup) {
      if (warmup_lr_rate === null) return (step + 1) / Math.max(1, warmup);
      return warmup_lr_rate + ((1 - warmup_lr_rate) * step) / Math.max(1, warmup - 1);
    }
    const progress = (step - warmup + 1) / Math.max(1, total - warmup);
    return Math.max(0, wave(num_cycles, progress) * (1 - floor) + floor);
  };
}

function stableDecay(kwargs: KwargsOf<"warmup_stable_decay">, warmup: number, total: number): (step: number) => number {
  const { num_decay_steps, num_stable_steps, warmup_type, decay_type, min_lr_ratio, num_cycles } = kwargs;
  const stable = num_stable_steps ?? total - warmup - num_decay_steps;
  const rise = {
    linear: (progress: number) => progress,
    cosine: (progress: number) => 0.5 * (1 - Math.cos(Math.PI * progress)),
    "1-sqrt": (progress: number) => 1 - Math.sqrt(1 - progress),
  }[warmup_type];
  const fall = {
    linear: (progress: number) => 1 - progress,
    cosine: (progress: number) => wave(num_cycles, progress),
    "1-sqrt": (progress: number) => 1 - Math.sqrt(progress),
  }[decay_type];
  const above = (factor: number): number => Math.max(0, factor * (1 - min_lr_ratio) + min_lr_ratio);
  return (step) => {
    if (step < warmup) return above(rise(step / Math.max(1, warmup)));
    if (step < warmup + stable) return 1;
    if (step < warmup + stable + num_decay_steps) return above(fall((step - warmup - stable) / Math.max(1, num_decay_steps)));
    return min_lr_ratio;
  };
}
