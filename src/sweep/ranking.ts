/** Which settings are best, and which dimensions matter. */
import type { JsonValue } from "../config/index.js";
import type { TrialRecord } from "./ledger.js";
import type { Goal } from "./study.js";

/** One setting with the complete trials of its seeds. */
export interface Setting {
  /** Without the seed, where a sweep has several. */
  readonly key: string;
  /** By number. */
  readonly trials: readonly TrialRecord[];
  /** Mean of the values. */
  readonly mean: number;
  /** Sample standard deviation; null for one trial. */
  readonly deviation: number | null;
}

/** Whether `a` comes before `b`: by value, then by the order in which they were tried. */
function byValue(goal: Goal): (a: { value: number; order: number }, b: { value: number; order: number }) => number {
  const sign = goal === "maximize" ? -1 : 1;
  return (a, b) => (a.value === b.value ? a.order - b.order : sign * (a.value - b.value));
}

/** Complete trials in the order of their values, then pruned, running, waiting and failed ones by number. */
export function rankTrials(trials: readonly TrialRecord[], goal: Goal): TrialRecord[] {
  const order = { complete: 0, pruned: 1, running: 2, waiting: 3, fail: 4 } as const;
  const compare = byValue(goal);
  return [...trials].sort((a, b) => {
    if (a.state !== b.state) return order[a.state] - order[b.state];
    if (a.state !== "complete") return a.number - b.number;
    return compare({ value: a.value!, order: a.number }, { value: b.value!, order: b.number });
  });
}

/**
 * Settings by the mean over their seeds, best first. While some have not all seeds, those with the most seeds come first: a mean of one
 * lucky run must not win.
 */
export function rankSettings(trials: readonly TrialRecord[], goal: Goal, severalSeeds: boolean): Setting[] {
  const groups = new Map<string, TrialRecord[]>();
  for (const trial of trials) {
    if (trial.state !== "complete") continue;
    const { seed, ...rest } = trial.params;
    const key = JSON.stringify(severalSeeds || seed === undefined ? rest : trial.params);
    groups.set(key, [...(groups.get(key) ?? []), trial]);
  }
  const settings = [...groups].map(([key, group]): Setting => {
    const mean = group.reduce((sum, { value }) => sum + value!, 0) / group.length;
    const squares = group.reduce((sum, { value }) => sum + (value! - mean) ** 2, 0);
    return { key, trials: group, mean, deviation: group.length < 2 ? null : Math.sqrt(squares / (group.length - 1)) };
  });
  const compare = byValue(goal);
  return settings.sort((a, b) => {
    if (severalSeeds && a.trials.length !== b.trials.length) return b.trials.length - a.trials.length;
    return compare({ value: a.mean, order: a.trials[0]!.number }, { value: b.mean, order: b.trials[0]!.number });
  });
}

export interface Importance {
  readonly name: string;
  /** Share of the values' variance, 0 to 1. */
  readonly share: number;
}

/** Bins of a dimension of numbers with many values. */
const BINS = 4;

/** Fewer complete trials say nothing. */
const LEAST_TRIALS = 4;

/**
 * How much of the variance of the values each dimension explains alone: ε² (Kelley 1935), which is η² less what chance would give, at least
 * 0. A dimension of many numbers is cut into quarters of its values. What dimensions do only together is in none of the shares.
 * @returns empty with fewer than four complete trials, or when all values are equal
 */
export function importance(trials: readonly TrialRecord[]): Importance[] {
  const complete = trials.filter(({ state, value }) => state === "complete" && value !== null);
  if (complete.length < LEAST_TRIALS) return [];
  const values = complete.map(({ value }) => value!);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const total = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  if (total === 0) return [];
  const names = [...new Set(complete.flatMap(({ params }) => Object.keys(params)))];
  const shares = names.map((name): Importance => {
    const levels = levelsOf(complete.map(({ params }) => params[name] ?? null));
    const groups = new Map<number, number[]>();
    levels.forEach((level, i) => groups.set(level, [...(groups.get(level) ?? []), values[i]!]));
    const within = [...groups.values()].reduce((sum, group) => {
      const own = group.reduce((a, b) => a + b) / group.length;
      return sum + group.reduce((squares, value) => squares + (value - own) ** 2, 0);
    }, 0);
    const [between, freedom] = [groups.size - 1, values.length - groups.size];
    if (between === 0 || freedom === 0) return { name, share: 0 };
    return { name, share: Math.max(0, (total - within - (between * within) / freedom) / total) };
  });
  return shares.sort((a, b) => b.share - a.share);
}

function levelsOf(values: readonly JsonValue[]): number[] {
  const texts = values.map((value) => JSON.stringify(value));
  const different = [...new Set(texts)];
  if (different.length <= BINS * 2 || !values.every((value) => typeof value === "number"))
    return texts.map((text) => different.indexOf(text));
  const sorted = [...(values as number[])].sort((a, b) => a - b);
  const edges = Array.from({ length: BINS - 1 }, (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / BINS)]!);
  return (values as number[]).map((value) => edges.filter((edge) => value >= edge).length);
}
