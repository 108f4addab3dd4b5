/**
 * Who carries trials to where they run. An engine gets a study and a function that runs one trial, and returns when no trial is left, or
 * when it was told to stop.
 *
 * - Engines add no rules: which trials there are, who has which and what came out is the ledger's (ledger.ts).
 * - A trial's function runs to its end, or throws; what it throws ends that trial alone.
 * - The local engine is loops in this process; start a second process on the same folder, and the two share the trials. Engines for several
 *   machines (bullmq/, slurm/) hand trials out from here, by the sweep's plan, and enter what comes back.
 */
import { EngineError } from "../errors.js";
import type { TrialFacts } from "./ledger.js";
import type { SweepPlan } from "./plan.js";
import type { Study, SweepTrial } from "./study.js";

/** Runs one trial. @throws TrialPruned, TrialStopped; anything else is the trial's failure */
export type Objective = (trial: SweepTrial, signal: AbortSignal) => Promise<TrialResult> | TrialResult;

/** The value alone, or with facts for the table. */
export type TrialResult = number | { readonly value: number; readonly facts?: TrialFacts };

/** Ends a trial early. */
export class TrialPruned extends Error {
  constructor(
    readonly reason: string,
    readonly facts: TrialFacts = {},
  ) {
    super(reason);
  }
}

/** The trial was stopped in the middle by the signal: it goes back to the others. */
export class TrialStopped extends Error {}

export interface SweepRunOptions {
  readonly signal: AbortSignal;
  /** No trial is begun after this many seconds. */
  readonly seconds?: number | undefined;
  /** Trials at once in this process. */
  readonly concurrency?: number;
  readonly onTrialEnd?: (trial: SweepTrial) => Promise<void> | void;
  /** Of trials that run elsewhere. */
  readonly onProgress?: (event: TrialProgress) => void;
  /** What workers elsewhere need; written when it is asked for. @throws ConfigError `sweep_engine` where it cannot be written down */
  readonly plan?: () => Promise<SweepPlan>;
}

/** Without a step: a trial has begun. */
export interface TrialProgress {
  readonly number: number;
  /** Machine and process. */
  readonly worker: string;
  readonly step?: number;
  readonly value?: number;
}

export interface SweepEngine {
  readonly name: string;
  /** Whether trials run in other processes, by the plan. */
  readonly away?: boolean;
  run(study: Study, objective: Objective, options: SweepRunOptions): Promise<void>;
}

/** Pause before asking again while others have the last trials, ms. */
const POLL_MS = 200;

export const localEngine: SweepEngine = {
  name: "local",
  async run(study, objective, { signal, seconds = Infinity, concurrency = 1, onTrialEnd }) {
    const started = performance.now();
    const goesOn = (): boolean => !signal.aborted && (performance.now() - started) / 1000 < seconds;
    const loop = async (): Promise<void> => {
      while (goesOn()) {
        const trial = study.ask();
        if (trial === undefined) return;
        if (trial === "wait") {
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
          continue;
        }
        await runTrial(trial, objective, signal);
        await onTrialEnd?.(trial);
      }
    };
    const loops = await Promise.allSettled(Array.from({ length: concurrency }, loop));
    const failed = loops.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  },
};

/** Runs a trial and enters what came out. */
export async function runTrial(trial: SweepTrial, objective: Objective, signal: AbortSignal): Promise<void> {
  try {
    const result = await objective(trial, signal);
    const { value, facts = {} } = typeof result === "number" ? { value: result } : result;
    trial.tell(value, { facts });
  } catch (error) {
    settle(trial, error);
  }
}

function settle(trial: SweepTrial, error: unknown): void {
  if (isLost(error)) return;
  try {
    if (error instanceof TrialStopped) trial.release();
    else if (error instanceof TrialPruned)
      trial.tell(trial.latest?.value ?? null, { state: "pruned", reason: error.reason, facts: error.facts });
    else trial.tell(null, { state: "fail", reason: error instanceof Error ? error.message : String(error) });
  } catch (late) {
    // Another worker has it: what came out here counts no more.
    if (!isLost(late)) throw late;
  }
}

function isLost(error: unknown): boolean {
  return error instanceof EngineError && error.code === "trial_lost";
}
