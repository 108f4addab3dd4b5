/** What a micro-batch's rows gave, the KL estimate, and what TRL logs. */
import type { HostTensors } from "../../compile/index.js";
import type { BatchMetrics } from "../loop/logWindow.js";
import type { PreparedRow } from "./preparedRows.js";

/** What one row's run returns: sums over the scored tokens of its own completion. */
export interface RowScores {
  readonly logps: number;
  readonly entropy: number;
  readonly logits: number;
}

/** The reference's log-probs of a row's own and its mismatched completion; the latter 0 without a KL estimate. */
export interface ReferenceLogps {
  readonly own: number;
  readonly mismatched: number;
}

/** @param place of the row in its run */
export function rowScores(outputs: HostTensors, place: number): RowScores {
  const number = (name: string): number => outputs[name]!.data[place]!;
  return { logps: number("logps"), entropy: number("entropy"), logits: number("logits") };
}

/** max(0, mean of policy − reference on the mismatched completions), in nats: how far the policy is from the reference (z_0 of arXiv:2402.01306). */
export function klEstimate(policy: readonly number[], references: readonly ReferenceLogps[]): number {
  const sum = policy.reduce((total, logps, i) => total + logps - references[i]!.mismatched, 0);
  return Math.max(0, sum / policy.length);
}

/** The values TRL logs for one micro-batch, by its names; those of a label that no row has are left out. `rewards/*` are beta · (policy − reference). */
export function rowMetrics(
  rows: readonly PreparedRow[],
  scores: readonly RowScores[],
  references: readonly ReferenceLogps[],
  kl: number,
  beta: number,
): BatchMetrics {
  const indices = (label: boolean): number[] => [...rows.keys()].filter((i) => rows[i]!.label === label);
  const tokens = (of: readonly number[]): number => of.reduce((sum, i) => sum + rows[i]!.scored, 0);
  const sum = (of: readonly number[], value: (i: number) => number): number => of.reduce((total, i) => total + value(i), 0);
  const reward = (i: number): number => beta * (scores[i]!.logps - references[i]!.own);
  const all = [...rows.keys()];
  const metrics: BatchMetrics = {
    kl,
    // TRL logs 0 when no token is scored.
    entropy: tokens(all) === 0 ? 0 : sum(all, (i) => scores[i]!.entropy) / tokens(all),
  };
  for (const [side, label] of [
    ["chosen", true],
    ["rejected", false],
  ] as const) {
    const of = indices(label);
    if (tokens(of) > 0) metrics[`logits/${side}`] = sum(of, (i) => scores[i]!.logits) / tokens(of);
    if (of.length === 0) continue;
    metrics[`rewards/${side}`] = sum(of, reward) / of.length;
    metrics[`logps/${side}`] = sum(of, (i) => scores[i]!.logps) / of.length;
  }
  const [chosen, rejected] = [metrics["rewards/chosen"], metrics["rewards/rejected"]];
  if (chosen !== undefined && rejected !== undefined) metrics["rewards/margins"] = chosen - rejected;
  return metrics;
}
