/** The log as curves: what was logged while training, and what evaluations said. */
import type { LogEntry } from "../loop/trainerState.js";

export interface Point {
  readonly step: number;
  readonly value: number;
}

/** Trends of fewer entries are noise. */
export const MIN_ENTRIES = 4;

export class History {
  /** Entries of training: those with a loss. The summary at the end has train_loss and is none. */
  readonly train: readonly LogEntry[];
  readonly evaluations: readonly LogEntry[];

  constructor(log: readonly LogEntry[]) {
    this.train = log.filter((entry) => "loss" in entry);
    this.evaluations = log.filter((entry) => "eval_loss" in entry);
  }

  /** Whether the training entries suffice to speak of a trend. */
  get hasTrend(): boolean {
    return this.train.length >= MIN_ENTRIES;
  }

  /** The last logged step; 0 for an empty log. */
  get lastStep(): number {
    return this.train.at(-1)?.["step"] ?? 0;
  }

  /** Finite values of training entries. */
  curve(name: string): Point[] {
    return points(this.train, name);
  }

  /** Finite values of evaluations. @param name without `eval_` */
  evalCurve(name: string): Point[] {
    return points(this.evaluations, `eval_${name}`);
  }

  /** Mean over the first quarter of a curve; undefined where it is empty. */
  start(name: string): number | undefined {
    const curve = this.curve(name);
    return mean(curve.slice(0, quarter(curve.length)));
  }

  /** Mean over the last quarter of a curve. */
  end(name: string): number | undefined {
    const curve = this.curve(name);
    return mean(curve.slice(curve.length - quarter(curve.length)));
  }

  /** Optimizer steps that the last quarter of the entries stands for. */
  get endSteps(): number {
    const from = this.train[this.train.length - quarter(this.train.length) - 1];
    return this.lastStep - (from?.["step"] ?? 0);
  }
}

function points(entries: readonly LogEntry[], name: string): Point[] {
  return entries.map((entry) => ({ step: entry["step"] ?? 0, value: entry[name] ?? NaN })).filter(({ value }) => Number.isFinite(value));
}

function quarter(length: number): number {
  return Math.ceil(length / 4);
}

function mean(curve: readonly Point[]): number | undefined {
  return curve.length === 0 ? undefined : curve.reduce((sum, { value }) => sum + value, 0) / curve.length;
}

/** The middle value; of an even number, the upper one of the two. @returns NaN for none */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
