import { defineOptions, type OptionInput, type OptionValues } from "../config/index.js";
import { ModelError } from "../errors.js";
import type { Random } from "../random.js";

/**
 * From logits to a token, as transformers' `generate` does it: repetition penalty, then (when sampling) temperature, top_k, top_p, min_p,
 * typical_p, in this order, each working on what the one before left. Pure functions on arrays of one number per vocabulary entry.
 *
 * A vocabulary has 152 thousand entries and few survive the first filter, so the survivors travel as a short list, and
 * no filter sorts more than the entries that its cut can fall among.
 */
export const SAMPLING_OPTIONS = defineOptions("sampling", {
  do_sample: { type: "boolean", default: false, help: "Draw from the distribution; without it the likeliest token is taken" },
  temperature: {
    type: "number",
    default: 1,
    exclusiveMin: 0,
    help: "Logits are divided by it: below 1 sharper, above 1 flatter; for no randomness leave do_sample off",
  },
  top_k: {
    type: "integer",
    default: 50,
    min: 0,
    help: "Keep only the k likeliest tokens, and those equal to the last of them; 0 keeps all",
    unit: "tokens",
  },
  top_p: {
    type: "number",
    default: 1,
    min: 0,
    max: 1,
    help: "Keep the likeliest tokens whose probabilities just reach this sum; 1 keeps all",
  },
  min_p: {
    type: "number",
    default: null,
    nullable: true,
    min: 0,
    max: 1,
    help: "Keep tokens at least this probable relative to the likeliest; null keeps all",
  },
  typical_p: {
    type: "number",
    default: 1,
    exclusiveMin: 0,
    max: 1,
    help: "Keep the tokens whose surprise is closest to the expected, arXiv:2202.00666, up to this sum; 1 keeps all",
  },
  repetition_penalty: {
    type: "number",
    default: 1,
    exclusiveMin: 0,
    help: "Logits of tokens that occurred are divided by it if positive, else multiplied, arXiv:1909.05858; 1 changes nothing",
  },
});

export type SamplingOptions = OptionValues<typeof SAMPLING_OPTIONS.entries>;
export type SamplingInput = OptionInput<typeof SAMPLING_OPTIONS.entries>;

/** Checks options and fills in transformers' defaults. @throws ConfigError `option_unknown`, `option_type`, `option_range` */
export function resolveSampling(input: SamplingInput, where = "generate"): SamplingOptions {
  return SAMPLING_OPTIONS.resolve(input, { where });
}

/** Tokens that may be drawn. */
export interface Candidates {
  /** Token ids, ascending. */
  readonly ids: Int32Array;
  /** Their processed logits. */
  readonly logits: Float32Array;
}

/** The next token. @param logits one per vocabulary entry; not changed
 *  @param previousIds prompt and generated ids so far, for the repetition penalty
 *  @param random used only with do_sample, one draw a token
 *  @throws ModelError `logits_not_finite`, `token_range` */
export function chooseToken(logits: Float32Array, previousIds: ArrayLike<number>, options: SamplingOptions, random: Random): number {
  if (options.do_sample) return drawToken(filterLogits(logits, previousIds, options), random);
  return argmax(penaliseRepetition(logits, previousIds, options.repetition_penalty));
}

/** Index of the largest number; the first of equal ones. @throws ModelError `logits_not_finite` */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let bestValue = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i]!;
    if (value > bestValue) {
      best = i;
      bestValue = value;
    } else if (value !== value) {
      throw notFinite(logits);
    }
  }
  if (best < 0 || bestValue === Infinity) throw notFinite(logits);
  return best;
}

/** All that survive the penalty, the temperature and the filters. At least one does.
 *  @param logits one per vocabulary entry; not changed
 *  @throws ModelError `logits_not_finite`, `token_range` */
