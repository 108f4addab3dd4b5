/** BLEU (Papineni et al. 2002) exactly as sacrebleu 2.6 computes it: 13a tokens, 4-grams, one corpus score. */
import { countNgrams, ngramTotal, sharedCount } from "./ngrams.js";
import { type References, referenceLists } from "./references.js";
import { splitWords, stripEnd } from "./whitespace.js";

const ORDER = 4;

export interface BleuOptions {
  /** Compare in lower case; default false. */
  lowercase?: boolean;
  /** Leave out orders that no text is long enough for; default false. For single sentences. */
  effective_order?: boolean;
}

export interface BleuScore {
  /** 0 to 100. */
  readonly score: number;
  /** Of 1-grams to 4-grams, in percent, smoothed by the `exp` method. */
  readonly precisions: readonly number[];
  readonly brevity_penalty: number;
  /** In 13a tokens. */
  readonly hypothesis_length: number;
  /** Of the references that are closest in length. */
  readonly reference_length: number;
  /** How it was computed, in sacrebleu's notation. */
  readonly signature: string;
}

/** BLEU of a corpus: counts of all texts are added up before the score is taken. Not the mean of sentence scores.
 *  @throws ConfigError `references` */
export function bleu(hypotheses: readonly string[], references: References, options: BleuOptions = {}): BleuScore {
  const { lowercase = false, effective_order = false } = options;
  const lists = referenceLists("bleu", hypotheses, references);
  const words = (text: string): string[] => tokenize13a(stripEnd(lowercase ? text.toLowerCase() : text));
  const matched = new Array<number>(ORDER).fill(0);
  const total = new Array<number>(ORDER).fill(0);
  let [hypothesisLength, referenceLength] = [0, 0];
  hypotheses.forEach((text, i) => {
    const hypothesis = words(text);
    const given = lists[i]!.map(words);
    hypothesisLength += hypothesis.length;
    referenceLength += closestLength(
      hypothesis.length,
      given.map(({ length }) => length),
    );
    for (let n = 1; n <= ORDER; n++) {
      total[n - 1]! += ngramTotal(hypothesis, n);
      matched[n - 1]! += sharedCount(countNgrams(hypothesis, n), mostOf(given, n));
    }
  });
  const penalty = hypothesisLength >= referenceLength ? 1 : hypothesisLength === 0 ? 0 : Math.exp(1 - referenceLength / hypothesisLength);
  const { score, precisions } = combine(matched, total, penalty, effective_order);
  const count = new Set(lists.map(({ length }) => length));
  const signature = `nrefs:${count.size === 1 ? [...count][0] : "var"}|case:${lowercase ? "lc" : "mixed"}|eff:${effective_order ? "yes" : "no"}|tok:13a|smooth:exp`;
  return {
    score,
    precisions,
    brevity_penalty: penalty,
    hypothesis_length: hypothesisLength,
    reference_length: referenceLength,
    signature,
  };
}

function combine(matched: readonly number[], total: readonly number[], penalty: number, effectiveOrder: boolean) {
  const precisions = new Array<number>(ORDER).fill(0);
  if (matched.every((count) => count === 0)) return { score: 0, precisions };
  let smoothing = 1;
  let order = ORDER;
  for (let n = 0; n < ORDER; n++) {
    if (total[n] === 0) break;
    if (effectiveOrder) order = n + 1;
    if (matched[n] === 0) precisions[n] = 100 / ((smoothing *= 2) * total[n]!);
    else precisions[n] = (100 * matched[n]!) / total[n]!;
  }
  // sacrebleu's floor of log 0: without effective_order an order that no text is long enough for makes the score 0.
  const logs = precisions.slice(0, order).map((precision) => (precision === 0 ? -9_999_999_999 : Math.log(precision)));
  return { score: penalty * Math.exp(logs.reduce((sum, log) => sum + log, 0) / order), precisions };
}

/** Of equally close ones the shorter. */
function closestLength(length: number, references: readonly number[]): number {
  return references.reduce((best, other) => {
    const [far, near] = [Math.abs(length - best), Math.abs(length - other)];
    return near < far || (near === far && other < best) ? other : best;
  });
}

/** For each n-gram the most that any reference has of it. */
function mostOf(references: readonly (readonly string[])[], n: number): Map<string, number> {
  const most = new Map<string, number>();
  for (const reference of references)
    for (const [ngram, count] of countNgrams(reference, n)) most.set(ngram, Math.max(count, most.get(ngram) ?? 0));
  return most;
}

/** The tokens of mteval-v13a. */
export function tokenize13a(text: string): string[] {
  let line = text.replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ");
  line = line.replaceAll("&quot;", '"').replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  line = ` ${line} `
    .replace(/([{-~[-` -&(-+:-@/])/gu, " $1 ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/gu, "$1 $2 ");
  return splitWords(line);
}
