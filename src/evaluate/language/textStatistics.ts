/** Numbers about texts alone, without a model and without references. None of them says whether a text is good. */
import { ConfigError } from "../../errors.js";
import { type Estimate, bootstrapMean, mean, quantile } from "../statistics.js";
import { EvaluationResult, type TableRow, plural } from "../table.js";
import { countNgrams, ngramTotal } from "./ngrams.js";

/** Longest n of repetition, as in Welleck et al. 2020. */
const REPETITION_ORDER = 4;

export interface TextStatisticsOptions {
  /** A script by its Unicode name, whose share of all letters is counted: "Arabic", "Latin", "Han"; default "Arabic". */
  script?: string;
  /** Of the bootstrap intervals; default 42. */
  seed?: number;
}

/** The words of a text: runs of letters, marks and digits (Unicode), with apostrophes inside; lower case. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*/gu) ?? [];
}

/**
 * distinct-n (Li et al. 2016): different n-grams of words over all n-grams, of all texts together. It falls as a corpus grows, so compare
 * corpora of one size only. @returns in [0, 1]; NaN when no text has n words
 */
export function distinctN(texts: readonly string[], n: number): number {
  const different = new Set<string>();
  let total = 0;
  for (const text of texts) {
    const words = wordsOf(text);
    for (const ngram of countNgrams(words, n).keys()) different.add(ngram);
    total += ngramTotal(words, n);
  }
  return different.size / total;
}

/**
 * rep-n (Welleck et al. 2020): the share of a text's n-grams of words that stand in it a second time or more, 1 − different / all.
 * @returns in [0, 1); NaN for a text with fewer than n words
 */
export function repetitionRate(text: string, n = REPETITION_ORDER): number {
  const words = wordsOf(text);
  return 1 - countNgrams(words, n).size / ngramTotal(words, n);
}

/** Letters of a script over all letters. @param script a Unicode script name @returns in [0, 1]; NaN for a text without letters
 *  @throws ConfigError `script` */
export function scriptShare(text: string, script: string): number {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return (text.match(lettersOf(script))?.length ?? 0) / letters;
}

function lettersOf(script: string): RegExp {
  if (/^[A-Za-z_]+$/.test(script)) {
    try {
      return new RegExp(`(?=\\p{Script=${script}})\\p{L}`, "gu");
    } catch {
      // Told below.
    }
  }
  throw new ConfigError(
    "script",
    `scriptShare: script must be a Unicode script name, got ${JSON.stringify(script)}; for example Arabic, Latin, Cyrillic or Han`,
  );
}

export class TextStatistics extends EvaluationResult {
  readonly count: number;
  readonly script: string;
  /** Words a text, mean with its interval; and the median. */
  readonly words: Estimate;
  readonly median_words: number;
  /** Characters (code points) a text. */
  readonly characters: Estimate;
  /** Texts without a word. */
  readonly empty: number;
  readonly distinct_1: number;
  readonly distinct_2: number;
  /** Mean rep-4 over the texts with at least 4 words; NaN without any. */
  readonly repetition_4: number;
  /** Letters of the script over all letters, of all texts together; NaN without letters. */
  readonly script_share: number;

  constructor(texts: readonly string[], { script = "Arabic", seed = 42 }: TextStatisticsOptions = {}) {
    super();
    if (texts.length === 0) throw new ConfigError("rows", "textStatistics: there must be at least one text, got none");
    const lengths = texts.map((text) => wordsOf(text).length);
    this.count = texts.length;
    this.script = script;
    this.words = bootstrapMean(lengths, seed, "words");
    this.median_words = quantile(lengths, 0.5);
    this.characters = bootstrapMean(
      texts.map((text) => Array.from(text).length),
      seed,
      "characters",
    );
    this.empty = lengths.filter((length) => length === 0).length;
    this.distinct_1 = distinctN(texts, 1);
    this.distinct_2 = distinctN(texts, 2);
    this.repetition_4 = mean(texts.map((text) => repetitionRate(text)).filter((rate) => !Number.isNaN(rate)));
    this.script_share = scriptShare(texts.join("\n"), script);
  }

  override summary(): string[] {
    return [
      `${plural(this.count, "text")}, ${this.empty} without a word. Words are runs of letters and digits in lower case; none of these numbers says whether a text is good.`,
    ];
  }

  override rows(): TableRow[] {
    const row = (metric: string, value: number, interval?: Estimate): TableRow => ({
      metric,
      value,
      low: interval?.low ?? null,
      high: interval?.high ?? null,
    });
    return [
      row("mean words", this.words.value, this.words),
      row("median words", this.median_words),
      row("mean characters", this.characters.value, this.characters),
      row("distinct-1", this.distinct_1),
      row("distinct-2", this.distinct_2),
      row("repetition (rep-4)", this.repetition_4),
      row(`share of ${this.script} letters`, this.script_share),
    ];
  }
}

/** Length, variety, repetition and script of texts. @throws ConfigError `rows`, `script` */
export function textStatistics(texts: readonly string[], options: TextStatisticsOptions = {}): TextStatistics {
  return new TextStatistics(texts, options);
}
