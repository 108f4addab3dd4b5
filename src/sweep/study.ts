/** A study: trials that are asked for, run by anybody, and told of. The sweep itself drives it in this way, and so can an outside optimiser. */
import { ConfigError, EngineError } from "../errors.js";
import type { Claim, Ended, Ledger, TrialBooks, TrialFacts, TrialRecord } from "./ledger.js";
import type { Pruner } from "./pruner.js";
import type { Sampler } from "./sampler.js";
import type { Params } from "./space.js";
import { workerName } from "./sqlite.js";

export type Goal = "minimize" | "maximize";

export interface StudyParts {
  readonly ledger: Ledger;
  readonly sampler: Sampler;
  readonly goal: Goal;
  /** Trials that the study begins by itself; more may be asked for with settings of their own. */
  readonly trials: number;
  readonly pruner?: Pruner | undefined;
  /** How long a worker may be silent before its trial is given to another; its heart beats four times as often. */
  readonly lease_ms: number;
}

export class Study {
  readonly goal: Goal;
  readonly ledger: Ledger;
  readonly #parts: StudyParts;
  readonly #owner = workerName();

  constructor(parts: StudyParts) {
    this.#parts = parts;
    this.goal = parts.goal;
    this.ledger = parts.ledger;
  }

  /**
   * The next trial, now this worker's; undefined when none is left, "wait" while others run the last ones and may lose them.
   * @param params settings from outside instead of the sampler's
   */
  ask(params?: Params): SweepTrial | "wait" | undefined {
    const { sampler, lease_ms } = this.#parts;
    if (params !== undefined) {
      // Between the two calls another worker may take it: then one more is added.
      for (;;) {
        const claim = this.ledger.claimNumber(this.ledger.enqueue(params), this.#owner, lease_ms);
        if (claim !== undefined) return this.#trial(claim);
      }
    }
    const claim = this.ledger.claim({ owner: this.#owner, lease_ms, limit: this.limit, point: (number) => sampler.point(number) });
    if (claim === "done") return undefined;
    return claim === "wait" ? claim : this.#trial(claim);
  }

  /** Trials that this study begins by itself. */
  get limit(): number {
    return Math.min(this.#parts.trials, this.#parts.sampler.size);
  }

  /** Enters trials that will run elsewhere as waiting, up to this many in all. @returns trials of the sweep that are not entered yet */
  plan(many: number): number {
    const planned = Math.min(many, this.limit);
    this.ledger.plan(planned, (number) => this.#parts.sampler.point(number));
    return this.limit - planned;
  }

  /** A trial that runs elsewhere: this process enters what it hears of it. undefined when it has ended, or another process has it. */
  take(number: number): SweepTrial | undefined {
    const claim = this.ledger.claimNumber(number, this.#owner, this.#parts.lease_ms, Infinity);
    return claim === undefined ? undefined : this.#trial(claim);
  }

  #trial(claim: Claim): SweepTrial {
    return new SweepTrial(claim, this.ledger, this.#parts.pruner, this.#parts.lease_ms);
  }

  /** All trials by number. */
  trials(): TrialRecord[] {
    return this.ledger.trials();
  }

  /** The complete trial with the best value; of equal ones the first. */
  get best(): TrialRecord | undefined {
    return this.trials()
      .filter(({ state, value }) => state === "complete" && value !== null)
      .reduce<TrialRecord | undefined>(
        (best, trial) => (best === undefined || this.isBetter(trial.value!, best.value!) ? trial : best),
        undefined,
      );
  }

  isBetter(value: number, than: number): boolean {
    return this.goal === "maximize" ? value > than : value < than;
  }

  close(): void {
    this.ledger.close();
  }
}

/** Who watches a trial from outside. */
export interface TrialListener {
  /** What it returns is awaited, where the trial can wait, before the verdict. */
  onReport(step: number, value: number): void | Promise<void>;
  /** Why the trial should end, or undefined; asked before the study's pruner. */
  verdict(): string | undefined;
}

/** A trial in this worker's hands. */
export class SweepTrial {
  readonly number: number;
  readonly params: Params;
  /** 1 for the first. */
  readonly attempt: number;
  listener: TrialListener | undefined;
  readonly #claim: Claim;
  readonly #ledger: TrialBooks;
  readonly #pruner: Pruner | undefined;
  readonly #leaseMs: number;
  readonly #heart: NodeJS.Timeout;
  #latest: { step: number; value: number } | undefined;
  #heard: void | Promise<void> = undefined;
  #lost = false;
  #over = false;

  constructor(claim: Claim, ledger: TrialBooks, pruner: Pruner | undefined, leaseMs: number) {
    this.#claim = claim;
    this.#ledger = ledger;
    this.#pruner = pruner;
    this.#leaseMs = leaseMs;
    this.number = claim.number;
    this.params = claim.params;
    this.attempt = claim.attempt;
    this.#heart = setInterval(() => this.#beat(), leaseMs / 4);
    this.#heart.unref();
  }

  #beat(): void {
    if (!this.#ledger.beat(this.#claim, this.#leaseMs)) this.#lose();
  }

  #lose(): void {
    this.#lost = true;
    clearInterval(this.#heart);
  }

  /** @throws EngineError `trial_lost` when another worker has it: this one was silent for too long */
  requireOwn(): void {
    if (this.#lost)
      throw new EngineError(
        "trial_lost",
        `trial ${this.number}: its worker must not be silent for ${this.#leaseMs} ms, got longer; another one has it now`,
      );
  }

  /**
   * Tells a value on the way. @param step a whole number, rising
   * @throws ConfigError `trial_value` for one that is not finite; EngineError `trial_lost`
   */
  report(step: number, value: number): void {
    requireFinite(this.number, value, `at step ${step}`);
    if (!this.#ledger.report(this.#claim, step, value)) this.#lose();
    this.requireOwn();
    this.#latest = { step, value };
    this.#heard = this.listener?.onReport(step, value);
  }

  /** Done when whoever watches has an answer to the latest report. */
  async judged(): Promise<void> {
    await this.#heard;
  }

  /** Why the trial should end after its latest report, by the study's pruner; undefined to go on. */
  should_prune(): string | undefined {
    if (this.#latest === undefined) return undefined;
    return this.listener?.verdict() ?? this.#pruner?.verdict(this.#claim, this.#latest.step, this.#latest.value);
  }

  /** The latest value of this attempt. */
  get latest(): { readonly step: number; readonly value: number } | undefined {
    return this.#latest;
  }

  /** For an attempt that begins anew. @throws EngineError `trial_lost` */
  forget_reports(): void {
    if (!this.#ledger.forgetReports(this.#claim)) this.#lose();
    this.requireOwn();
  }

  /**
   * Ends the trial. @param value of a complete trial
   * @throws ConfigError `trial_value` for one that is not finite, `trial_told`; EngineError `trial_lost`
   */
  tell(
    value: number | null,
    { state = "complete", reason = null, facts = {} }: { state?: Ended; reason?: string | null; facts?: TrialFacts } = {},
  ): void {
    if (this.#over)
      throw new ConfigError("trial_told", `trial ${this.number}: it must be told of once, got a second time; ask for another trial`);
    if (state === "complete" || value !== null) requireFinite(this.number, value, "at the end");
    this.#stop();
    if (!this.#ledger.finish(this.#claim, { state, value, reason, facts })) this.#lose();
    this.requireOwn();
  }

  /** Gives an unfinished trial back. */
  release(): void {
    this.#stop();
    this.#ledger.release(this.#claim);
  }

  #stop(): void {
    this.#over = true;
    clearInterval(this.#heart);
  }
}

function requireFinite(number: number, value: number | null, when: string): asserts value is number {
  if (typeof value === "number" && Number.isFinite(value)) return;
  throw new ConfigError("trial_value", `trial ${number}: its value must be a finite number, got ${String(value)} ${when}`);
}
