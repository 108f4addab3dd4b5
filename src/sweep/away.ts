/** A trial on a worker's machine: run as everywhere, its books kept by whoever handed it out. */
import { hostname } from "node:os";
import { PreflabError } from "../errors.js";
import { type Objective, TrialPruned, TrialStopped, runTrial } from "./engine.js";
import type { Claim, EndOf, TrialBooks } from "./ledger.js";
import type { Params } from "./space.js";
import { SweepTrial } from "./study.js";

/** A trial as it travels. */
export interface SentTrial {
  readonly number: number;
  readonly params: Params;
  /** 1 for the first. */
  readonly attempt: number;
}

/** What comes back of a trial that has ended. */
export type SentEnd = (EndOf | { readonly state: "stopped" }) & { readonly worker: string; readonly reports: readonly SentReport[] };
export type SentReport = readonly [step: number, value: number];

/** The way from a worker to the books. */
export interface Line {
  /** A trial's value on the way. @returns why the trial should end, once there is an answer */
  report(step: number, value: number): Promise<string | undefined>;
}

/** A worker's name for people. */
export const ownName = (): string => `${hostname()}:${process.pid}`;

/** An error that may be this machine's, not the trial's: worth another attempt elsewhere. */
export class MachineFault extends Error {
  constructor(readonly fault: Error) {
    super(fault.message);
  }
}

/**
 * Runs a trial to its end.
 * @param lost aborts when another worker has got the trial @param stop aborts when the sweep is stopped
 * @throws MachineFault, when `retry`, for what another machine may do better: MACHINES, and everything that is no error of Preflab's own
 */
export async function runAway(
  sent: SentTrial,
  objective: Objective,
  line: Line,
  { lost, stop, retry }: { readonly lost: AbortSignal; readonly stop: AbortSignal; readonly retry: boolean },
): Promise<SentEnd> {
  const books = new AwayBooks(lost);
  const trial = new SweepTrial({ ...sent, owner: ownName() }, books, undefined, HEARTBEAT_MS);
  let verdict: string | undefined;
  trial.listener = {
    onReport: async (step, value) => void (verdict = await line.report(step, value)),
    verdict: () => verdict,
  };
  let fault: Error | undefined;
  const watched: Objective = async (own, signal) => {
    try {
      return await objective(own, signal);
    } catch (error) {
      if (retry && isMachines(error)) fault = error as Error;
      throw error;
    }
  };
  await runTrial(trial, watched, AbortSignal.any([stop, lost]));
  if (fault !== undefined) throw new MachineFault(fault);
  return { ...(books.end ?? { state: "stopped" }), worker: ownName(), reports: [...books.reports] };
}

/** How often a trial looks whether it still is this worker's, ms times four. */
const HEARTBEAT_MS = 2000;

/** Preflab's own errors that come from a machine: a compute worker that was killed, a disk that is full. */
const MACHINES = ["worker_exit", "reader_exit", "backend_start", "output_dir"];

function isMachines(error: unknown): boolean {
  if (error instanceof TrialPruned || error instanceof TrialStopped) return false;
  return !(error instanceof PreflabError) || MACHINES.includes(error.code);
}

class AwayBooks implements TrialBooks {
  readonly reports = new Map<number, number>();
  end: EndOf | undefined;
  readonly #lost: AbortSignal;

  constructor(lost: AbortSignal) {
    this.#lost = lost;
  }

  beat(): boolean {
    return !this.#lost.aborted;
  }
  report(_: Claim, step: number, value: number): boolean {
    this.reports.set(step, value);
    return this.beat();
  }
  forgetReports(): boolean {
    this.reports.clear();
    return this.beat();
  }
  finish(_: Claim, end: EndOf): boolean {
    if (this.beat()) this.end = end;
    return this.beat();
  }
  release(): boolean {
    return true;
  }
}
