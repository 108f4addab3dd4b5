/** Whether two runs gave the same: their logs entry by entry, then their weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readFileTensor } from "../../compile/fileTensors.js";
import { ADAPTER_WEIGHTS_FILE } from "../../model/adapterFiles.js";
import { PeftModel, openCheckpoint } from "../../model/index.js";
import { readSafetensors, type TensorEntry } from "../../model/safetensors.js";
import type { Trainer } from "../loop/trainer.js";
import { type LogEntry, logWithoutTimes } from "../loop/trainerState.js";
import type { RunResults } from "./runManifest.js";

export interface Verdict {
  readonly verdict: "identical" | "within tolerance" | "different";
  /** The verdict with its evidence, one line. */
  readonly message: string;
  /** The largest difference, relative where a value is above 1, and where it is; null where nothing can be subtracted. */
  readonly largest: { readonly difference: number; readonly step: number; readonly name: string } | null;
}

interface Run {
  readonly dir: string;
  readonly log: readonly LogEntry[];
  readonly results: RunResults;
}

interface Difference {
  readonly difference: number;
  readonly step: number;
  readonly name: string;
  readonly then: number | undefined;
  readonly now: number | undefined;
}

/** @param again the repetition, trained and saved */
export async function compareRuns(run: Run, again: Trainer, tolerance: number): Promise<Verdict> {
  const results = again.manifest!.results!;
  const log = logWithoutTimes(again.state.log_history).slice(...results.log_entries);
  if (results.weights_sha256 === run.results.weights_sha256 && results.log_sha256 === run.results.log_sha256) {
    const largest = { difference: 0, step: results.global_step, name: "loss" };
    return {
      verdict: "identical",
      message: `identical: ${log.length} log entries and the weights of ${results.global_step} steps`,
      largest,
    };
  }
  const differences = compareLogs(run.log, log);
  const first = firstBeyond(differences, tolerance);
  if (first !== undefined)
    return different(
      first,
      differences.find((each) => each.name === "loss" && each.difference > tolerance),
      largestOf(differences),
    );
  if (results.weights_sha256 === run.results.weights_sha256) return within(largestOf(differences), "the weights are identical");
  const weights = await compareWeights(run.dir, again, results.global_step);
  if (weights === undefined)
    return within(largestOf(differences), `the weights differ, by how much cannot be told: ${run.dir} does not hold them`);
  const all = [...differences, ...weights];
  const worst = firstBeyond(weights, tolerance);
  return worst === undefined ? within(largestOf(all), "weights included") : different(worst, undefined, largestOf(all));
}

/** @param loss the first loss that differs: what most people ask for, where something else differed before */
function different(first: Difference, loss: Difference | undefined, largest: Verdict["largest"]): Verdict {
  const show = ({ step, name, then, now }: Difference): string => `first at step ${step}: ${name} ${then ?? "none"} vs ${now ?? "none"}`;
  const later = loss === undefined || loss === first ? "" : `; loss ${show(loss).replace("loss ", "")}`;
  return { verdict: "different", message: `different, ${show(first)}${later}`, largest };
}

function within(largest: Verdict["largest"], weights: string): Verdict {
  const { difference, step, name } = largest ?? { difference: 0, step: 0, name: "loss" };
  const message = `within tolerance (largest difference ${difference.toExponential(1)} at step ${step}: ${name}; ${weights})`;
  return { verdict: "within tolerance", message, largest };
}

/** Every value of both logs, in the order of the steps; the loss first within an entry. */
function compareLogs(then: readonly LogEntry[], now: readonly LogEntry[]): Difference[] {
  const all: Difference[] = [];
  for (let i = 0; i < Math.max(then.length, now.length); i++) {
    const [a, b] = [then[i] ?? {}, now[i] ?? {}];
    const step = a["step"] ?? b["step"] ?? 0;
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort((x, y) => Number(y === "loss") - Number(x === "loss"));
    for (const name of names) all.push({ step, name, then: a[name], now: b[name], difference: distance(a[name], b[name]) });
  }
  return all;
}

/** |a − b|, relative to |a| above 1; infinite where only one is there or one is NaN. */
function distance(a: number | undefined, b: number | undefined): number {
  if (Object.is(a, b)) return 0;
  if (a === undefined || b === undefined) return Infinity;
  const difference = Math.abs(a - b) / Math.max(1, Math.abs(a));
  return Number.isNaN(difference) ? Infinity : difference;
}

function firstBeyond(differences: readonly Difference[], tolerance: number): Difference | undefined {
  return differences.find(({ difference }) => difference > tolerance);
}

function largestOf(differences: readonly Difference[]): Verdict["largest"] {
  const finite = differences.filter(({ difference }) => Number.isFinite(difference));
  if (finite.length === 0) return null;
  const { difference, step, name } = finite.reduce((most, each) => (each.difference > most.difference ? each : most));
  return { difference, step, name };
}

/** The largest difference of every saved tensor; undefined where the run's folder does not hold the same tensors. */
async function compareWeights(dir: string, again: Trainer, step: number): Promise<Difference[] | undefined> {
  const read = async (folder: string): Promise<ReadonlyMap<string, TensorEntry> | undefined> => {
    if (!(again.model instanceof PeftModel))
      return existsSync(join(folder, "config.json")) ? (await openCheckpoint(folder)).tensors : undefined;
    const file = join(folder, ADAPTER_WEIGHTS_FILE);
    return existsSync(file) ? readSafetensors(file).tensors : undefined;
  };
  const [then, now] = [await read(dir), await read(again.args.output_dir)];
  if (then === undefined || now === undefined || [...now.keys()].some((name) => !then.has(name))) return undefined;
  return [...now].map(([name, entry]) => {
    const [a, b] = [readFileTensor(then.get(name)!), readFileTensor(entry)];
    let worst: Difference = { step, name, then: a[0], now: b[0], difference: a.length === b.length ? 0 : Infinity };
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const difference = distance(a[i], b[i]);
      if (difference > worst.difference) worst = { step, name, then: a[i], now: b[i], difference };
    }
    return worst;
  });
}
