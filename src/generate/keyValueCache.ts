/**
 * Keys and values of the tokens that were read, one tensor [rows, K·hd] per layer for keys and one for values in the engine's store.
 * Programs write new rows where they belong, and rows are never changed: what one sequence has read serves all that begin alike.
 */
import { type Engine, type Program, type RunOptions, hostTensor } from "../compile/index.js";
import type { CausalLM, Qwen2Config } from "../model/index.js";
import { copyProgram } from "./programs.js";

/** Caches are made for a multiple of so many tokens. */
const CACHE_STEP = 256;
/** Caches of ended sequences that are kept for sequences that begin alike. */
const KEPT = 4;

export function cacheNames({ num_hidden_layers: layers }: Qwen2Config): string[] {
  return Array.from({ length: layers }, (_, layer) => [`k.${layer}`, `v.${layer}`]).flat();
}

/** Columns of a cache, K·hd. */
export function cacheWidth({ num_key_value_heads, head_dim }: Qwen2Config): number {
  return num_key_value_heads * head_dim;
}

/** The part of a run's options that is about a cache. */
export type CacheOptions = Required<Pick<RunOptions, "bind" | "rows" | "place">>;

let count = 0;

export class KeyValueCache {
  /** Of the tokens whose rows are there. */
  readonly ids: number[] = [];
  readonly prefix = `cache.${count++}/`;

  /** @param names of its tensors, behind the prefix
   *  @param rows tokens that it has room for
   *  @param weights what the weights were (`Engine.version`) that its rows were computed with */
  constructor(
    readonly names: readonly string[],
    readonly rows: number,
    readonly weights: number,
  ) {}

  get length(): number {
    return this.ids.length;
  }

  append(ids: readonly number[]): void {
    this.ids.push(...ids);
  }

  /** Lets a program see what is there and write so many more rows. @param suffix behind the names of its inputs and outputs */
  runOptions(newRows: number, suffix = ""): CacheOptions {
    const bind: Record<string, string> = {};
    const rows: Record<string, number> = {};
    const place: Record<string, { into: string; axis: number; offset: number }> = {};
    for (const name of this.names) {
      const stored = this.prefix + name;
      bind[name + suffix] = stored;
      rows[name + suffix] = this.length + newRows;
      place[`new.${name}${suffix}`] = { into: stored, axis: 0, offset: this.length };
    }
    return { bind, rows, place };
  }
}

/** The caches of one model. */
export class CachePool {
  readonly #model: CausalLM;
  readonly #engine: Engine;
  readonly #names: readonly string[];
  readonly #copy: Program;
  readonly #used = new Set<KeyValueCache>();
  /** The one that was used last is last. */
  #idle: KeyValueCache[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  constructor(model: CausalLM, engine: Engine) {
    this.#model = model;
    this.#engine = engine;
    this.#names = cacheNames(model.config);
    this.#copy = copyProgram(model, engine);
  }

  /** One call after the other: between two steps of one, another could take the rows that are to be copied. */
  take(ids: readonly number[], room: number): Promise<KeyValueCache> {
    const taken = this.#turn.then(() => this.#take(ids, room));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  /**
   * A cache for a sequence. It holds the longest beginning of `ids` that some cache has, and nothing else.
   * @param room tokens that it must have room for
   */
  async #take(ids: readonly number[], room: number): Promise<KeyValueCache> {
    const weights = this.#weights();
    const stale = this.#idle.filter((cache) => cache.weights !== weights);
    this.#idle = this.#idle.filter((cache) => cache.weights === weights);
    let best: KeyValueCache | undefined;
    let common = 0;
    for (const cache of [...this.#idle, ...this.#used]) {
      if (cache.weights !== weights) continue;
      const length = commonLength(cache.ids, ids);
      // Of equal ones an idle one, which need not be copied.
      if (length > common) [best, common] = [cache, length];
    }
    const isWhole = best !== undefined && this.#idle.includes(best) && best.rows >= room && 2 * common >= best.length;
    const cache = isWhole ? best! : await this.#make(room, weights);
    this.#used.add(cache);
    if (isWhole) {
      this.#idle.splice(this.#idle.indexOf(cache), 1);
      cache.ids.length = common;
    } else if (best !== undefined) {
      await this.#copyRows(best, cache, common);
    }
    for (const old of stale) await this.#remove(old);
    return cache;
  }

  async #copyRows(from: KeyValueCache, to: KeyValueCache, rows: number): Promise<void> {
    const bind = Object.fromEntries(this.#names.map((name) => [name, from.prefix + name]));
    const counts = Object.fromEntries(this.#names.map((name) => [name, rows]));
    const ids = from.ids.slice(0, rows);
    await this.#copy.run({}, { bind, rows: counts, place: to.runOptions(rows).place });
    to.append(ids);
  }

  /** Keeps what a sequence has read. */
  async giveBack(cache: KeyValueCache): Promise<void> {
    this.#used.delete(cache);
    this.#idle.push(cache);
    while (this.#idle.length > KEPT) await this.#remove(this.#idle.shift()!);
  }

  /** For a cache whose rows may not be what its ids say. */
  async drop(cache: KeyValueCache): Promise<void> {
    this.#used.delete(cache);
    await this.#remove(cache);
  }

  async #make(room: number, weights: number): Promise<KeyValueCache> {
    const rows = Math.ceil(room / CACHE_STEP) * CACHE_STEP;
    const cache = new KeyValueCache(this.#names, rows, weights);
    const width = cacheWidth(this.#model.config);
    for (const name of cache.names) await this.#engine.put(cache.prefix + name, hostTensor(new Float32Array(rows * width), [rows, width]));
    return cache;
  }

  async #remove(cache: KeyValueCache): Promise<void> {
    await this.#engine.remove(...cache.names.map((name) => cache.prefix + name));
  }

  #weights(): number {
    return this.#engine.version(Object.entries(this.#model.signature()).map(([name, { store = name }]) => store));
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
