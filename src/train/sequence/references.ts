/** Where the reference's log-probs of a run's rows come from: what DPO and KTO share. */
import type { Engine, HostTensors } from "../../compile/index.js";
import { ConfigError, EngineError } from "../../errors.js";
import type { CausalLM, Qwen2Config } from "../../model/index.js";
import { planRuns } from "./runs.js";
import type { SequenceForm, SequenceLayout } from "./sequenceInputs.js";
import type { SequenceProgram } from "./sequenceProgram.js";

/** A row of a method, ready to run. */
export interface ScoredRow {
  /** For errors: file and row. */
  readonly origin: string;
}

/** Two log-probs of a row, in the order of the scoring's `outputs`. */
export type LogpPair = [number, number];

/** How a method scores one row with a model without gradient. */
export interface ReferenceScoring<Row extends ScoredRow, Logps> {
  /** For errors, e.g. "DPOTrainer". */
  readonly trainer: string;
  /** What kind of numbers they are, with everything beside model and rows that they depend on: a part of the cache's key. */
  readonly kind: string;
  /** The outputs of the program that are the rows' log-probs, one a row. */
  readonly outputs: readonly [string, string];
  compile(engine: Engine, model: CausalLM): SequenceProgram;
  layout(row: Row): SequenceLayout;
  /** Of rows that run together, as the program takes them. */
  inputs(rows: readonly Row[], form: SequenceForm, config: Qwen2Config): HostTensors;
  toLogps(values: LogpPair): Logps;
  /** For errors: the two numbers in words. */
  describe(values: LogpPair): string;
  /** What the log-probs of a row depend on, as JSON values. */
  keyOf(row: Row): unknown;
}

/**
 * `FixedReference` computes each row's log-probs once, before the first step; `MovingReference` follows the policy and computes a
 * micro-batch's when it is met.
 */
export interface ReferenceSource<Row extends ScoredRow, Logps> {
  /** Whether `of` knows this row. */
  has(row: Row): boolean;
  /** Of rows that `compute` was called with. */
  of(rows: readonly Row[]): Promise<Logps[]>;
  /**
   * Computes in advance what can be.
   * @param onRow called after every run with how many of the missing are done; false ends the work, and nothing is kept
   * @throws EngineError `reference_not_finite`
   */
  compute(rows: readonly Row[], onRow?: (done: number, total: number) => boolean): Promise<void>;
  /** Stored tensors that a checkpoint must hold; written back after `compute` when a run is resumed. */
  storedNames(): string[];
  /** To be called after every optimizer step, before anything else looks at the reference. @param step counted from 1 */
  afterStep(step: number): Promise<void>;
  dispose(): Promise<void>;
}

export interface ScoreRowsOptions {
  /** As in `planRuns`. */
  readonly tokens_per_run: number;
  /** Called after every run with how many rows are done. */
  readonly onRows?: (done: number) => void;
  readonly bind?: Readonly<Record<string, string>>;
}

/** Rows that are laid out at a time: all at once would fill the memory. */
const LAID_OUT = 64;

/** @throws EngineError `reference_not_finite` */
export async function scoreRows<Row extends ScoredRow>(
  scoring: ReferenceScoring<Row, unknown>,
  program: SequenceProgram,
  rows: readonly Row[],
  config: Qwen2Config,
  { tokens_per_run, onRows = () => undefined, bind }: ScoreRowsOptions,
): Promise<LogpPair[]> {
  const [first, second] = scoring.outputs;
  const scored: LogpPair[] = [];
  let done = 0;
  for (let begin = 0; begin < rows.length; begin += LAID_OUT) {
    const some = rows.slice(begin, begin + LAID_OUT);
    const runs = planRuns(
      some.map((row) => scoring.layout(row)),
      tokens_per_run,
    );
    for (const run of runs) {
      const together = run.rows.map((row) => some[row]!);
      const outputs = await program.run(scoring.inputs(together, run.form, config), { bind });
      for (const [place, row] of run.rows.entries()) scored[begin + row] = [outputs[first]!.data[place]!, outputs[second]!.data[place]!];
      onRows((done += run.rows.length));
    }
  }
  const at = scored.findIndex((values) => !values.every(Number.isFinite));
  if (at < 0) return scored;
  // A NaN in the reference would show as a loss that is not finite, and send the user to the wrong place.
  throw new EngineError(
    "reference_not_finite",
    `${scoring.trainer}: the reference's log-probs must be finite, got ${scoring.describe(scored[at]!)} at ${rows[at]!.origin}; the model has NaN or infinite weights: load it again from whole files`,
  );
}

/** For evaluation rows. @param gone whether the reference was the policy before training changed it @throws ConfigError `eval_reference` */
export async function requireReferences<Row extends ScoredRow>(
  references: ReferenceSource<Row, unknown>,
  rows: readonly Row[],
  gone: boolean,
  trainer: string,
): Promise<void> {
  if (references.has(rows[0]!)) return;
  if (gone)
    throw new ConfigError(
      "eval_reference",
      `${trainer}: the reference for the evaluation rows was not computed before training; set eval_strategy, or call evaluate before train`,
    );
  await references.compute(rows);
}
