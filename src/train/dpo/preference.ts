/**
 * What a preference trainer minimises, and everything about it that the other files ask: whether it needs a reference, whether
 * it couples the pairs of a batch, what a pair's programs compute for it, and what is logged. DPO, CPO and ORPO differ in this only.
 */
import { tf } from "../../compile/index.js";
import type { BatchMetrics } from "../loop/logWindow.js";
import type { CPOOptions } from "../options/cpoConfig.js";
import { type DPOOptions, SORTING } from "../options/dpoConfig.js";
import type { ORPOOptions } from "../options/orpoConfig.js";
import { lossKey } from "../options/lossKey.js";
import type { DPOLossFunction, PairLogps } from "../options/preferenceLoss.js";
import { type PairParts, scoredTokens } from "../sequence/pairLayout.js";
import { requireOneAPair } from "./batchLoss.js";
import { DPO_LOSSES } from "./losses.js";
import { type PairScores, type PreparedPair, type ReferenceLogps, type SideValues, batchMetrics } from "./pairBatch.js";
import { cpoLoss, isPerToken, logOddsOf, orpoLoss } from "./policyLosses.js";

export interface Preference {
  /** For messages, e.g. "DPOTrainer". */
  readonly trainer: string;
  /** Loss of each pair, shape [P]. Without `reference` it looks at no reference log-probs. @throws ConfigError `loss_shape` */
  readonly loss: (logps: PairLogps) => tf.Tensor1D;
  /** Whether the loss needs the reference's log-probs. */
  readonly reference: boolean;
  /** Whether a pair's loss may depend on the other pairs of its batch; if not, the loss is part of each pair's gradient program. */
  readonly coupled: boolean;
  /** Whether the loss was written by the user: `tryLoss` tries it at the start. */
  readonly written: boolean;
  /** What the loss depends on (`lossKey`); undefined for one that a user wrote. */
  readonly key: unknown;
  readonly parts: PairParts;
  /** What TRL logs for a micro-batch, by its names. @param references as many as pairs, or none without `reference` */
  metrics(pairs: readonly PreparedPair[], scores: readonly PairScores[], references: readonly ReferenceLogps[]): BatchMetrics;
}

/** DPO with the named losses, each times its weight, or with the user's function; with `use_weighting` times WPO's weights. */
export function dpoPreference(args: DPOOptions): Preference {
  const { loss_type, loss_weights, use_weighting, beta } = args;
  const losses = typeof loss_type === "function" ? [checked(loss_type)] : loss_type.map((name) => DPO_LOSSES[name]);
  const total = (logps: PairLogps): tf.Tensor1D =>
    losses.map((loss, i) => times(loss(logps, args), loss_weights?.[i] ?? 1)).reduce((sum, values) => tf.add(sum, values));
  return {
    trainer: "DPOTrainer",
    // WPO, arXiv:2406.11827 eq. 2. TRL weighs `sft` by the batch's mean weight where it could compute it; here each pair has its own.
    loss: use_weighting ? (logps) => tf.mul(total(logps), tf.mul(logps.chosenWeights!, logps.rejectedWeights!)) : total,
    reference: true,
    coupled: typeof loss_type === "function" || loss_type.some((name) => SORTING.has(name)),
    written: typeof loss_type === "function",
    key: lossKey(args),
    parts: { ldAlpha: args.ld_alpha, weights: use_weighting, prompt: false },
    metrics: (pairs, scores, references) =>
      batchMetrics(
        pairs,
        scores,
        scores.map(({ chosenLogps, rejectedLogps }, i) => ({
          chosenReward: beta * (chosenLogps - references[i]!.chosen),
          rejectedReward: beta * (rejectedLogps - references[i]!.rejected),
          chosenLogps,
          rejectedLogps,
        })),
      ),
  };
}

/** CPO, SimPO and AlphaPO. Logged log-probs and rewards are per token where the loss's are, as in TRL. */
export function cpoPreference(args: CPOOptions): Preference {
  const { beta, alpha, cpo_alpha } = args;
  const reward = (logp: number): number => beta * (alpha === 0 ? logp : -Math.expm1(-alpha * logp) / alpha);
  return {
    ...withoutReference(false),
    trainer: "CPOTrainer",
    key: lossKey(args),
    loss: (logps) => cpoLoss(logps, args),
    metrics: (pairs, scores) => {
      const sides = isPerToken(args.loss_type) ? logpsPerToken(pairs, scores) : scores;
      const values = sides.map(({ chosenLogps, rejectedLogps }) => ({
        chosenReward: reward(chosenLogps),
        rejectedReward: reward(rejectedLogps),
        chosenLogps,
        rejectedLogps,
      }));
      return { ...batchMetrics(pairs, scores, values), nll_loss: cpo_alpha === 0 ? 0 : meanNll(pairs, scores) };
    },
  };
}

/** ORPO. Logged log-probs and rewards are per token, as in TRL; `log_odds_ratio` is the mean of log σ(log odds). */
export function orpoPreference({ beta }: Pick<ORPOOptions, "beta">): Preference {
  return {
    ...withoutReference(true),
    trainer: "ORPOTrainer",
    key: { beta },
    loss: (logps) => orpoLoss(logps, { beta }),
    metrics: (pairs, scores) => {
      const sides = logpsPerToken(pairs, scores);
      const values = sides.map((side) => ({
        ...side,
        chosenReward: beta * side.chosenLogps,
        rejectedReward: beta * side.rejectedLogps,
      }));
      const odds = sides.map(({ chosenLogps, rejectedLogps }) => logOddsOf(chosenLogps, rejectedLogps));
      return {
        ...batchMetrics(pairs, scores, values),
        nll_loss: meanNll(pairs, scores),
        log_odds_ratio: mean(odds.map(logSigmoid)),
        log_odds_chosen: mean(odds),
      };
    },
  };
}

function withoutReference(prompt: boolean) {
  return { reference: false, coupled: false, written: false, parts: { ldAlpha: null, weights: false, prompt } } as const;
}

/** A user's function whose result is checked before anything is done with it. */
function checked(loss: DPOLossFunction): DPOLossFunction {
  return (logps, options) => {
    const values: unknown = loss(logps, options);
    requireOneAPair(values, logps.policyChosen.shape[0]);
    return values;
  };
}

function times(values: tf.Tensor1D, weight: number): tf.Tensor1D {
  return weight === 1 ? values : tf.mul(values, weight);
}

function logpsPerToken(pairs: readonly PreparedPair[], scores: readonly PairScores[]): Pick<SideValues, "chosenLogps" | "rejectedLogps">[] {
  return scores.map(({ chosenLogps, rejectedLogps }, i) => {
    const tokens = scoredTokens(pairs[i]!.layout);
    return { chosenLogps: chosenLogps / Math.max(1, tokens.chosen), rejectedLogps: rejectedLogps / Math.max(1, tokens.rejected) };
  });
}

function meanNll(pairs: readonly PreparedPair[], scores: readonly PairScores[]): number {
  const tokens = pairs.map(({ layout }) => scoredTokens(layout)).reduce((sum, { chosen, prompt }) => sum + chosen + prompt, 0);
  return scores.reduce((sum, { chosenNll }) => sum + chosenNll, 0) / Math.max(1, tokens);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}
