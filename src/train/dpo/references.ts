/** The reference's log-probs of the pairs of a run. */
import { EngineError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { DPOConfig } from "../options/dpoConfig.js";
import { NO_PARTS, type PairParts } from "../sequence/pairLayout.js";
import { type PreparedPair, type ReferenceLogps, scoreReference } from "./pairBatch.js";
import { scoringProgram } from "./pairProgram.js";
import { cachedLogps } from "../sequence/logpCache.js";

/**
 * Where reference log-probs come from. `References` computes each pair's once, before the first step; `SyncedReference` (TR-DPO)
 * follows the policy and computes a micro-batch's when it is met.
 */
export interface ReferenceSource {
  /** Whether `of` knows this pair. */
  has(pair: PreparedPair): boolean;
  /** Of pairs that `compute` was called with. */
  of(pairs: readonly PreparedPair[]): Promise<ReferenceLogps[]>;
  /**
   * Computes in advance what can be.
   * @param onPair called after every pair with how many of the missing are done; false ends the work, and nothing is kept
   * @throws EngineError `reference_not_finite`
   */
  compute(pairs: readonly PreparedPair[], onPair?: (done: number, total: number) => boolean): Promise<void>;
  /** Stored tensors that a checkpoint must hold; written back after `compute` when a run is resumed. */
  storedNames(): string[];
  /** To be called after every optimizer step, before anything else looks at the reference. @param step counted from 1 */
  afterStep(step: number): Promise<void>;
  dispose(): Promise<void>;
}

/** What a reference needs of a pair. */
export function referenceParts({ ld_alpha }: Pick<DPOConfig, "ld_alpha">): PairParts {
  return { ...NO_PARTS, ldAlpha: ld_alpha };
}

/** Ends the work when the listener asks for it. */
class Stopped extends Error {}

/** They do not change during a run; the reference may therefore be the policy itself, as long as it is untrained. */
export class References implements ReferenceSource {
  readonly #model: CausalLM;
  readonly #args: DPOConfig;
  readonly #logps = new Map<PreparedPair, ReferenceLogps>();

  constructor(model: CausalLM, args: DPOConfig) {
    this.#model = model;
    this.#args = args;
  }

  has(pair: PreparedPair): boolean {
    return this.#logps.has(pair);
  }

  async of(pairs: readonly PreparedPair[]): Promise<ReferenceLogps[]> {
    return Promise.resolve(pairs.map((pair) => this.#logps.get(pair)!));
  }

  /** Takes the numbers from the cache with `precompute_ref_log_probs`. */
  async compute(pairs: readonly PreparedPair[], onPair: (done: number, total: number) => boolean = () => true): Promise<void> {
    const missing = pairs.filter((pair) => !this.#logps.has(pair));
    const score = (): Promise<ReferenceLogps[]> => this.#score(missing, onPair);
    try {
      const logps = this.#args.precompute_ref_log_probs ? await this.#cached(missing, score) : await score();
      missing.forEach((pair, i) => this.#logps.set(pair, logps[i]!));
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  }

  async #cached(pairs: readonly PreparedPair[], score: () => Promise<ReferenceLogps[]>): Promise<ReferenceLogps[]> {
    const key = { model: this.#model, kind: `dpo ld_alpha ${this.#args.ld_alpha}`, rows: rowsOf(pairs) };
    const numbers = async (): Promise<number[][]> => (await score()).map(({ chosen, rejected }) => [chosen, rejected]);
    const logps = (await cachedLogps(key, 2, numbers, "DPOTrainer")) as [number, number][];
    return logps.map(([chosen, rejected]) => ({ chosen, rejected }));
  }

  async #score(pairs: readonly PreparedPair[], onPair: (done: number, total: number) => boolean): Promise<ReferenceLogps[]> {
    const model = this.#model;
    const parts = referenceParts(this.#args);
    const scoring = scoringProgram(await model.load(this.#args), model, { metrics: false, parts });
    try {
      let done = 0;
      const count = (): void => {
        done++;
        if (!onPair(done, pairs.length)) throw new Stopped();
      };
      const logps = await scoreReference(scoring, pairs, model.config, parts, { onPair: count });
      requireFinite(logps, pairs);
      return logps;
    } finally {
      await scoring.dispose();
    }
  }

  storedNames(): string[] {
    return [];
  }

  /** Nothing moves. */
  async afterStep(): Promise<void> {
    return Promise.resolve();
  }

  /** Holds numbers only. */
  async dispose(): Promise<void> {
    return Promise.resolve();
  }
}

/** What a pair's log-probs depend on. */
function* rowsOf(pairs: readonly PreparedPair[]): Generator<unknown> {
  for (const { layout } of pairs) yield [layout.ids, layout.positions, layout.segments, layout.targets];
}

/** A NaN in the reference would show as a loss that is not finite, and send the user to the wrong place. */
export function requireFinite(references: readonly ReferenceLogps[], pairs: readonly PreparedPair[]): void {
  references.forEach(({ chosen, rejected }, i) => {
    if (Number.isFinite(chosen) && Number.isFinite(rejected)) return;
    const got = `${chosen} for chosen and ${rejected} for rejected at ${pairs[i]!.origin}`;
    throw new EngineError(
      "reference_not_finite",
      `DPOTrainer: the reference's log-probs must be finite, got ${got}; the model has NaN or infinite weights: load it again from whole files`,
    );
  });
}
