/**
 * A sweep while it goes on: in a notebook the table and the figure fill up under the cell, elsewhere a line is printed for each trial. The
 * running kernel is met at the symbol of src/notebook/display.ts; neither needs the other.
 */
import { displaySymbol, numberText } from "../evaluate/table.js";
import type { JsonValue } from "../config/index.js";
import type { SweepResult } from "./result.js";
import type { SweepTrial } from "./study.js";
import type { TrialRecord } from "./ledger.js";

interface Host {
  display(data: Readonly<Record<string, unknown>>, options: { display_id: string; update: boolean }): void;
  interruptSignal(): AbortSignal;
}

const hostSymbol = Symbol.for("preflab.notebookHost");

/** The kernel that runs this code, or undefined in a plain program. */
export function kernelHost(): Host | undefined {
  return (globalThis as { [hostSymbol]?: Host })[hostSymbol];
}

/** Between two drawings, ms; more where drawing itself takes long. */
const PAUSE_MS = 1500;
const PAUSE_FACTOR = 20;

let views = 0;

export class LiveView {
  readonly #host = kernelHost();
  readonly #id = `preflab-sweep-${process.pid}-${views++}`;
  readonly #result: () => SweepResult;
  readonly #planned: number;
  #shown = false;
  #next = 0;

  /** @param result makes the present table */
  constructor(result: () => SweepResult, planned: number) {
    this.#result = result;
    this.#planned = planned;
  }

  trialEnded(trial: SweepTrial, record: TrialRecord | undefined, best: TrialRecord | undefined, metric: string): void {
    if (this.#host !== undefined) return this.draw(false);
    if (record === undefined) return;
    const value = record.value === null ? "" : `  ${metric} ${numberText(record.value)}`;
    const seconds = typeof record.facts["seconds"] === "number" ? `  ${record.facts["seconds"].toFixed(1)} s` : "";
    const reason = record.reason === null ? "" : `  ${record.state}: ${record.reason}`;
    const leader = best === undefined ? "" : `  best ${numberText(best.value!)} (trial ${best.number})`;
    const total = Number.isFinite(this.#planned) ? `/${this.#planned}` : "";
    console.log(`trial ${trial.number + 1}${total}  ${describeParams(record.params)}${value}${seconds}${reason}${leader}`);
  }

  /** @param always also shortly after the last time */
  draw(always: boolean): void {
    const started = performance.now();
    if (this.#host === undefined || (!always && started < this.#next)) return;
    const result = this.#result();
    if (result.trials.length === 0) return;
    const update = this.#shown;
    this.#host.display(result[displaySymbol](), { display_id: `${this.#id}-table`, update });
    this.#host.display(result.chart()[displaySymbol](), { display_id: `${this.#id}-chart`, update });
    this.#shown = true;
    const ended = performance.now();
    this.#next = ended + Math.max(PAUSE_MS, PAUSE_FACTOR * (ended - started));
  }
}

export function describeParams(params: Readonly<Record<string, JsonValue>>): string {
  return Object.entries(params)
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
