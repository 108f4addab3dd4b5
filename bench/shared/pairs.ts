/** Random preference pairs as token ids: the same rows for every tool. */
import { Random } from "../../src/random.js";

/** Columns of a tokenised preference row, under TRL's names. */
export interface TokenPair {
  readonly prompt_ids: number[];
  readonly chosen_ids: number[];
  readonly rejected_ids: number[];
}

/** Lengths are drawn evenly from mean − spread to mean + spread, in tokens. */
export interface PairLengths {
  readonly prompt: readonly [mean: number, spread: number];
  readonly completion: readonly [mean: number, spread: number];
}

/** @param vocabulary ids are drawn from 0 to `vocabulary` − 1 @param seed equal seeds give equal rows */
export function randomPairs(count: number, vocabulary: number, seed: number, { prompt, completion }: PairLengths): TokenPair[] {
  const random = new Random(seed);
  const ids = ([mean, spread]: readonly [number, number]): number[] => {
    const length = mean - spread + random.integer(2 * spread + 1);
    return Array.from({ length }, () => random.integer(vocabulary));
  };
  return Array.from({ length: count }, () => ({ prompt_ids: ids(prompt), chosen_ids: ids(completion), rejected_ids: ids(completion) }));
}

/** P + 2C: what an exact method must read of a pair. */
export function pairTokens({ prompt_ids, chosen_ids, rejected_ids }: TokenPair): number {
  return prompt_ids.length + chosen_ids.length + rejected_ids.length;
}

/** Tokens that have a log-prob. */
export function scoredTokens({ chosen_ids, rejected_ids }: TokenPair): number {
  return chosen_ids.length + rejected_ids.length;
}

/** Mean over pairs, rounded to whole tokens. */
export function meanOf(pairs: readonly TokenPair[], count: (pair: TokenPair) => number): number {
  return Math.round(pairs.reduce((sum, pair) => sum + count(pair), 0) / pairs.length);
}
