/** What all cases share: the options, the two sides with plain sgemm beside each measurement, and the record of everything measured. */
import { median } from "../../scripts/compare/report.js";
import { gigabytes } from "../shared/child.js";
import { checkpointOf, shapeConfig } from "../shared/models.js";
import { type PairLengths, randomPairs, type TokenPair } from "../shared/pairs.js";
import { type SgemmRows, sgemmRows } from "../shared/sgemm.js";
import type { BenchOptions, CaseName } from "./options.js";
import { type Best, findBest, readRecorded, recordFile, type SearchedCase } from "./recorded.js";
import type { Measured, PreflabRequest, TrlSetting } from "./requests.js";
import { runPreflab, runSgemm, runTrl, type TrlOutcome, type TrlWork, wasKilled } from "./sides.js";

/** Five pairs a step, as in the goals. */
export const PAIRS = 5;
export const SHORT: PairLengths = { prompt: [60, 30], completion: [80, 40] };
export const LONG: PairLengths = { prompt: [400, 0], completion: [100, 0] };

/** A measurement with the machine's own speed in the same minute, in GFLOP/s. */
export interface Beside<T> {
  readonly result: T;
  readonly sgemm: number;
}

export type PreflabWork = Omit<PreflabRequest, "kind" | "folder" | "threads" | "model" | "steps"> & { readonly steps?: number };

export class Bench {
  /** Everything measured, for `--json`. */
  readonly record: Record<string, unknown>[] = [];
  readonly sgemms: number[] = [];
  readonly notes: string[] = [];
  versions: Record<string, string> = {};

  /** @param python with TRL, or undefined: Preflab alone @param cases those asked for */
  constructor(
    readonly options: BenchOptions,
    readonly python: string | undefined,
    private readonly print: (line: string) => void,
  ) {}

  /** The same without TRL, for cases that are not compared with it; what it measures is kept here. */
  alone(): Bench {
    const bench = new Bench(this.options, undefined, this.print);
    Object.assign(bench, { record: this.record, sgemms: this.sgemms, notes: this.notes });
    return bench;
  }

  wants(name: CaseName): boolean {
    return this.options.cases.includes(name);
  }

  log(line: string): void {
    this.print(line);
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  pairs(count: number, lengths: PairLengths, shape = this.options.shape): TokenPair[] {
    return randomPairs(count, shapeConfig(shape).vocab_size, 0, lengths);
  }

  model(shape = this.options.shape): Promise<string> {
    return checkpointOf(shape, this.options.models);
  }

  /** Plain sgemm, then the work, then plain sgemm again. */
  async #beside<T>(rows: SgemmRows, work: () => Promise<T>, shape: string): Promise<Beside<T>> {
    const before = await this.#sgemm(rows, shape);
    const result = await work();
    const after = await this.#sgemm(rows, shape);
    return { result, sgemm: (before + after) / 2 };
  }

  async #sgemm(rows: SgemmRows, shape: string): Promise<number> {
    const gflops = await runSgemm({ ...rows, shape, threads: this.options.threads });
    this.sgemms.push(gflops);
    return gflops;
  }

  /** Preflab's side, printed as one line. @param cache shared by several runs; by default an empty one */
  async preflab(label: string, work: PreflabWork, shape = this.options.shape, cache?: string): Promise<Beside<Measured>> {
    const { threads, steps } = this.options;
    const model = await this.model(shape);
    const run = () => runPreflab({ steps, ...work, model, threads }, cache);
    const measured = await this.#beside(sgemmRows(work.rows), run, shape);
    this.#keep(label, "Preflab", measured);
    return measured;
  }

  /** TRL's side in one setting, or with its defaults and a batch. @returns undefined without Python */
  async trl(
    label: string,
    work: Omit<TrlWork, "threads" | "model" | "steps"> & { readonly steps?: number },
    setting: TrlSetting | { readonly defaultsWithBatch: number },
  ): Promise<Beside<TrlOutcome> | undefined> {
    const { python, options } = this;
    if (python === undefined) return undefined;
    const model = await this.model();
    const limit = options.memory_limit * 1e9;
    const run = () => runTrl(python, { steps: options.steps, ...work, model, threads: options.threads }, setting, limit);
    const measured = await this.#beside(sgemmRows(work.rows), run, options.shape);
    if (!wasKilled(measured.result)) Object.assign(this.versions, measured.result.versions);
    this.#keep(label, "TRL", measured, setting);
    return measured;
  }

  /** TRL's recorded best settings of a case, with a note where none was searched for. */
  best(name: SearchedCase): Best {
    const best = findBest(name, readRecorded(recordFile(this.options)));
    if (this.python !== undefined) this.note(best.note);
    return best;
  }

  #keep(label: string, side: string, { result, sgemm }: Beside<TrlOutcome>, setting?: object): void {
    this.record.push({ label, side, ...(setting !== undefined && { setting }), plain_sgemm: sgemm, ...result });
    const what = wasKilled(result) ? `stopped: ${result.killed}` : describeMeasured(result);
    this.log(`${label}: ${side}: ${what}; plain sgemm ${sgemm.toFixed(0)} GFLOP/s`);
  }
}

function describeMeasured(measured: Measured): string {
  const logps = measured.first_logps === null ? "" : `, first logps/chosen ${measured.first_logps.toFixed(2)}`;
  return `${stepSeconds(measured).toFixed(2)} s a step (first ${measured.first_step_seconds.toFixed(1)}), peak ${gigabytes(measured.peak_bytes)}${logps}`;
}

/** Median of the steps that count. */
export function stepSeconds({ step_seconds, first_step_seconds }: Measured): number {
  return step_seconds.length === 0 ? first_step_seconds : median(step_seconds);
}
