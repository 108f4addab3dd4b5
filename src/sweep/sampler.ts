/**
 * Which settings a sweep tries. A sampler is a pure function from a trial's number to its settings: no history, no state. So processes that
 * share a study agree without talking, a restarted one goes on where it was, and 100,000 trials need no list. Optimisers that look at
 * results (Optuna's TPE) drive a study from outside, through `Study.ask(params)` and `tell`.
 */
import { ConfigError } from "../errors.js";
import { Random } from "../random.js";
import { type Params, type SearchSpace, valueAt } from "./space.js";

export type SamplerName = "grid" | "random" | "halton";
export const SAMPLERS: readonly SamplerName[] = ["grid", "random", "halton"];

export interface Sampler {
  /** How many different settings there are; Infinity for a space. */
  readonly size: number;
  /** @param index from 0, below `size` */
  point(index: number): Params;
}

/** Every combination; the last dimension changes fastest. @throws ConfigError `sweep_space` for a range */
export function gridSampler({ dimensions }: SearchSpace): Sampler {
  const lists = [...dimensions].map(([name, dimension]) => {
    if (dimension.kind !== "choice")
      throw new ConfigError(
        "sweep_space",
        `sweep: a grid's ${name} must be a list of values, got ${dimension.kind}; use sampler random or halton`,
      );
    return [name, dimension.values] as const;
  });
  return {
    size: lists.reduce((product, [, values]) => product * values.length, 1),
    point(index) {
      const params: Record<string, Params[string]> = {};
      let rest = index;
      for (const [name, values] of [...lists].reverse()) {
        params[name] = structuredClone(values[rest % values.length]!);
        rest = Math.floor(rest / values.length);
      }
      return Object.fromEntries(lists.map(([name]) => [name, params[name]!]));
    },
  };
}

/** Independent draws. */
export function randomSampler(space: SearchSpace, seed: number): Sampler {
  const random = new Random(seed).fork("sweep");
  return spaceSampler(space, (index, _at, name) => random.fork(`trial ${index} ${name}`).uniform());
}

/**
 * Halton's sequence with permuted digits (Owen, arXiv:1706.02808): spreads evenly, whatever the number of trials. Beyond some ten
 * dimensions its first hundreds of points are not more even than random ones.
 */
export function haltonSampler(space: SearchSpace, seed: number): Sampler {
  const bases = firstPrimes(space.dimensions.size);
  const random = new Random(seed).fork("halton");
  const permutations = bases.map((base, at) =>
    Array.from({ length: digitsOf(base) }, (_, digit) =>
      random.fork(`${at} ${digit}`).shuffle(Array.from({ length: base }, (_, value) => value)),
    ),
  );
  return spaceSampler(space, (index, at) => {
    const base = bases[at]!;
    let [rest, scale, u] = [index, 1, 0];
    for (const permutation of permutations[at]!) {
      scale /= base;
      u += permutation[rest % base]! * scale;
      rest = Math.floor(rest / base);
    }
    return Math.min(u, 1 - 2 ** -32);
  });
}

function spaceSampler({ dimensions }: SearchSpace, place: (index: number, at: number, name: string) => number): Sampler {
  const list = [...dimensions];
  return {
    size: list.every(([, { kind }]) => kind === "choice") && list.length === 0 ? 1 : Infinity,
    point: (index) => Object.fromEntries(list.map(([name, dimension], at) => [name, valueAt(dimension, place(index, at, name))])),
  };
}

/** Every point with every seed, the seeds of one point one after the other. */
export function withSeeds(sampler: Sampler, seeds: readonly number[]): Sampler {
  return {
    size: sampler.size * seeds.length,
    point: (index) => ({ ...sampler.point(Math.floor(index / seeds.length)), seed: seeds[index % seeds.length]! }),
  };
}

/** Digits that make a number of 32 bits. */
function digitsOf(base: number): number {
  return Math.ceil((32 * Math.LN2) / Math.log(base));
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate++) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return primes;
}
