/** Runs the pairs of a micro-batch through a model and gathers what TRL logs. */
import type { HostTensors, Program } from "../compile/index.js";
import { type Bucket, type PairLayout } from "./pairLayout.js";

/** A pair that is ready to run. */
export interface PreparedPair {
  readonly layout: PairLayout;
  readonly bucket: Bucket;
  readonly inputs: HostTensors;
  /** For errors: file and row. */
  readonly origin: string;
}

/** What one pair's run returns: sums over its scored tokens. */
export interface PairScores {
  readonly chosenLogps: number;
  readonly rejectedLogps: number;
  readonly entropy: number;
  readonly correct: number;
  readonly chosenLogits: number;
  readonly rejectedLogits: number;
}

export interface ReferenceLogps {
  readonly chosen: number;
  readonly rejected: number;
}

export function pairScores(outputs: HostTensors): PairScores {
  const number = (name: string): number => outputs[name]!.data[0]!;
  return {
    chosenLogps: number("chosenLogps"),
    rejectedLogps: number("rejectedLogps"),
    entropy: number("entropy"),
    correct: number("correct"),
    chosenLogits: number("chosenLogits"),
    rejectedLogits: number("rejectedLogits"),
  };
}

/** Scores pairs without gradient, e.g. for the reference. */
export async function scorePairs(program: Program, pairs: readonly PreparedPair[], onPair?: () => void): Promise<PairScores[]> {
  const scores: PairScores[] = [];
  for (const { inputs } of pairs) {
    scores.push(pairScores(await program.run(inputs)));
    onPair?.();
  }
  return scores;
}

/** The values TRL logs for one micro-batch, by its names. `rewards/*` are beta · (policy − reference). */
export type BatchMetrics = Record<string, number>;

export function batchMetrics(pairs: readonly PreparedPair[], scores: readonly PairScores[], references: readonly ReferenceLogps[], beta: number): BatchMetrics {
  const sum = (of: (scores: PairScores, i: number) => number): number => scores.reduce((total, score, i) => total + of(score, i), 0);
  const mean = (of: (scores: PairScores, i: number) => number): number => sum(of) / scores.length;
  const rejectedTokens = pairs.reduce((total, { layout }) => total + layout.rejected.reduce<number>((count, side) => count + side, 0), 0);
  const allTokens = pairs.reduce((total, { layout }) => total + layout.rejected.length, 0);
  const chosenTokens = allTokens - rejectedTokens;
  const chosenReward = (score: PairScores, i: number): number => beta * (score.chosenLogps - references[i]!.chosen);
  const rejectedReward = (score: PairScores, i: number): number => beta * (score.rejectedLogps - references[i]!.rejected);
  return {
    entropy: sum(({ entropy }) => entropy) / allTokens,
    "logits/chosen": sum(({ chosenLogits }) => chosenLogits) / chosenTokens,
    "logits/rejected": sum(({ rejectedLogits }) => rejectedLogits) / rejectedTokens,
    mean_token_accuracy: sum(({ correct }) => correct) / chosenTokens,
    "rewards/chosen": mean(chosenReward),
    "rewards/rejected": mean(rejectedReward),
    // Strictly greater: a tie counts as wrong.
    "rewards/accuracies": mean((score, i) => (chosenReward(score, i) > rejectedReward(score, i) ? 1 : 0)),
    "rewards/margins": mean((score, i) => chosenReward(score, i) - rejectedReward(score, i)),
    "logps/chosen": mean(({ chosenLogps }) => chosenLogps),
    "logps/rejected": mean(({ rejectedLogps }) => rejectedLogps),
  };
}

/** Plain means of micro-batch values, as TRL averages them between two log entries. */
export class MeanOfBatches {
  #sums: BatchMetrics = {};
  #count = 0;

  add(metrics: BatchMetrics): void {
    this.#count++;
    for (const [name, value] of Object.entries(metrics)) this.#sums[name] = (this.#sums[name] ?? 0) + value;
  }

  /** The means since the last call. */
  take(): BatchMetrics {
    const means = Object.fromEntries(Object.entries(this.#sums).map(([name, value]) => [name, value / this.#count]));
    this.#sums = {};
    this.#count = 0;
    return means;
  }
}
