/** A reference that does not change during a run; it may therefore be the policy itself, as long as it is untrained. */
import type { CausalLM, EngineChoice } from "../../model/index.js";
import { cachedLogps } from "./logpCache.js";
import { type LogpPair, type ReferenceScoring, type ReferenceSource, type ScoredRow, scoreRows } from "./references.js";

/** The options it looks at. */
export interface FixedReferenceOptions extends EngineChoice {
  readonly precompute_ref_log_probs: boolean;
  readonly tokens_per_run: number;
}

/** Ends the work when the listener asks for it. */
class Stopped extends Error {}

export class FixedReference<Row extends ScoredRow, Logps> implements ReferenceSource<Row, Logps> {
  readonly #scoring: ReferenceScoring<Row, Logps>;
  readonly #model: CausalLM;
  readonly #args: FixedReferenceOptions;
  readonly #logps = new Map<Row, Logps>();

  constructor(scoring: ReferenceScoring<Row, Logps>, model: CausalLM, args: FixedReferenceOptions) {
    this.#scoring = scoring;
    this.#model = model;
    this.#args = args;
  }

  has(row: Row): boolean {
    return this.#logps.has(row);
  }

  async of(rows: readonly Row[]): Promise<Logps[]> {
    return Promise.resolve(rows.map((row) => this.#logps.get(row)!));
  }

  /** Computes what is missing, or takes it from the cache with `precompute_ref_log_probs`. */
  async compute(rows: readonly Row[], onRow: (done: number, total: number) => boolean = () => true): Promise<void> {
    const missing = rows.filter((row) => !this.#logps.has(row));
    const score = (): Promise<LogpPair[]> => this.#score(missing, onRow);
    try {
      const logps = this.#args.precompute_ref_log_probs ? await this.#cached(missing, score) : await score();
      missing.forEach((row, i) => this.#logps.set(row, this.#scoring.toLogps(logps[i]!)));
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  }

  async #cached(rows: readonly Row[], score: () => Promise<LogpPair[]>): Promise<LogpPair[]> {
    const { kind, trainer } = this.#scoring;
    return (await cachedLogps({ model: this.#model, kind, rows: this.#keysOf(rows) }, 2, score, trainer)) as LogpPair[];
  }

  *#keysOf(rows: readonly Row[]): Generator<unknown> {
    for (const row of rows) yield this.#scoring.keyOf(row);
  }

  async #score(rows: readonly Row[], onRow: (done: number, total: number) => boolean): Promise<LogpPair[]> {
    const model = this.#model;
    const program = this.#scoring.compile(await model.load(this.#args), model);
    const count = (done: number): void => {
      if (!onRow(done, rows.length)) throw new Stopped();
    };
    try {
      return await scoreRows(this.#scoring, program, rows, model.config, { tokens_per_run: this.#args.tokens_per_run, onRows: count });
    } finally {
      await program.dispose();
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
