/**
 * Preference losses without a reference: CPO with SimPO and AlphaPO, and ORPO; equal to TRL's experimental CPOTrainer and
 * ORPOTrainer. Writing l_c, l_r for the policy's log-probs (of the whole completion, or per scored token where a loss says so).
 */
import { tf } from "../../compile/index.js";
import type { CPOOptions } from "../options/cpoConfig.js";
import type { PolicyLogps } from "../options/preferenceLoss.js";
import { LARGEST_SQUARED, expm1 } from "./divergence.js";

type Column = tf.Tensor1D;
type CPOLossOptions = Pick<CPOOptions, "loss_type" | "beta" | "label_smoothing" | "cpo_alpha" | "simpo_gamma" | "alpha">;

/** TRL averages the log-probs over tokens for these. */
export function isPerToken(loss_type: CPOOptions["loss_type"]): boolean {
  return loss_type === "ipo" || loss_type === "simpo";
}

/** The mean negative log-likelihood of the batch's chosen tokens, spread over the pairs. */
function nll({ chosenNll, nllTokens }: PolicyLogps): Column {
  return tf.div(chosenNll, nllTokens);
}

function perToken({ policyChosen, policyRejected, chosenTokens, rejectedTokens }: PolicyLogps): [Column, Column] {
  return [tf.div(policyChosen, tf.maximum(chosenTokens, 1)), tf.div(policyRejected, tf.maximum(rejectedTokens, 1))];
}

/** AlphaPO's reward, arXiv:2501.03884: (1 − p^−α) / α of a log-prob, which is the log-prob itself at α = 0. */
function shaped(logps: Column, alpha: number, largest?: number): Column {
  return alpha === 0 ? logps : tf.div(expm1(tf.mul(logps, -alpha), largest), -alpha);
}

/**
 * CPO, arXiv:2401.08417 eq. 3, with x = b (l_c − l_r): the smoothed sigmoid (1−e) · −log σ(x) + e · −log σ(−x), hinge
 * max(0, 1 − x), or ipo (l_c − l_r − 1/(2b))² per token; plus cpo_alpha times the negative log-likelihood a token of chosen.
 * loss_type simpo is SimPO, arXiv:2405.14734 eq. 6: the smoothed sigmoid of x − simpo_gamma, per token.
 * With alpha, log-probs become AlphaPO's rewards first.
 * @returns shape [P]
 */
export function cpoLoss(logps: PolicyLogps, options: CPOLossOptions): Column {
  const { loss_type, beta, label_smoothing: e, cpo_alpha, simpo_gamma, alpha } = options;
  const sides = isPerToken(loss_type) ? perToken(logps) : [logps.policyChosen, logps.policyRejected];
  const [chosen, rejected] = sides.map((side) => shaped(side, alpha, loss_type === "ipo" ? LARGEST_SQUARED : undefined)) as [
    Column,
    Column,
  ];
  const gap = tf.sub(chosen, rejected) as Column;
  const preference = (): Column => {
    const x = tf.mul(gap, beta) as Column;
    if (loss_type === "hinge") return tf.relu(tf.sub(1, x));
    if (loss_type === "ipo") return tf.square(tf.sub(gap, 1 / (2 * beta)));
    const shifted = loss_type === "simpo" ? (tf.sub(x, simpo_gamma) as Column) : x;
    return tf.add(tf.mul(tf.softplus(tf.neg(shifted)), 1 - e), tf.mul(tf.softplus(shifted), e));
  };
  return cpo_alpha === 0 ? preference() : tf.add(preference(), tf.mul(nll(logps), cpo_alpha));
}

/** Log-probs a token above this count as this: the odds of a certain completion are infinite. */
const MOST_CERTAIN = -1e-6;

/** log (p / (1 − p)) of log p ≤ 0. */
function logOdds(logp: Column): Column {
  const l = tf.minimum(logp, MOST_CERTAIN) as Column;
  return tf.sub(l, tf.log(tf.neg(tf.expm1(l))));
}

/**
 * ORPO, arXiv:2403.07691 eq. 6 and 7: the negative log-likelihood a token of the chosen prompt and completion, plus
 * b · −log σ(log odds of l_c − log odds of l_r), with log-probs a scored token. @returns shape [P]
 */
export function orpoLoss(logps: PolicyLogps, { beta }: { readonly beta: number }): Column {
  const [chosen, rejected] = perToken(logps);
  const logOddsRatio = tf.sub(logOdds(chosen), logOdds(rejected));
  return tf.add(nll(logps), tf.mul(tf.softplus(tf.neg(logOddsRatio)), beta));
}

/** The number that `orpoLoss` and TRL's metrics call log odds, of one pair. @param chosen, rejected log-probs a token */
export function logOddsOf(chosen: number, rejected: number): number {
  const odds = (logp: number): number => Math.min(logp, MOST_CERTAIN) - Math.log(-Math.expm1(Math.min(logp, MOST_CERTAIN)));
  return odds(chosen) - odds(rejected);
}