export function filterLogits(
  logits: Float32Array,
  previousIds: ArrayLike<number>,
  options: Omit<SamplingOptions, "do_sample">,
): Candidates {
  const scores = penaliseRepetition(logits, previousIds, options.repetition_penalty);
  const { top_k, temperature } = options;
  let kept: Candidates =
    top_k === 0 || top_k >= scores.length
      ? { ids: identity(scores.length), logits: divideByTemperature(scores, temperature) }
      : keepTopK(scores, top_k, temperature);
  if (options.top_p < 1) kept = keepTopP(kept, options.top_p);
  if (options.min_p !== null) kept = keepMinP(kept, options.min_p);
  if (options.typical_p < 1) kept = keepTypical(kept, options.typical_p);
  return kept;
}

/** Probability of each candidate; they sum to 1. @throws ModelError `logits_not_finite` */
export function candidateProbabilities(candidates: Candidates): Float64Array {
  const { weights, total } = exponentials(candidates.logits);
  for (let i = 0; i < weights.length; i++) weights[i]! /= total;
  return weights;
}

/** Draws one candidate's id by its probability; takes one number from `random`. @throws ModelError `logits_not_finite` */
export function drawToken(candidates: Candidates, random: Random): number {
  const { weights, total } = exponentials(candidates.logits);
  let left = random.uniform() * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! === 0) continue;
    last = i;
    left -= weights[i]!;
    if (left < 0) break;
  }
  return candidates.ids[last]!;
}

function penaliseRepetition(logits: Float32Array, previousIds: ArrayLike<number>, penalty: number): Float32Array {
  if (penalty === 1) return logits;
  const scores = logits.slice();
  for (let i = 0; i < previousIds.length; i++) {
    const id = previousIds[i]!;
    const score = logits[id];
    if (score === undefined) {
      throw new ModelError(
        "token_range",
        `sampling: previous ids must be below the vocabulary size ${logits.length}, got ${id}; use the tokenizer of this model`,
      );
    }
    // From the original logit each time: an id that occurred twice is penalised once.
    scores[id] = score < 0 ? score * penalty : score / penalty;
  }
  return scores;
}

function divideByTemperature(logits: Float32Array, temperature: number): Float32Array {
  if (temperature === 1) return logits;
  const scores = new Float32Array(logits.length);
  for (let i = 0; i < logits.length; i++) scores[i] = logits[i]! / temperature;
  return scores;
}

/** The k largest, divided by the temperature, and whatever then equals the k-th. @param k from 1 to below the length */
function keepTopK(scores: Float32Array, k: number, temperature: number): Candidates {
  // Dividing keeps the order, and may make numbers equal: the k-th is found before it and compared after it.
  const threshold = Math.fround(kthLargest(scores, k) / temperature);
  const ids: number[] = [];
  const logits: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    const logit = Math.fround(scores[i]! / temperature);
    // NaN stays, and is reported by whoever adds up.
    if (logit < threshold) continue;
    ids.push(i);
    logits.push(logit);
  }
  return { ids: Int32Array.from(ids), logits: Float32Array.from(logits) };
}

/** The shortest list of likeliest tokens whose probabilities reach `topP`. Of equal logits at the cut, the lower ids go first. */
function keepTopP(candidates: Candidates, topP: number): Candidates {
  const { logits } = candidates;
  const { weights, total, max } = exponentials(logits);
  const cut = (1 - topP) * total;
  // All entries of at most cut / n together weigh at most the cut: they go, and only the others need sorting.
  const sure = cut / logits.length;
  let removed = 0;
  let count = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! > sure || logits[i] === max) count++;
    else removed += weights[i]!;
  }
  const sorted = new Float32Array(count);
  count = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i]! > sure || logits[i] === max) sorted[count++] = logits[i]!;
  sorted.sort();
  let first = 0;
  for (; first < sorted.length - 1; first++) {
    removed += Math.exp(sorted[first]! - max);
    if (removed > cut) break;
  }
  const threshold = sorted[first]!;
  let equalToRemove = 0;
  for (let i = first - 1; i >= 0 && sorted[i] === threshold; i--) equalToRemove++;
  return keepWhere(candidates, (logit) => logit > threshold || (logit === threshold && equalToRemove-- <= 0));
}

