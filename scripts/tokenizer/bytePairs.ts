import { ConfigError } from "../../src/errors.js";

/*
 * Byte-pair encoding, trained. A text is split into words by Qwen2's expression, each word becomes its UTF-8 bytes, and
 * the most frequent pair of neighbours is merged into a new token again and again (Sennrich et al., arXiv:1508.07909).
 * Merges never cross words. Ties: the pair with the smaller left id, then the smaller right id, so that the result
 * depends on the word counts alone. Hugging Face's BpeTrainer with the same counts gives the same merges.
 */

/** Qwen2's pre-tokenizer as `tokenizer.json` holds it (Rust syntax). */
export const qwen2Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The same in JavaScript, which has no inline `(?i:…)` in the Node versions supported. */
const wordPattern =
  /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu;

/** The words of a text, in order; joined they are the text in normal form C. */
export function splitWords(text: string): string[] {
  return text.normalize("NFC").match(wordPattern) ?? [];
}

/**
 * The printable character which stands for each byte in a byte-level vocabulary, as GPT-2 introduced it: printable
 * Latin-1 characters stand for themselves, the other bytes for U+0100 and the following ones.
 */
export const byteCharacters: readonly string[] = (() => {
  const result: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    result.push(String.fromCodePoint(printable ? byte : next++));
  }
  return result;
})();

/** What training gives: the vocabulary in id order and the merges in order of rank, both in byte characters. */
export interface BytePairs {
  tokens: string[];
  merges: [left: string, right: string][];
}

interface Word {
  ids: number[];
  count: number;
}

/**
 * Trains byte pairs. Ids 0 to 255 are the bytes, ordered by their characters.
 * @param texts each is split on its own
 * @param size number of tokens, at least 256; fewer come out when no pair occurs twice any more
 * @throws ConfigError if size < 256
 */
export function trainBytePairs(texts: Iterable<string>, size: number): BytePairs {
  if (!Number.isInteger(size) || size < 256) {
    throw new ConfigError(
      "vocabulary_size",
      `trainBytePairs: size must be an integer >= 256, got ${size}; the 256 bytes are always included`,
    );
  }
  const tokens = [...byteCharacters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const merges: [string, string][] = [];
  const words = countWords(texts, new Map(tokens.map((token, id) => [token, id])));
  const counts = new Map<number, number>(); // pair → occurrences in the corpus
  const places = new Map<number, Set<Word>>(); // pair → words that may hold it
  for (const word of words) addPairs(word, 1, counts, places);
  while (tokens.length < size) {
    const best = mostFrequent(counts);
    if (best === undefined) break;
    const [left, right] = [Math.floor(best / pairBase), best % pairBase];
    const id = tokens.length;
    tokens.push(tokens[left]! + tokens[right]!);
    merges.push([tokens[left]!, tokens[right]!]);
    for (const word of places.get(best)!) {
      addPairs(word, -1, counts, places);
      word.ids = merged(word.ids, left, right, id);
      addPairs(word, 1, counts, places);
    }
    places.delete(best);
    counts.delete(best);
  }
  return { tokens, merges };
}

/** Pairs are numbered left · base + right, so comparing numbers compares left ids, then right ids. */
const pairBase = 2 ** 20;

function countWords(texts: Iterable<string>, idOf: ReadonlyMap<string, number>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) for (const word of splitWords(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({ ids: [...encoder.encode(word)].map((byte) => idOf.get(byteCharacters[byte]!)!), count }));
}

function addPairs(word: Word, sign: 1 | -1, counts: Map<number, number>, places: Map<number, Set<Word>>): void {
  for (let i = 0; i + 1 < word.ids.length; i++) {
    const pair = word.ids[i]! * pairBase + word.ids[i + 1]!;
    counts.set(pair, (counts.get(pair) ?? 0) + sign * word.count);
    if (sign < 0) continue;
    const known = places.get(pair);
    if (known === undefined) places.set(pair, new Set([word]));
    else known.add(word);
  }
}

/** The pair with the largest count of at least 2, of equal ones the smallest. */
function mostFrequent(counts: ReadonlyMap<number, number>): number | undefined {
  let best: number | undefined;
  let bestCount = 1;
  for (const [pair, count] of counts) {
    if (count > bestCount || (count === bestCount && best !== undefined && pair < best)) [best, bestCount] = [pair, count];
  }
  return best;
}

function merged(ids: readonly number[], left: number, right: number, id: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      result.push(id);
      i++;
    } else {
      result.push(ids[i]!);
    }
  }
  return result;
}
