/**
 * Runs a model token by token. What was read stays in caches (`keyValueCache.ts`); a program serves prompts and single tokens of every
 * length, and others advance several sequences by one token at once.
 */
import { type Engine, type HostTensor, type Program, HIDDEN, hostTensor } from "../compile/index.js";
import { type CausalLM, positionAngles } from "../model/index.js";
import { type CacheOptions, CachePool, type KeyValueCache } from "./keyValueCache.js";
import { laneProgram, rowProgram } from "./programs.js";

/** Rows of a prompt that are read in one run: attention scores take heads · rows · length numbers. */
const PROMPT_ROWS = 256;
/** Most sequences that advance in one run. */
export const MAX_LANES = 8;

export class Decoder {
  readonly #model: CausalLM;
  readonly #rows: Program;
  readonly #lanes = new Map<number, Program>();
  readonly #engine: Engine;
  readonly #caches: CachePool;

  constructor(model: CausalLM, engine: Engine) {
    this.#model = model;
    this.#engine = engine;
    this.#rows = rowProgram(model, engine);
    this.#caches = new CachePool(model, engine);
  }

  /**
   * Reads a prompt; the beginning that it has in common with a sequence read before is not read again.
   * @param ids at least one
   * @param room tokens that the sequence may grow to, prompt included
   */
  async start(ids: readonly number[], room: number): Promise<DecodedSequence> {
    const cache = await this.#caches.take(ids.slice(0, -1), room);
    const sequence = new DecodedSequence(cache, this.#caches);
    try {
      while (cache.length < ids.length) await this.#read(sequence, ids.slice(cache.length, cache.length + PROMPT_ROWS));
    } catch (error) {
      await this.#caches.drop(cache);
      throw error;
    }
    return sequence;
  }

  /** Reads one more token of each sequence; their `logits` are then those of the next. @param lanes one program is kept for each number of
   *  sequences that runs at once: 1 to 8, at least as many as there are */
  async push(sequences: readonly DecodedSequence[], ids: readonly number[], lanes = sequences.length): Promise<void> {
    if (sequences.length === 1) {
      await this.#read(sequences[0]!, [ids[0]!]);
      return;
    }
    // Lanes that are left over compute the first sequence once more, to the same place.
    const of = Array.from({ length: lanes }, (_, lane) => (lane < sequences.length ? lane : 0));
    const caches = of.map((i) => sequences[i]!.cache);
    const outputs = await this.#laneProgram(lanes).run(
      {
        ids: hostTensor(
          Int32Array.from(of, (i) => ids[i]!),
          [lanes],
        ),
        ...positionAngles(
          this.#model.config,
          caches.map(({ length }) => length),
        ),
      },
      mergeOptions(caches.map((cache, lane) => cache.runOptions(1, `.${lane}`))),
    );
    const logits = outputs["logits"]!.data as Float32Array;
    const size = logits.length / lanes;
    sequences.forEach((sequence, i) => sequence.advanced([ids[i]!], logits.subarray(i * size, (i + 1) * size)));
  }

  async #read(sequence: DecodedSequence, ids: readonly number[]): Promise<void> {
    const { cache } = sequence;
    const [rows, before] = [ids.length, cache.length];
    const outputs = await this.#rows.run(
      {
        ids: hostTensor(Int32Array.from(ids), [rows]),
        mask: causalMask(rows, before),
        ...positionAngles(
          this.#model.config,
          ids.map((_, i) => before + i),
        ),
      },
      cache.runOptions(rows),
    );
    sequence.advanced(ids, outputs["logits"]!.data as Float32Array);
  }

  #laneProgram(lanes: number): Program {
    const known = this.#lanes.get(lanes);
    if (known !== undefined) return known;
    const program = laneProgram(this.#model, this.#engine, lanes);
    this.#lanes.set(lanes, program);
    return program;
  }
}

/** One sequence that is being generated. */
export class DecodedSequence {
  readonly cache: KeyValueCache;
  readonly #caches: CachePool;
  /** Of the token after the last one read, shape [V]. */
  logits = new Float32Array();

  constructor(cache: KeyValueCache, caches: CachePool) {
    this.cache = cache;
    this.#caches = caches;
  }

  advanced(ids: readonly number[], logits: Float32Array): void {
    this.cache.append(ids);
    this.logits = logits as Float32Array<ArrayBuffer>;
  }

  /** The sequence is done; what it has read is kept for sequences that begin alike. */
  dispose(): Promise<void> {
    return this.#caches.giveBack(this.cache);
  }
}

/** The lanes' options as one run's. */
function mergeOptions(lanes: readonly CacheOptions[]): CacheOptions {
  return {
    bind: Object.assign({}, ...lanes.map(({ bind }) => bind)) as CacheOptions["bind"],
    rows: Object.assign({}, ...lanes.map(({ rows }) => rows)) as CacheOptions["rows"],
    place: Object.assign({}, ...lanes.map(({ place }) => place)) as CacheOptions["place"],
  };
}

/** Row r, which is token `before + r`, sees all up to itself. Shape [rows, before + rows]. */
function causalMask(rows: number, before: number): HostTensor {
  const width = before + rows;
  const mask = new Float32Array(rows * width);
  for (let row = 0; row + 1 < rows; row++) mask.fill(HIDDEN, row * width + before + row + 1, (row + 1) * width);
  return hostTensor(mask, [rows, width]);
}
