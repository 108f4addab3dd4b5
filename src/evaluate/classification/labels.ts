/** The labels of a task and the words that stand for them in an answer. */
import { ConfigError } from "../../errors.js";

/** Labels that are their own words, or each label with its words: `["yes", "no"]`, `{ sensitive: ["yes", "Yes"], harmless: "no" }`. */
export type LabelWords = readonly string[] | Readonly<Record<string, string | readonly string[]>>;

export interface Label {
  readonly name: string;
  /** At least one, none empty. */
  readonly words: readonly string[];
}

/** @throws ConfigError `labels` */
export function labelList(where: string, given: LabelWords): Label[] {
  const entries: [string, readonly string[]][] = isList(given)
    ? given.map((name) => [name, [name]])
    : Object.entries(given).map(([name, words]) => [name, typeof words === "string" ? [words] : words]);
  const refuse = (got: string): never => {
    throw new ConfigError(
      "labels",
      `${where}: labels must be two or more with different words that are not empty, got ${got}; give a list of labels, or an object of labels and their words`,
    );
  };
  if (new Set(entries.map(([name]) => name)).size < 2) refuse(JSON.stringify(entries.map(([name]) => name)));
  const seen = new Set<string>();
  for (const [name, words] of entries) {
    if (words.length === 0) refuse(`no words for ${JSON.stringify(name)}`);
    for (const word of words) {
      if (word.trim() === "" || seen.has(word)) refuse(`${JSON.stringify(word)} for ${JSON.stringify(name)}`);
      seen.add(word);
    }
  }
  return entries.map(([name, words]) => ({ name, words }));
}

function isList(given: LabelWords): given is readonly string[] {
  return Array.isArray(given);
}

/**
 * The label whose word stands first in an answer, as a word of its own, in any case: "Yes." and "I say yes" are "yes", "yesterday" is
 * not. Of words that begin at one place the longest counts. null when there is none.
 */
export function parseLabel(answer: string, labels: readonly Label[]): string | null {
  let best: { name: string; at: number; length: number } | undefined;
  for (const { name, words } of labels) {
    for (const word of words) {
      const text = word.trim();
      const found = wordPattern(text).exec(answer);
      if (found === null) continue;
      const { index: at } = found;
      if (best === undefined || at < best.at || (at === best.at && text.length > best.length)) best = { name, at, length: text.length };
    }
  }
  return best?.name ?? null;
}

/** The word between characters that continue no word. */
function wordPattern(word: string): RegExp {
  const escaped = word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  const [before, after] = [/^[\p{L}\p{M}\p{N}_]/u.test(word), /[\p{L}\p{M}\p{N}_]$/u.test(word)];
  return new RegExp(`${before ? "(?<![\\p{L}\\p{M}\\p{N}_])" : ""}${escaped}${after ? "(?![\\p{L}\\p{M}\\p{N}_])" : ""}`, "iu");
}
