/** f-DPO, arXiv:2309.16240: divergences other than the reverse KL between policy and reference. */
import { tf } from "../../compile/index.js";
import type { DPOLossOptions } from "../options/preferenceLoss.js";

/** TRL's bound on exponents in float32; beyond it the score is constant. */
const LARGEST_EXPONENT = 80;

/** The bound where the loss squares the score: its square and its slope are still float32 numbers. */
export const LARGEST_SQUARED = 40;

/** Below this distance from 1 the α-divergence is the reverse KL, as in TRL. */
const SAME_AS_REVERSE_KL = 1e-6;

/**
 * f'(t) of the ratio t = policy / reference, given r = log t: what takes the log-ratio's place in a loss.
 * reverse_kl r · forward_kl 1 − exp(−r) · js_divergence log 2 + log σ(r) · alpha_divergence (exp((α−1) r) − 1)/(α−1).
 * @param ratio r in nats, shape [P]
 * @param largest bound on the exponents
 */
export function divergenceScores(
  ratio: tf.Tensor1D,
  {
    f_divergence_type: type = "reverse_kl",
    f_alpha_divergence_coef: alpha = 0.5,
  }: Partial<Pick<DPOLossOptions, "f_divergence_type" | "f_alpha_divergence_coef">>,
  largest = LARGEST_EXPONENT,
): tf.Tensor1D {
  switch (type) {
    case "reverse_kl":
      return ratio;
    case "forward_kl":
      return tf.neg(expm1(tf.neg(ratio), largest));
    case "js_divergence":
      return tf.sub(Math.log(2), tf.softplus(tf.neg(ratio)));
    case "alpha_divergence":
      if (Math.abs(alpha - 1) < SAME_AS_REVERSE_KL) return ratio;
      return tf.div(expm1(tf.mul(ratio, alpha - 1), largest), alpha - 1);
  }
}

/** exp(x) − 1, exact near 0. */
export function expm1(x: tf.Tensor1D, largest = LARGEST_EXPONENT): tf.Tensor1D {
  return tf.expm1(tf.minimum(x, largest));
}
