/** Runs the pairs of a micro-batch through a model and gathers what TRL logs. */
import type { HostTensors } from "../../compile/index.js";
import type { BatchMetrics } from "../loop/logWindow.js";
import { planRuns } from "../sequence/runs.js";
import type { SequenceProgram } from "../sequence/sequenceProgram.js";
import type { Qwen2Config } from "../../model/index.js";
import { NO_PARTS, type PairLayout, type PairParts, pairInputs, scoredTokens } from "../sequence/pairLayout.js";

/** A pair that is ready to run. */
export interface PreparedPair {
  /** Made at each look, as its program inputs are at each run: those of all pairs at once would fill the memory. */
  readonly layout: PairLayout;
  /** For errors: file and row. */
  readonly origin: string;
}

/** What one pair's run returns: sums over its scored tokens. */
export interface PairScores {
  /** Weighted by `ld_alpha`, if that is set. */
  readonly chosenLogps: number;
  readonly rejectedLogps: number;
  /** Negative log-likelihood of the chosen completion, with ORPO of its prompt too. */
  readonly chosenNll: number;
  readonly entropy: number;
  readonly correct: number;
  readonly chosenLogits: number;
  readonly rejectedLogits: number;
  /** WPO's weights, when the loss has them. */
  readonly chosenWeights?: number;
  readonly rejectedWeights?: number;
}

export interface ReferenceLogps {
  readonly chosen: number;
  readonly rejected: number;
}

/** @param place of the pair in its run */
export function pairScores(outputs: HostTensors, place = 0): PairScores {
  const number = (name: string): number => outputs[name]!.data[place]!;
  const weights =
    outputs["chosenWeights"] === undefined ? {} : { chosenWeights: number("chosenWeights"), rejectedWeights: number("rejectedWeights") };
  return {
    ...weights,
    chosenLogps: number("chosenLogps"),
    rejectedLogps: number("rejectedLogps"),
    chosenNll: number("chosenNll"),
    entropy: number("entropy"),
    correct: number("correct"),
    chosenLogits: number("chosenLogits"),
    rejectedLogits: number("rejectedLogits"),
  };
}

/** What `scorePairs` needs beside program and pairs. */
export interface PairScoring {
  /** Of the program's model. */
  readonly config: Qwen2Config;
  /** As the program was made with; default the log-probs alone. */
  readonly parts?: PairParts;
  /** As in `planRuns`. */
  readonly tokens_per_run: number;
}

/** Scores pairs without gradient. */
export async function scorePairs(
  program: SequenceProgram,
  pairs: readonly PreparedPair[],
  { config, parts = NO_PARTS, tokens_per_run }: PairScoring,
): Promise<PairScores[]> {
  const layouts = pairs.map(({ layout }) => layout);
  const scores: PairScores[] = [];
  for (const { form, rows } of planRuns(layouts, tokens_per_run)) {
    const inputs = pairInputs(
      rows.map((row) => layouts[row]!),
      form,
      config,
      parts,
    );
    const outputs = await program.run(inputs);
    for (const [place, row] of rows.entries()) scores[row] = pairScores(outputs, place);
  }
  return scores;
}

/** What a loss says about the two completions of a pair. */
export interface SideValues {
  readonly chosenReward: number;
  readonly rejectedReward: number;
  readonly chosenLogps: number;
  readonly rejectedLogps: number;
}

/** The values TRL logs for one micro-batch, by its names. @param sides of each pair, as the loss defines them */
export function batchMetrics(pairs: readonly PreparedPair[], scores: readonly PairScores[], sides: readonly SideValues[]): BatchMetrics {
  const sum = (of: (scores: PairScores) => number): number => scores.reduce((total, score) => total + of(score), 0);
  const mean = (of: (side: SideValues) => number): number => sides.reduce((total, side) => total + of(side), 0) / sides.length;
  const tokens = pairs.map(({ layout }) => scoredTokens(layout));
  const chosenTokens = tokens.reduce((total, { chosen }) => total + chosen, 0);
  const rejectedTokens = tokens.reduce((total, { rejected }) => total + rejected, 0);
  return {
    entropy: perToken(
      sum(({ entropy }) => entropy),
      chosenTokens + rejectedTokens,
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
    "rewards/chosen": mean(({ chosenReward }) => chosenReward),
    "rewards/rejected": mean(({ rejectedReward }) => rejectedReward),
    // Strictly greater: a tie counts as wrong.
    "rewards/accuracies": mean(({ chosenReward, rejectedReward }) => (chosenReward > rejectedReward ? 1 : 0)),
    "rewards/margins": mean(({ chosenReward, rejectedReward }) => chosenReward - rejectedReward),
    "logps/chosen": mean(({ chosenLogps }) => chosenLogps),
    "logps/rejected": mean(({ rejectedLogps }) => rejectedLogps),
  };
}

/** 0 when no token is scored, as TRL logs it: a prompt is empty and the completion one token. */
function perToken(sum: number, tokens: number): number {
  return tokens === 0 ? 0 : sum / tokens;
}
