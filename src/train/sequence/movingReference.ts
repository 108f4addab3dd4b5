/** A reference that follows the policy (TR-DPO): its log-probs are computed when a micro-batch is met. */
import type { CausalLM } from "../../model/index.js";
import { type MovingOptions, MovingWeights } from "./movingWeights.js";
import { FixedReference, type FixedReferenceOptions } from "./fixedReference.js";
import type { SequenceProgram } from "./sequenceProgram.js";
import { type ReferenceScoring, type ReferenceSource, type ScoredRow, scoreRows } from "./references.js";

export class MovingReference<Row extends ScoredRow, Logps> implements ReferenceSource<Row, Logps> {
  readonly #scoring: ReferenceScoring<Row, Logps>;
  /** It computes with its own configuration, as in TRL: the same tensors mean another function under another rope_theta. */
  readonly #reference: CausalLM;
  readonly #weights: MovingWeights;
  readonly #tokensPerRun: number;
  #program: Promise<SequenceProgram> | undefined;

  /** Arguments and errors as `MovingWeights`. */
  constructor(
    scoring: ReferenceScoring<Row, Logps>,
    model: CausalLM,
    args: MovingOptions & Pick<FixedReferenceOptions, "tokens_per_run">,
    ref_model: CausalLM = model,
    groupElements?: number,
  ) {
    this.#scoring = scoring;
    this.#reference = ref_model;
    this.#tokensPerRun = args.tokens_per_run;
    this.#weights = new MovingWeights(scoring.trainer, model, args, ref_model, groupElements);
  }

  /** Every row can be asked for at any time. */
  has(): boolean {
    return true;
  }

  /** As the reference is now. @throws EngineError `reference_not_finite` */
  async of(rows: readonly Row[]): Promise<Logps[]> {
    const program = await this.#start();
    const logps = await scoreRows(this.#scoring, program, rows, this.#reference.config, {
      tokens_per_run: this.#tokensPerRun,
      bind: this.#weights.bind,
    });
    return logps.map((values) => this.#scoring.toLogps(values));
  }

  /** Copies the weights with which the reference starts; no log-prob can be computed in advance. */
  async compute(): Promise<void> {
    await this.#start();
  }

  afterStep(step: number): Promise<void> {
    return this.#weights.afterStep(step);
  }

  storedNames(): string[] {
    return this.#weights.storedNames();
  }

  async dispose(): Promise<void> {
    const program = await this.#program;
    this.#program = undefined;
    await program?.dispose();
    await this.#weights.dispose();
  }

  #start(): Promise<SequenceProgram> {
    return (this.#program ??= this.#weights.start().then((engine) => this.#scoring.compile(engine, this.#reference)));
  }
}

/** The reference that the options ask for. @param reference undefined: the policy as it is before the first step */
export function createReference<Row extends ScoredRow, Logps>(
  scoring: ReferenceScoring<Row, Logps>,
  policy: CausalLM,
  reference: CausalLM | undefined,
  args: FixedReferenceOptions & MovingOptions & { readonly sync_ref_model: boolean },
): ReferenceSource<Row, Logps> {
  if (args.sync_ref_model) return new MovingReference(scoring, policy, args, reference);
  return new FixedReference(scoring, reference ?? policy, args);
}
