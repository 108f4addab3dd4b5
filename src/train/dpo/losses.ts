/**
 * Preference losses: pure functions of log-probs, one value a pair, equal to TRL's of the same name. Writing r_c, r_r for the
 * log-ratios policy − reference of the chosen and the rejected completion, s_c, s_r for their divergence scores (the same
 * unless f_divergence_type says otherwise), d = s_c − s_r, b for beta, e for label_smoothing and σ for the logistic function.
 * −log σ(x) is written softplus(−x), which stays finite, as its slope does, for log-ratios of any size.
 */
import { tf } from "../../compile/index.js";
import type { DPOLossName } from "../options/dpoConfig.js";
import type { DPOLossOptions, PairLogps } from "../options/preferenceLoss.js";
import { LARGEST_SQUARED, divergenceScores } from "./divergence.js";

type Column = tf.Tensor1D;

/** A built-in loss; options that are not given have TRL's defaults. @returns shape [P] */
export type BuiltInLoss = (logps: PairLogps, options: Pick<DPOLossOptions, "beta"> & Partial<DPOLossOptions>) => Column;

/** −log σ(x). */
const nls = (x: Column): Column => tf.softplus(tf.neg(x));

/** r_c and r_r. */
function ratios({ policyChosen, policyRejected, referenceChosen, referenceRejected }: PairLogps): [Column, Column] {
  return [tf.sub(policyChosen, referenceChosen), tf.sub(policyRejected, referenceRejected)];
}

/** s_c and s_r. */
function scores(logps: PairLogps, options: Partial<DPOLossOptions>, largest?: number): [Column, Column] {
  const [chosen, rejected] = ratios(logps);
  return [divergenceScores(chosen, options, largest), divergenceScores(rejected, options, largest)];
}

/** b d. */
function margin(logps: PairLogps, options: Parameters<BuiltInLoss>[1]): Column {
  const [chosen, rejected] = scores(logps, options);
  return tf.mul(tf.sub(chosen, rejected), options.beta);
}

/** s_c/L_c − s_r/L_r: scores a token of the whole completion, as TRL counts it. */
function marginPerToken(logps: PairLogps, options: Partial<DPOLossOptions>, largest?: number): Column {
  const [chosen, rejected] = scores(logps, options, largest);
  return tf.sub(tf.div(chosen, tf.maximum(logps.chosenLengths, 1)), tf.div(rejected, tf.maximum(logps.rejectedLengths, 1)));
}

/** Rising. Only the order comes from topk, so that the gradient goes back to the pairs. */
function sorted(x: Column): Column {
  const [pairs] = x.shape;
  if (pairs === 1) return x;
  return tf.reverse(tf.gather(x, tf.topk(x, pairs).indices as Column));
}

/** (1−e) · −log σ(x) + e · −log σ(−x). */
function smoothed(x: Column, e: number): Column {
  return tf.add(tf.mul(nls(x), 1 - e), tf.mul(tf.softplus(x), e));
}

/** DPO, arXiv:2305.18290 eq. 7: −log σ(b d). */
const sigmoid: BuiltInLoss = (logps, options) => nls(margin(logps, options));

/** RSO / SLiC, arXiv:2309.06657: max(0, 1 − b d). */
const hinge: BuiltInLoss = (logps, options) => tf.relu(tf.sub(1, margin(logps, options)));

/** IPO, arXiv:2310.12036 eq. 17, on scores per token as TRL: (s_c/L_c − s_r/L_r − 1/(2b))². */
const ipo: BuiltInLoss = (logps, options) => tf.square(tf.sub(marginPerToken(logps, options, LARGEST_SQUARED), 1 / (2 * options.beta)));

/** EXO, arXiv:2402.00856 eq. 16: KL of (σ(bd), σ(−bd)) from (1−e, e). @param options label_smoothing must be > 0 */
const exo_pair: BuiltInLoss = (logps, options) => {
  const x = margin(logps, options);
  const { label_smoothing: e = 0 } = options;
  const chosen = tf.mul(tf.sigmoid(x), tf.sub(tf.neg(nls(x)), Math.log1p(-e)));
  const rejected = tf.mul(tf.sigmoid(tf.neg(x)), tf.sub(tf.neg(tf.softplus(x)), Math.log(e)));
  return tf.add(chosen, rejected);
};

/** NCA, arXiv:2402.05369, on pairs: −log σ(b r_c) − ½ log σ(−b r_c) − ½ log σ(−b r_r). */
const nca_pair: BuiltInLoss = (logps, { beta }) => {
  const [chosen, rejected] = ratios(logps).map((ratio) => tf.mul(ratio, beta)) as [Column, Column];
  return tf.add(nls(chosen), tf.mul(tf.add(tf.softplus(chosen), tf.softplus(rejected)), 0.5));
};

