/** Learning rates that follow an evaluation metric: torch's ReduceLROnPlateau and transformers' GreedyLR (arXiv:2512.14527). */
import type { KwargsOf } from "../options/schedulerKwargs.js";
import { type Schedule, fromState, numbersOf, requireState, toState } from "./scheduleState.js";

/** Whether a metric is better than the best so far by more than the threshold. */
function isBetter(
  value: number,
  best: number,
  { mode, threshold, threshold_mode }: Pick<KwargsOf<"greedy">, "mode" | "threshold" | "threshold_mode">,
): boolean {
  if (mode === "min") return value < (threshold_mode === "rel" ? best * (1 - threshold) : best - threshold);
  return value > (threshold_mode === "rel" ? best * (1 + threshold) : best + threshold);
}

function worst(mode: "min" | "max"): number {
  return mode === "min" ? Infinity : -Infinity;
}

/** The rate falls by `factor` after more than `patience` evaluations in a row without a better metric. */
export function plateauFollower(peak: number, kwargs: KwargsOf<"reduce_lr_on_plateau">): Schedule {
  const { factor, patience, cooldown, min_lr, eps } = kwargs;
  const fresh = { rate: peak, best: worst(kwargs.mode), bad: 0, cooling: 0 };
  let now = { ...fresh };
  return {
    name: "reduce_lr_on_plateau",
    rate: () => now.rate,
    onMetric: (value) => {
      if (isBetter(value, now.best, kwargs)) {
        now.best = value;
        now.bad = 0;
      } else {
        now.bad++;
      }
      if (now.cooling > 0) {
        now.cooling--;
        now.bad = 0;
      }
      if (now.bad <= patience) return;
      const reduced = Math.max(now.rate * factor, min_lr);
      if (now.rate - reduced > eps) now.rate = reduced;
      now.cooling = cooldown;
      now.bad = 0;
    },
    state: () => ({ name: "reduce_lr_on_plateau", ...toState(now) }),
    restore: (state) => {
      requireState("reduce_lr_on_plateau", state);
      now = fromState(fresh, state);
    },
  };
}

/** The rate rises after more than `patience` better metrics in a row, and falls after as many that are not. */
export function greedyFollower(peak: number, kwargs: KwargsOf<"greedy">): Schedule {
  const { factor, patience, cooldown, warmup, min_lr, max_lr, eps, smooth, window_size, reset_start } = kwargs;
  const fresh = { rate: peak, best: worst(kwargs.mode), bad: 0, good: 0, cooling: 0, warming: 0, untilReset: reset_start, sum: 0 };
  let now = { ...fresh };
  let window: number[] = [];
  const smoothed = (value: number): number => {
    window.push(value);
    now.sum += value;
    if (window.length > window_size) now.sum -= window.shift()!;
    return now.sum / window.length;
  };
  const rise = (): void => {
    const risen = Math.min(now.rate / factor, max_lr);
    if (risen - now.rate > eps) now.rate = risen;
    now.untilReset = reset_start;
    now.warming = warmup;
    now.good = 0;
  };
  const fall = (): void => {
    const reduced = Math.max(now.rate * factor, min_lr);
    if (now.rate - reduced > eps) now.rate = reduced;
    if (now.rate <= min_lr && --now.untilReset <= 0) {
      now = { ...fresh };
      window = [];
    }
    now.cooling = cooldown;
    now.bad = 0;
  };
  return {
    name: "greedy",
    rate: () => now.rate,
    onMetric: (metric) => {
      const value = smooth ? smoothed(metric) : metric;
      if (now.cooling > 0 || now.warming > 0) {
        if (now.cooling > 0) now.cooling--;
        else now.warming--;
        now.bad = 0;
        now.good = 0;
        return;
      }
      if (isBetter(value, now.best, kwargs)) {
        now.best = value;
        now.bad = 0;
        now.good++;
      } else {
        now.bad++;
        now.good = 0;
      }
      if (now.good > patience) rise();
      else if (now.bad > patience) fall();
    },
    state: () => ({ name: "greedy", ...toState(now), window: [...window] }),
    restore: (state) => {
      requireState("greedy", state);
      now = fromState(fresh, state);
      window = numbersOf("window", state["window"]);
    },
  };
}
