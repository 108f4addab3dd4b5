/** How sure a measured number is: intervals, quantiles, and the sign test. All are 95 % and depend on the seed alone. */
import { ConfigError } from "../errors.js";
import { Random } from "../random.js";
import { wilsonInterval } from "../train/diagnosis/wilson.js";

/** A measured number with its 95 % interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Resamples of a bootstrap; their 2.5 % and 97.5 % quantiles move by about a hundredth of the interval's width from seed to seed. */
const RESAMPLES = 2000;

/** A share with Wilson's interval. @param hits out of @param count, >= 1 */
export function shareEstimate(hits: number, count: number): Estimate {
  const value = hits / count;
  return { value, ...wilsonInterval(value, count) };
}

/**
 * The percentile bootstrap (Efron 1979) of a statistic of rows: rows are drawn with replacement, as many as there are.
 * @param rows number of rows, >= 1
 * @param statistic of the rows at the given positions; where it is NaN, the resample is left out
 * @returns value of all rows in order; low and high are NaN when no resample has a value
 */
export function bootstrap(rows: number, statistic: (rows: Int32Array) => number, seed: number, label: string): Estimate {
  const random = new Random(requireSeed(label, seed)).fork(`bootstrap/${label}`);
  const drawn = new Int32Array(rows);
  const values: number[] = [];
  for (let resample = 0; resample < RESAMPLES; resample++) {
    for (let i = 0; i < rows; i++) drawn[i] = random.integer(rows);
    const value = statistic(drawn);
    if (!Number.isNaN(value)) values.push(value);
  }
  const sorted = Float64Array.from(values).sort();
  const value = statistic(Int32Array.from({ length: rows }, (_, i) => i));
  return { value, low: quantileOfSorted(sorted, 0.025), high: quantileOfSorted(sorted, 0.975) };
}

/** The bootstrap of a mean. @param values one a row, at least one */
export function bootstrapMean(values: readonly number[], seed: number, label: string): Estimate {
  return bootstrap(
    values.length,
    (rows) => {
      let sum = 0;
      for (const row of rows) sum += values[row]!;
      return sum / rows.length;
    },
    seed,
    label,
  );
}

/** Linear interpolation between order statistics, numpy's default. @param q in [0, 1] @returns NaN for no values */
export function quantile(values: readonly number[], q: number): number {
  return quantileOfSorted(Float64Array.from(values).sort(), q);
}

function quantileOfSorted(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) return NaN;
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** @returns NaN for no values */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * The exact two-sided sign test: how often fair coins would be at least as uneven as wins against losses. Ties are left out before.
 * @returns p in (0, 1]; 1 without wins and losses
 */
export function signTest(wins: number, losses: number): number {
  const count = wins + losses;
  // log C(n, k) − n log 2, summed over the smaller tail.
  let logTerm = -count * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= Math.min(wins, losses); k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((count - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}

/** @throws ConfigError `option_type` */
export function requireSeed(where: string, seed: number): number {
  if (Number.isInteger(seed)) return seed;
  throw new ConfigError("option_type", `${where}: seed must be an integer, got ${String(seed)}`);
}
