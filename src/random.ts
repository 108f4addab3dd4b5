/**
 * Seeded random numbers. One seed governs a run: each consumer takes its own stream with `fork(label)`,
 * so that adding a consumer does not shift the numbers of another.
 * Generator: sfc32 (Chris Doty-Humphrey, PractRand), seeded from a 32-bit FNV-1a hash.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;
  readonly #seed: number;
  readonly #path: string;

  /** @param seed any integer; equal seeds give equal streams */
  constructor(seed: number, path = "") {
    this.#seed = seed;
    this.#path = path;
    const text = `${seed}/${path}`;
    this.#a = fnv1a(text, 0x811c9dc5);
    this.#b = fnv1a(text, 0x01234567);
    this.#c = fnv1a(text, 0x89abcdef);
    this.#counter = 1;
    for (let i = 0; i < 15; i++) this.uint32();
  }

  /** An independent stream for one purpose, e.g. `random.fork("shuffle")`. Does not advance this stream. */
  fork(label: string): Random {
    return new Random(this.#seed, `${this.#path}/${label}`);
  }

  /** Integer in [0, 2^32). */
  uint32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    this.#c |= 0;
    return result >>> 0;
  }

  /** Uniform in [0, 1), 32 random bits. */
  uniform(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** Integer in [0, n), without modulo bias. @param n 1 to 2^32 */
  integer(n: number): number {
    const limit = Math.floor(0x1_0000_0000 / n) * n;
    for (;;) {
      const value = this.uint32();
      if (value < limit) return value % n;
    }
  }

  /** Standard normal (Box–Muller, one of the pair). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A new array in random order (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  /** Internal state, for checkpoints. */
  state(): [number, number, number, number] {
    return [this.#a, this.#b, this.#c, this.#counter];
  }

  /** Restores what `state()` returned. */
  restore(state: readonly [number, number, number, number]): void {
    [this.#a, this.#b, this.#c, this.#counter] = state;
  }
}

function fnv1a(text: string, basis: number): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return hash | 0;
}