function keepMinP(candidates: Candidates, minP: number): Candidates {
  const { weights, max } = exponentials(candidates.logits);
  return keepWhere(candidates, (logit, i) => weights[i]! >= minP || logit === max);
}

/** Keeps the tokens whose surprise −ln p is closest to its mean, the entropy, until their probabilities reach `mass`. */
function keepTypical(candidates: Candidates, mass: number): Candidates {
  const { logits } = candidates;
  const { weights, total, max } = exponentials(logits);
  const logTotal = Math.log(total) + max;
  let entropy = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i]! > 0) entropy += (weights[i]! / total) * (logTotal - logits[i]!);
  const distances = new Float32Array(logits.length);
  for (let i = 0; i < logits.length; i++) distances[i] = Math.abs(logTotal - logits[i]! - entropy);
  // Bits of a float >= 0 rise with its value: distance and index in one number let the native sort do the work.
  const bits = new Uint32Array(distances.buffer);
  const keys = new Float64Array(logits.length);
  const places = 2 ** Math.ceil(Math.log2(logits.length + 1));
  for (let i = 0; i < keys.length; i++) keys[i] = bits[i]! * places + i;
  keys.sort();
  let reached = 0;
  let last = 0;
  for (; last < keys.length - 1; last++) {
    reached += weights[keys[last]! % places]! / total;
    if (reached >= mass) break;
  }
  const threshold = distances[keys[last]! % places]!;
  return keepWhere(candidates, (_, i) => distances[i]! <= threshold);
}

/** exp(logit − max) of each, their sum, and the maximum. @throws ModelError `logits_not_finite` */
function exponentials(logits: Float32Array): { weights: Float64Array; total: number; max: number } {
  let max = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > max) max = logits[i]!;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += weights[i] = Math.exp(logits[i]! - max);
  if (!(total > 0 && total < Infinity)) throw notFinite(logits);
  return { weights, total, max };
}

/** The k-th largest number. A heap of the k largest serves a short list best, a sort a long one. @param k from 1 to the length */
function kthLargest(values: Float32Array, k: number): number {
  if (k > 1024) return values.slice().sort()[values.length - k]!;
  const heap = values.slice(0, k).sort();
  for (let i = k; i < values.length; i++) {
    const value = values[i]!;
    if (value <= heap[0]!) continue;
    // Sift down from the root, the smallest of the k.
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= k) break;
      if (child + 1 < k && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= value) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = value;
  }
  return heap[0]!;
}

function keepWhere(candidates: Candidates, keep: (logit: number, index: number) => boolean): Candidates {
  const { ids, logits } = candidates;
  const keptIds = new Int32Array(ids.length);
  const keptLogits = new Float32Array(ids.length);
  let count = 0;
  for (let i = 0; i < ids.length; i++) {
    if (!keep(logits[i]!, i)) continue;
    keptIds[count] = ids[i]!;
    keptLogits[count++] = logits[i]!;
  }
  return { ids: keptIds.slice(0, count), logits: keptLogits.slice(0, count) };
}

function identity(length: number): Int32Array {
  const ids = new Int32Array(length);
  for (let i = 0; i < length; i++) ids[i] = i;
  return ids;
}

function notFinite(logits: Float32Array): ModelError {
  const place = logits.findIndex((value) => Number.isNaN(value) || value === Infinity);
  const got = place < 0 ? (logits.length === 0 ? "no logits" : "−Infinity everywhere") : `${logits[place]} at ${place}`;
  return new ModelError(
    "logits_not_finite",
    `sampling: logits must be numbers with a finite maximum, got ${got}; the weights are broken or training has diverged`,
  );
}
