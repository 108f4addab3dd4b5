/** Runs the pairs of a micro-batch through a model and gathers what TRL logs. */
import type { HostTensors, Program } from "../../compile/index.js";
import type { BatchMetrics } from "../loop/logWindow.js";
import type { Qwen2Config } from "../../model/index.js";
import { type Bucket, type PairLayout, pairInputs } from "../sequence/pairLayout.js";

/** A pair that is ready to run. */
export interface PreparedPair {
  /** Made at each look, as its program inputs are at each run: those of all pairs at once would fill the memory. */
  readonly layout: PairLayout;
  readonly bucket: Bucket;
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

/** Scores pairs without gradient. @param config of the program's model */
export async function scorePairs(program: Program, pairs: readonly PreparedPair[], config: Qwen2Config): Promise<PairScores[]> {
  const scores: PairScores[] = [];
  for (const { layout, bucket } of pairs) scores.push(pairScores(await program.run(pairInputs(layout, bucket, config))));
  return scores;
}

/** The reference's log-probs of pairs. @param program made without metrics */
export async function scoreReference(
  program: Program,
  pairs: readonly PreparedPair[],
  config: Qwen2Config,
  onPair: () => void,
): Promise<ReferenceLogps[]> {
  const references: ReferenceLogps[] = [];
  for (const { layout, bucket } of pairs) {
    const { chosenLogps, rejectedLogps } = await program.run(pairInputs(layout, bucket, config));
    references.push({ chosen: chosenLogps!.data[0]!, rejected: rejectedLogps!.data[0]! });
    onPair();
  }
  return references;
}

/** The values TRL logs for one micro-batch, by its names. `rewards/*` are beta · (policy − reference). */
export function batchMetrics(
  pairs: readonly PreparedPair[],
  scores: readonly PairScores[],
  references: readonly ReferenceLogps[],
  beta: number,
): BatchMetrics {
  const sum = (of: (scores: PairScores, i: number) => number): number => scores.reduce((total, score, i) => total + of(score, i), 0);
  const mean = (of: (scores: PairScores, i: number) => number): number => sum(of) / scores.length;
  const rejectedTokens = pairs.reduce((total, { layout }) => total + layout.rejected.reduce<number>((count, side) => count + side, 0), 0);
  const allTokens = pairs.reduce((total, { layout }) => total + layout.rejected.length, 0);
  const chosenTokens = allTokens - rejectedTokens;
  const chosenReward = (score: PairScores, i: number): number => beta * (score.chosenLogps - references[i]!.chosen);
  const rejectedReward = (score: PairScores, i: number): number => beta * (score.rejectedLogps - references[i]!.rejected);
  return {
    entropy: perToken(
      sum(({ entropy }) => entropy),
      allTokens,
    ),
    "logits/chosen": perToken(
      sum(({ chosenLogits }) => chosenLogits),
      chosenTokens,
    ),
    "logits/rejected": perToken(
      sum(({ rejectedLogits }) => rejectedLogits),
      rejectedTokens,
    ),
    mean_token_accuracy: perToken(
      sum(({ correct }) => correct),
      chosenTokens,
    ),
    "rewards/chosen": mean(chosenReward),
    "rewards/rejected": mean(rejectedReward),
    // Strictly greater: a tie counts as wrong.
    "rewards/accuracies": mean((score, i) => (chosenReward(score, i) > rejectedReward(score, i) ? 1 : 0)),
    "rewards/margins": mean((score, i) => chosenReward(score, i) - rejectedReward(score, i)),
    "logps/chosen": mean(({ chosenLogps }) => chosenLogps),
    "logps/rejected": mean(({ rejectedLogps }) => rejectedLogps),
  };
}

/** 0 when no token is scored, as TRL logs it: a prompt is empty and the completion one token. */
function perToken(sum: number, tokens: number): number {
  return tokens === 0 ? 0 : sum / tokens;
}
