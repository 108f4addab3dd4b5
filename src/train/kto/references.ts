/**
 * The reference's log-probs of the rows of a run, of the own and the mismatched completion in one forward pass. They do not change
 * during a run, so each is computed once, before the first step; the reference may therefore be the policy itself, as long as it is
 * untrained.
 */
import { EngineError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { KTOConfig } from "../options/ktoConfig.js";
import { cachedLogps } from "../sequence/logpCache.js";
import { type PreparedRow, rowInputs } from "./preparedRows.js";
import type { ReferenceLogps } from "./rowBatch.js";
import { scoringProgram } from "./rowProgram.js";

/** Called after every row with how many of the missing are done; false ends the work. */
type OnRow = (done: number, total: number) => boolean;

/** Ends the work when the listener asks for it. */
class Stopped extends Error {}

export class References {
  readonly #model: CausalLM;
  readonly #args: KTOConfig;
  readonly #logps = new Map<PreparedRow, ReferenceLogps>();

  constructor(model: CausalLM, args: KTOConfig) {
    this.#model = model;
    this.#args = args;
  }

  has(row: PreparedRow): boolean {
    return this.#logps.has(row);
  }

  /** Of rows that were computed. */
  of(rows: readonly PreparedRow[]): ReferenceLogps[] {
    return rows.map((row) => this.#logps.get(row)!);
  }

  /**
   * Computes what is missing, or takes it from the cache with `precompute_ref_log_probs`. Nothing is kept of work that was ended.
   * @throws EngineError `reference_not_finite`
   */
  async compute(rows: readonly PreparedRow[], onRow: OnRow = () => true): Promise<void> {
    const missing = rows.filter((row) => !this.#logps.has(row));
    const score = (): Promise<number[][]> => this.#score(missing, onRow);
    try {
      const logps = this.#args.precompute_ref_log_probs ? await this.#cached(missing, score) : await score();
      missing.forEach((row, i) => this.#logps.set(row, { own: logps[i]![0]!, mismatched: logps[i]![1]! }));
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  }

  #cached(rows: readonly PreparedRow[], score: () => Promise<number[][]>): Promise<number[][]> {
    return cachedLogps({ model: this.#model, kind: "kto", rows: keysOf(rows) }, 2, score, "KTOTrainer");
  }

  async #score(rows: readonly PreparedRow[], onRow: OnRow): Promise<number[][]> {
    const model = this.#model;
    const scoring = scoringProgram(await model.load(this.#args), model, { metrics: false });
    try {
      const scored: number[][] = [];
      for (const row of rows) {
        const outputs = await scoring.run(rowInputs(row, "both", model.config));
        scored.push(["logps", "mismatchedLogps"].map((name) => outputs[name]!.data[0]!));
        if (!onRow(scored.length, rows.length)) throw new Stopped();
      }
      requireFinite(scored, rows);
      return scored;
    } finally {
      await scoring.dispose();
    }
  }
}

function* keysOf(rows: readonly PreparedRow[]): Generator<number[][]> {
  for (const row of rows) {
    const { ids, positions, segments, targets } = row.layout("both");
    yield [ids, positions, segments, targets];
  }
}

/** A NaN in the reference would show as a loss that is not finite, and send the user to the wrong place. */
function requireFinite(logps: readonly number[][], rows: readonly PreparedRow[]): void {
  const at = logps.findIndex((values) => !values.every(Number.isFinite));
  if (at < 0) return;
  throw new EngineError(
    "reference_not_finite",
    `KTOTrainer: the reference's log-probs must be finite, got ${logps[at]!.join(" and ")} at ${rows[at]!.origin}; the model has NaN or infinite weights: load it again from whole files`,
  );
}
