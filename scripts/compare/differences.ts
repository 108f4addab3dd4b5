/** Two logs of the same steps, value by value. */
import { PreflabError } from "../../src/errors.js";
import type { LogEntry } from "../../src/train/index.js";

/** The largest difference of one logged value over all steps. */
export interface LargestDifference {
  readonly name: string;
  /** |TRL − Preflab|; NaN when only one of them is a number. */
  readonly absolute: number;
  /** The same as a share of the larger of the two magnitudes. */
  readonly relative: number;
  /** The step of the largest absolute difference. */
  readonly step: number;
}

export interface LogComparison {
  /** Values that both log, in TRL's order. */
  readonly differences: LargestDifference[];
  readonly onlyTrl: string[];
  readonly onlyPreflab: string[];
}

/** Equal values differ by 0, two infinities or two NaN too. */
export function difference(trl: number, preflab: number): number {
  return Object.is(trl, preflab) ? 0 : Math.abs(trl - preflab);
}

/** @throws PreflabError `steps_differ` when the two logs are not of the same steps */
export function compareLogs(trl: readonly LogEntry[], preflab: readonly LogEntry[]): LogComparison {
  const steps = (log: readonly LogEntry[]): string => log.map((entry) => entry["step"]).join(", ");
  if (steps(trl) !== steps(preflab))
    throw new PreflabError("steps_differ", `compare-with-trl: both must log the same steps, got ${steps(trl)} and ${steps(preflab)}`);
  const names = (log: readonly LogEntry[]): string[] => [...new Set(log.flatMap((entry) => Object.keys(entry)))];
  const [left, right] = [names(trl), names(preflab)];
  return {
    differences: left.filter((name) => name !== "step" && right.includes(name)).map((name) => largest(name, trl, preflab)),
    onlyTrl: left.filter((name) => !right.includes(name)),
    onlyPreflab: right.filter((name) => !left.includes(name)),
  };
}

function largest(name: string, trl: readonly LogEntry[], preflab: readonly LogEntry[]): LargestDifference {
  let worst: LargestDifference = { name, absolute: 0, relative: 0, step: trl[0]!["step"]! };
  trl.forEach((entry, i) => {
    const [a, b] = [entry[name], preflab[i]![name]];
    if (a === undefined && b === undefined) return;
    const absolute = difference(a ?? NaN, b ?? NaN);
    // A NaN stays, whatever follows.
    if (Number.isNaN(worst.absolute) || absolute <= worst.absolute) return;
    const relative = absolute === 0 ? 0 : absolute / Math.max(Math.abs(a ?? NaN), Math.abs(b ?? NaN));
    worst = { name, absolute, relative, step: entry["step"]! };
  });
  return worst;
}
