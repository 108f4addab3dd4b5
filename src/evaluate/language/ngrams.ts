/** Counting n-grams. */

/** How often each n-gram occurs. Parts are joined with a character that no word holds. */
export function countNgrams(parts: readonly string[], n: number, joint = "\u0000"): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= parts.length; i++) {
    const ngram = parts.slice(i, i + n).join(joint);
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/** Number of n-grams, repeated ones counted as often as they occur. */
export function ngramTotal(parts: readonly string[], n: number): number {
  return Math.max(0, parts.length - n + 1);
}

/** Occurrences that both have. */
export function sharedCount(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let shared = 0;
  for (const [ngram, count] of a) shared += Math.min(count, b.get(ngram) ?? 0);
  return shared;
}