/** Robust DPO, arXiv:2403.00409: ((1−e) · −log σ(b d) − e · −log σ(−b d)) / (1 − 2e). */
const robust: BuiltInLoss = (logps, options) => {
  const x = margin(logps, options);
  const { label_smoothing: e = 0 } = options;
  return tf.div(tf.sub(tf.mul(nls(x), 1 - e), tf.mul(tf.softplus(x), e)), 1 - 2 * e);
};

/** BCO, arXiv:2404.04656, on pairs and without its shift: −log σ(b r_c) − log σ(−b r_r). */
const bco_pair: BuiltInLoss = (logps, { beta }) => {
  const [chosen, rejected] = ratios(logps);
  return tf.add(nls(tf.mul(chosen, beta)), tf.softplus(tf.mul(rejected, beta)));
};

/** SPPO, arXiv:2405.00675 eq. 4.7 with win rates 1 and 0: (r_c − 1/(2b))² + (r_r + 1/(2b))². */
const sppo_hard: BuiltInLoss = (logps, { beta }) => {
  const [chosen, rejected] = ratios(logps);
  return tf.add(tf.square(tf.sub(chosen, 0.5 / beta)), tf.square(tf.add(rejected, 0.5 / beta)));
};

/** AOT, arXiv:2406.05882: the smoothed sigmoid of b (sorted gaps of the policy − sorted gaps of the reference). Couples the batch. */
const aot: BuiltInLoss = ({ policyChosen, policyRejected, referenceChosen, referenceRejected }, { beta, label_smoothing = 0 }) => {
  const policy = sorted(tf.sub(policyChosen, policyRejected));
  const reference = sorted(tf.sub(referenceChosen, referenceRejected));
  return smoothed(tf.mul(tf.sub(policy, reference), beta), label_smoothing);
};

/** AOT unpaired, arXiv:2406.05882: the smoothed sigmoid of b (sorted r_c − sorted r_r). Couples the batch. */
const aot_unpaired: BuiltInLoss = (logps, { beta, label_smoothing = 0 }) => {
  const [chosen, rejected] = ratios(logps);
  return smoothed(tf.mul(tf.sub(sorted(chosen), sorted(rejected)), beta), label_smoothing);
};

/** APO-zero, arXiv:2408.06266 eq. 7: 1 − σ(b r_c) + σ(b r_r). */
const apo_zero: BuiltInLoss = (logps, { beta }) => {
  const [chosen, rejected] = ratios(logps);
  return tf.add(tf.sigmoid(tf.mul(chosen, -beta)), tf.sigmoid(tf.mul(rejected, beta)));
};

/** APO-down, arXiv:2408.06266 eq. 8: σ(b r_c) + 1 − σ(b (r_c − r_r)). */
const apo_down: BuiltInLoss = (logps, { beta }) => {
  const [chosen, rejected] = ratios(logps);
  return tf.add(tf.sigmoid(tf.mul(chosen, beta)), tf.sigmoid(tf.mul(tf.sub(chosen, rejected), -beta)));
};

/** Largest exponent whose power is still a float32 number. */
const LARGEST_EXPONENT = 80;

/**
 * DiscoPOP, arXiv:2406.08414 eq. 5, with l = b d and m = σ(l/τ): −log σ(l) (1 − m) + exp(−l) m.
 * exp(−l) m is one exponential: apart, the first overflows where the second vanishes.
 */
const discopop: BuiltInLoss = (logps, options) => {
  const l = margin(logps, options);
  const scaled: Column = tf.div(l, options.discopop_tau ?? 0.05);
  const exponential = tf.exp(tf.minimum(tf.neg(tf.add(l, nls(scaled))), LARGEST_EXPONENT));
  return tf.add(tf.mul(nls(l), tf.sigmoid(tf.neg(scaled))), exponential);
};

/** Supervised term: negative log-likelihood of chosen. Its mean over the pairs is TRL's mean over the batch's tokens. */
const sft: BuiltInLoss = ({ chosenNll, nllTokens }) => tf.div(chosenNll, nllTokens);

/** Length-normalised DPO, Tülu 3, arXiv:2411.15124: −log σ(b (s_c/L_c − s_r/L_r)). */
const sigmoid_norm: BuiltInLoss = (logps, options) => nls(tf.mul(marginPerToken(logps, options), options.beta));

/** The built-in losses by TRL's names. */
export const DPO_LOSSES: Readonly<Record<DPOLossName, BuiltInLoss>> = {
  sigmoid,
  hinge,
  ipo,
  exo_pair,
  nca_pair,
  robust,
  bco_pair,
  sppo_hard,
  aot,
  aot_unpaired,
  apo_zero,
  apo_down,
  discopop,
  sft,
  sigmoid_norm,
};
