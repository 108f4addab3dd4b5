/** Where what workers elsewhere tell is entered in the books: by the one process that hands the trials out. */
import type { SentEnd } from "./away.js";
import type { SweepRunOptions } from "./engine.js";
import { lostReason } from "./ledger.js";
import type { Study, SweepTrial } from "./study.js";

export class Desk {
  readonly #study: Study;
  readonly #options: SweepRunOptions;
  /** Trials that run, as far as was heard. */
  readonly #held = new Map<number, SweepTrial>();

  constructor(study: Study, options: SweepRunOptions) {
    this.#study = study;
    this.#options = options;
  }

  /** Whether a trial has ended. */
  isOver(number: number): boolean {
    const state = this.#study.ledger.trial(number)?.state;
    return state !== "waiting" && state !== "running";
  }

  /** A first sign of life. */
  begun(number: number, worker: string): void {
    if (this.#hold(number) !== undefined) this.#options.onProgress?.({ number, worker });
  }

  /** A value on the way. @returns why the trial should end, by the study's pruner */
  report(number: number, worker: string, step: number, value: number): string | undefined {
    const trial = this.#hold(number);
    if (trial === undefined) return undefined;
    trial.report(step, value);
    this.#options.onProgress?.({ number, worker, step, value });
    return trial.should_prune();
  }

  /** Enters an end, once; a second one changes nothing. */
  async end(number: number, end: SentEnd): Promise<void> {
    const trial = this.#hold(number);
    if (trial === undefined) return;
    this.#held.delete(number);
    if (end.state === "stopped") return trial.release();
    // What was told while this process was away.
    for (const [step, value] of end.reports) trial.report(step, value);
    trial.tell(end.value, end);
    await this.#options.onTrialEnd?.(trial);
  }

  /** The workers of a trial disappeared too often, or failed for reasons of their own. */
  async fail(number: number, reason: string): Promise<void> {
    await this.end(number, { state: "fail", value: null, reason, facts: {}, worker: "", reports: [] });
  }

  lost(number: number, times: number): Promise<void> {
    return this.fail(number, lostReason(times));
  }

  /** Gives back what is held; the next start enters it. */
  close(): void {
    for (const trial of this.#held.values()) trial.release();
    this.#held.clear();
  }

  #hold(number: number): SweepTrial | undefined {
    const held = this.#held.get(number) ?? this.#study.take(number);
    if (held !== undefined) this.#held.set(number, held);
    return held;
  }
}
