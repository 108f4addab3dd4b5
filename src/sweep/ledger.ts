/**
 * The books of a study: which trials there are, who has which, what came out. Several processes write in one ledger; what it promises is
 * what makes a sweep durable.
 *
 * - A trial is somebody's or nobody's: `claim` gives it to one worker, and to no other while that worker's heart beats.
 * - A worker that fell silent loses its trial: the next `claim` hands it out again, with a higher attempt, up to MAX_ATTEMPTS times.
 * - Who lost a trial can no longer write to it: `report`, `beat`, `release` and `finish` then answer false.
 * - What `finish` has answered true to stays, also when the process is killed in the next instant.
 *
 * `SqliteLedger` is for the processes of one machine. Where trials run on others, the process that hands them out keeps the books (desk.ts).
 */
import type { JsonValue } from "../config/index.js";
import type { Params } from "./space.js";

/** Optuna's names, in lower case. */
export type TrialState = "waiting" | "running" | "complete" | "pruned" | "fail";
export type Ended = "complete" | "pruned" | "fail";

/** What is told of an ended trial, beside its value. */
export type TrialFacts = Readonly<Record<string, JsonValue>>;

export interface TrialRecord {
  /** From 0. */
  readonly number: number;
  readonly params: Params;
  readonly state: TrialState;
  /** Of a complete trial; of a pruned one the last reported value, if any. */
  readonly value: number | null;
  /** Why it failed or was pruned. */
  readonly reason: string | null;
  /** How often it was begun. */
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly started_ms: number | null;
  readonly ended_ms: number | null;
  readonly facts: TrialFacts;
}

/** A worker's right to a trial. */
export interface Claim {
  readonly number: number;
  readonly params: Params;
  /** 1 for the first. Above 1: an earlier worker fell silent, or gave it back. */
  readonly attempt: number;
  readonly owner: string;
}

/** What the holder of a trial tells the books. */
export type TrialBooks = Pick<Ledger, "beat" | "report" | "forgetReports" | "finish" | "release">;

/** "wait": others have the last trials, and may lose them. */
export type Claimed = Claim | "wait" | "done";

export interface ClaimRules {
  readonly owner: string;
  readonly lease_ms: number;
  /** Trials with this number and above are not begun. */
  readonly limit: number;
  /** The settings of a trial that nobody has asked for in particular. */
  readonly point: (number: number) => Params;
}

export interface EndOf {
  readonly state: Ended;
  readonly value: number | null;
  readonly reason: string | null;
  readonly facts: TrialFacts;
}

export const MAX_ATTEMPTS = 5;

/** Why a trial failed whose workers disappeared. */
export const lostReason = (times: number): string => `its worker was lost ${times} times`;

export interface Ledger {
  /** Of this study: one that is begun anew, though it be equal, has another. Letters and digits. */
  readonly id: string;
  claim(rules: ClaimRules): Claimed;
  /** Adds a trial with settings from outside; a worker gets it before others. @returns its number */
  enqueue(params: Params): number;
  /** Claims one particular waiting trial. @param mostAttempts Infinity where somebody else counts lost workers */
  claimNumber(number: number, owner: string, lease_ms: number, mostAttempts?: number): Claim | undefined;
  /** Adds what is missing of the first `limit` trials, as waiting. */
  plan(limit: number, point: (number: number) => Params): void;
  /** Trials that have not ended, by number. @param from least number @param most how many */
  open(from: number, most: number): { readonly number: number; readonly params: Params }[];
  /** Takes back planned trials from this number on that nobody has begun, behind the last one that was. */
  withdraw(from: number): void;
  beat(claim: Claim, lease_ms: number): boolean;
  /** Another report of the same step replaces the earlier one. */
  report(claim: Claim, step: number, value: number): boolean;
  /** Forgets the reports of an attempt that begins anew. */
  forgetReports(claim: Claim): boolean;
  finish(claim: Claim, end: EndOf): boolean;
  /** Gives an unfinished trial back, for whoever comes next; it does not count as an attempt. */
  release(claim: Claim): boolean;
  /** In the order of their numbers. */
  trials(): TrialRecord[];
  trial(number: number): TrialRecord | undefined;
  /** How many trials are in each state. */
  counts(): Readonly<Record<TrialState, number>>;
  /** [step, value], by step. */
  reports(number: number): [number, number][];
  /** Enters a trial's value at a rung of successive halving; undefined when it stands there already. How many values stand there now, and how many are better. */
  rung(claim: Claim, rung: number, value: number, maximize: boolean): { readonly values: number; readonly better: number } | undefined;
  /** Values that complete trials reported at a step. */
  valuesAt(step: number): number[];
  close(): void;
}
