/** The two sides in turns: ratios are within a round, medians over rounds. */
import { median } from "../../scripts/compare/report.js";
import { type Bench, type Beside, type PreflabWork, stepSeconds } from "./bench.js";
import type { Measured, TrlSetting } from "./requests.js";
import { type TrlOutcome, wasKilled } from "./sides.js";

/** A measurement as a rate. */
export interface Rate {
  readonly pairs_per_second: number;
  /** Plain sgemm beside it, GFLOP/s. */
  readonly sgemm: number;
}

export interface Round {
  /** By the name of TRL's setting; none without Python, or when TRL was stopped. */
  readonly trl: Readonly<Record<string, Rate>>;
  /** By the name of the variant. */
  readonly preflab: Readonly<Record<string, Rate>>;
}

/** What `takeTurns` gives. */
export interface Turns {
  readonly rounds: readonly Round[];
  /** Preflab's measurements by variant. */
  readonly preflab: Readonly<Record<string, readonly Beside<Measured>[]>>;
  /** By the name of TRL's setting. */
  readonly trl: Readonly<Record<string, TrlRuns>>;
}

interface TrlRuns {
  readonly measured: readonly Measured[];
  /** Why TRL was stopped, in the round in which it was; it is not tried again. */
  readonly killed: string | undefined;
}

/**
 * How often Preflab made TRL's pairs a second, one number a round: as measured, and as if plain sgemm had been equally fast beside both.
 * @param setting name of TRL's
 */
export function ratios(rounds: readonly Round[], variant: string, setting: string): { measured: number[]; atEqualSgemm: number[] } {
  const both = rounds.flatMap(({ trl: all, preflab }) => {
    const [trl, own] = [all[setting], preflab[variant]];
    return trl === undefined || own === undefined ? [] : [{ trl, own }];
  });
  const measured = both.map(({ trl, own }) => own.pairs_per_second / trl.pairs_per_second);
  return { measured, atEqualSgemm: both.map(({ trl, own }, i) => (measured[i]! * trl.sgemm) / own.sgemm) };
}

export function rateOf({ result, sgemm }: Beside<Measured>, pairs: number): Rate {
  return { pairs_per_second: pairs / stepSeconds(result), sgemm };
}

/** Median rate of a variant, in pairs a second. */
export function medianRate(rounds: readonly Round[], variant: string): number {
  return median(rounds.flatMap(({ preflab }) => preflab[variant]?.pairs_per_second ?? []));
}

export interface Turn {
  /** The case, for the log. */
  readonly label: string;
  /** Settings by name, each with its work. */
  readonly trl: Readonly<Record<string, { readonly setting: TrlSetting; readonly work: Parameters<Bench["trl"]>[1] }>>;
  readonly variants: Readonly<Record<string, PreflabWork>>;
}

/** TRL in each of its settings, then each variant of Preflab, as many rounds as asked for. */
export async function takeTurns(bench: Bench, { label, trl, variants }: Turn): Promise<Turns> {
  const rounds: Round[] = [];
  const preflab: Record<string, Beside<Measured>[]> = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
  const runs: Record<string, { measured: Measured[]; killed: string | undefined }> = {};
  for (const name of Object.keys(trl)) runs[name] = { measured: [], killed: undefined };
  for (let round = 1; round <= bench.options.rounds; round++) {
    const rates: Record<string, Rate> = {};
    for (const [name, { setting, work }] of Object.entries(trl)) {
      const kept = runs[name]!;
      if (kept.killed !== undefined) continue;
      const other: Beside<TrlOutcome> | undefined = await bench.trl(`${label}, ${name}, round ${round}`, work, setting);
      if (other === undefined) continue;
      if (wasKilled(other.result)) kept.killed = other.result.killed;
      else {
        kept.measured.push(other.result);
        const pairs = setting.per_device_train_batch_size * setting.gradient_accumulation_steps;
        rates[name] = rateOf({ ...other, result: other.result }, pairs);
      }
    }
    const own: Record<string, Rate> = {};
    for (const [name, work] of Object.entries(variants)) {
      const one = await bench.preflab(`${name}, round ${round}`, work);
      preflab[name]!.push(one);
      own[name] = rateOf(one, work.pairs);
    }
    rounds.push({ trl: rates, preflab: own });
  }
  return { rounds, preflab, trl: runs };
}
