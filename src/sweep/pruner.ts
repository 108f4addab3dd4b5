/** Ending trials early whose values so far are poor. */
import { ConfigError } from "../errors.js";
import type { Claim, Ledger } from "./ledger.js";

/**
 * asha: asynchronous successive halving, arXiv:1810.05934. At steps `min_step`, `min_step · reduction_factor`, … a trial goes on if it is
 * among the best 1/reduction_factor of those that came so far. median: a trial goes on while its best value is at least the median of what
 * complete trials had at the same step. Both decide as Optuna's SuccessiveHalvingPruner and MedianPruner do.
 */
export type PrunerInput =
  | "asha"
  | "median"
  | { readonly type: "asha"; readonly min_step?: number; readonly reduction_factor?: number }
  | { readonly type: "median"; readonly startup_trials?: number; readonly warmup_steps?: number };

export interface Pruner {
  /** Why the trial should end now, or undefined. @param step of its latest report */
  verdict(claim: Claim, step: number, value: number): string | undefined;
}

/** @throws ConfigError `sweep_pruner` */
export function createPruner(input: PrunerInput, ledger: Ledger, maximize: boolean): Pruner {
  const given = typeof input === "string" ? { type: input } : input;
  switch (given.type) {
    case "asha": {
      const { min_step = 1, reduction_factor = 4 } = given as { min_step?: number; reduction_factor?: number };
      requireWhole("min_step", min_step, 1);
      requireWhole("reduction_factor", reduction_factor, 2);
      return asha(ledger, maximize, min_step, reduction_factor);
    }
    case "median": {
      const { startup_trials = 5, warmup_steps = 0 } = given as { startup_trials?: number; warmup_steps?: number };
      requireWhole("startup_trials", startup_trials, 1);
      requireWhole("warmup_steps", warmup_steps, 0);
      return median(ledger, maximize, startup_trials, warmup_steps);
    }
    default:
      throw new ConfigError(
        "sweep_pruner",
        `sweep: pruner must be asha or median, got ${JSON.stringify(input)}; leave it out to end no trial early`,
      );
  }
}

function requireWhole(name: string, value: unknown, least: number): void {
  if (!Number.isInteger(value) || (value as number) < least)
    throw new ConfigError("sweep_pruner", `sweep: pruner's ${name} must be an integer >= ${least}, got ${JSON.stringify(value)}`);
}

function asha(ledger: Ledger, maximize: boolean, minStep: number, factor: number): Pruner {
  return {
    verdict(claim, step, value) {
      for (let rung = 0; minStep * factor ** rung <= step; rung++) {
        const place = ledger.rung(claim, rung, value, maximize);
        // Judged once, when it comes: who went on is not called back by those that come later.
        if (place === undefined) continue;
        const { values, better } = place;
        // At least one may go on.
        const places = Math.max(1, Math.floor(values / factor));
        if (better >= places)
          return `asha: at step ${step} its value is number ${better + 1} of ${values}, and the best ${places === 1 ? "one goes" : `${places} go`} on`;
      }
      return undefined;
    },
  };
}

function median(ledger: Ledger, maximize: boolean, startup: number, warmup: number): Pruner {
  return {
    verdict(claim, step) {
      if (step <= warmup || ledger.counts().complete < startup) return undefined;
      const others = ledger.valuesAt(step).sort((a, b) => a - b);
      if (others.length < startup) return undefined;
      const middle = (others[Math.floor((others.length - 1) / 2)]! + others[Math.ceil((others.length - 1) / 2)]!) / 2;
      const own = ledger.reports(claim.number).map(([, value]) => value);
      const best = own.reduce((a, b) => (maximize ? Math.max(a, b) : Math.min(a, b)));
      const worse = maximize ? best < middle : best > middle;
      return worse
        ? `median: at step ${step} its best value ${best.toPrecision(4)} is behind the median ${middle.toPrecision(4)}`
        : undefined;
    },
  };
}
