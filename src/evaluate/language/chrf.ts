/** chrF (Popović 2015) and chrF++ (Popović 2017) exactly as sacrebleu 2.6 computes them. */
import { countNgrams, ngramTotal, sharedCount } from "./ngrams.js";
import { type References, referenceLists } from "./references.js";
import { splitWords } from "./whitespace.js";

const PUNCTUATION = new Set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
const CHARACTER_ORDER = 6;

export interface ChrfOptions {
  /** Longest word n-grams beside the characters' 1 to 6: 0 (default) is chrF, 2 is chrF++. */
  word_order?: 0 | 1 | 2;
  /** How much more recall counts than precision; default 2. */
  beta?: number;
  /** Compare in lower case; default false. */
  lowercase?: boolean;
}

export interface ChrfScore {
  /** 0 to 100. */
  readonly score: number;
  /** `chrF2`, `chrF2++`. */
  readonly name: string;
  /** How it was computed, in sacrebleu's notation. */
  readonly signature: string;
}

/** Counts of one order: n-grams of the text, of the reference, and of both. */
type OrderCounts = readonly [number, number, number];

/** chrF of a corpus: counts of all texts are added up, each text against the reference it fits best. @throws ConfigError `references` */
export function chrf(hypotheses: readonly string[], references: References, options: ChrfOptions = {}): ChrfScore {
  const { word_order = 0, beta = 2, lowercase = false } = options;
  const lists = referenceLists("chrf", hypotheses, references);
  const prepare = (text: string): Ngrams => ngramsOf(lowercase ? text.toLowerCase() : text, word_order);
  let sums: OrderCounts[] = Array.from({ length: CHARACTER_ORDER + word_order }, () => [0, 0, 0]);
  hypotheses.forEach((text, i) => {
    const hypothesis = prepare(text);
    let best: OrderCounts[] = [];
    let bestScore = -1;
    for (const reference of lists[i]!) {
      const counts = compare(hypothesis, prepare(reference));
      const score = fScore(counts, beta);
      if (score > bestScore) [best, bestScore] = [counts, score];
    }
    sums = sums.map(([a, b, c], order) => [a + best[order]![0], b + best[order]![1], c + best[order]![2]]);
  });
  const count = new Set(lists.map(({ length }) => length));
  const signature = `nrefs:${count.size === 1 ? [...count][0] : "var"}|case:${lowercase ? "lc" : "mixed"}|eff:yes|nc:6|nw:${word_order}|space:no`;
  return { score: fScore(sums, beta), name: `chrF${beta}${"+".repeat(word_order)}`, signature };
}

/** By order: characters 1 to 6, then words. */
type Ngrams = readonly { readonly counts: ReadonlyMap<string, number>; readonly total: number }[];

function ngramsOf(text: string, wordOrder: number): Ngrams {
  const characters = Array.from(splitWords(text).join(""));
  const words = wordOrder === 0 ? [] : separatePunctuation(text);
  const of = (parts: readonly string[], n: number) => ({ counts: countNgrams(parts, n), total: ngramTotal(parts, n) });
  return [
    ...Array.from({ length: CHARACTER_ORDER }, (_, i) => of(characters, i + 1)),
    ...Array.from({ length: wordOrder }, (_, i) => of(words, i + 1)),
  ];
}

function compare(hypothesis: Ngrams, reference: Ngrams): OrderCounts[] {
  return hypothesis.map(({ counts, total }, i) => {
    const other = reference[i]!;
    return [other.total === 0 ? 0 : total, other.total, sharedCount(counts, other.counts)];
  });
}

/** F of the mean precision and the mean recall over the orders that both sides are long enough for. */
function fScore(counts: readonly OrderCounts[], beta: number): number {
  const used = counts.filter(([hypothesis, reference]) => hypothesis > 0 && reference > 0);
  if (used.length === 0) return 0;
  const precision = used.reduce((sum, [hypothesis, , shared]) => sum + shared / hypothesis, 0) / used.length;
  const recall = used.reduce((sum, [, reference, shared]) => sum + shared / reference, 0) / used.length;
  if (precision + recall === 0) return 0;
  return (100 * (1 + beta ** 2) * precision * recall) / (beta ** 2 * precision + recall);
}

/** One mark at the end of a word, or else at its beginning, becomes a word of its own. */
function separatePunctuation(text: string): string[] {
  return splitWords(text).flatMap((word) => {
    const characters = Array.from(word);
    if (characters.length === 1) return [word];
    const [first, last] = [characters[0]!, characters.at(-1)!];
    if (PUNCTUATION.has(last)) return [characters.slice(0, -1).join(""), last];
    if (PUNCTUATION.has(first)) return [first, characters.slice(1).join("")];
    return [word];
  });
}
