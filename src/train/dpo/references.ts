/**
 * The reference's log-probs of the pairs of a run. They do not change during a run, so each is computed once, before the
 * first step; the reference may therefore be the policy itself, as long as it is untrained.
 */
import { EngineError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { DPOConfig } from "../options/dpoConfig.js";
import { type PreparedPair, type ReferenceLogps, scoreReference } from "./pairBatch.js";
import { scoringProgram } from "./pairProgram.js";
import { cachedReference } from "./referenceCache.js";

/** Ends the work when the listener asks for it. */
class Stopped extends Error {}

export class References {
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

  /** Of pairs that were computed. */
  of(pairs: readonly PreparedPair[]): ReferenceLogps[] {
    return pairs.map((pair) => this.#logps.get(pair)!);
  }

  /**
   * Computes what is missing, or takes it from the cache with `precompute_ref_log_probs`.
   * @param onPair called after every pair with how many of the missing are done; false ends the work, and nothing is kept
   * @throws EngineError `reference_not_finite`
   */
  async compute(pairs: readonly PreparedPair[], onPair: (done: number, total: number) => boolean = () => true): Promise<void> {
    const missing = pairs.filter((pair) => !this.#logps.has(pair));
    const score = (): Promise<ReferenceLogps[]> => this.#score(missing, onPair);
    try {
      const logps = this.#args.precompute_ref_log_probs ? await cachedReference(this.#model, missing, score) : await score();
      missing.forEach((pair, i) => this.#logps.set(pair, logps[i]!));
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  }

  async #score(pairs: readonly PreparedPair[], onPair: (done: number, total: number) => boolean): Promise<ReferenceLogps[]> {
    const model = this.#model;
    const scoring = scoringProgram(await model.load(this.#args), model, { metrics: false });
    try {
      let done = 0;
      const logps = await scoreReference(scoring, pairs, model.config, () => {
        done++;
        if (!onPair(done, pairs.length)) throw new Stopped();
      });
      requireFinite(logps, pairs);
      return logps;
    } finally {
      await scoring.dispose();
    }
  }
}

/** A NaN in the reference would show as a loss that is not finite, and send the user to the wrong place. */
function requireFinite(references: readonly ReferenceLogps[], pairs: readonly PreparedPair[]): void {
  references.forEach(({ chosen, rejected }, i) => {
    if (Number.isFinite(chosen) && Number.isFinite(rejected)) return;
    const got = `${chosen} for chosen and ${rejected} for rejected at ${pairs[i]!.origin}`;
    throw new EngineError(
      "reference_not_finite",
      `DPOTrainer: the reference's log-probs must be finite, got ${got}; the model has NaN or infinite weights: load it again from whole files`,
    );
  });
}
