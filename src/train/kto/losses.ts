/**
 * KTO losses: pure functions of one row's log-probs. Writing r for the log-ratio policy − reference, b for beta, and s for +1 on
 * a desirable row and −1 on an undesirable one. The trainer multiplies by desirable_weight or undesirable_weight.
 */
import { tf } from "../../compile/index.js";
import type { KTOLossFunction, KTOLossName, KTOOptions, RowLogps } from "../options/ktoConfig.js";

const ratio = ({ policy, reference }: RowLogps): tf.Tensor1D => tf.sub(policy, reference);
const sign = ({ label }: RowLogps): tf.Tensor1D => tf.sub(tf.mul(label, 2), 1);

/** KTO, arXiv:2402.01306 eq. 7 (without its constant): desirable 1 − σ(b (r − kl)), undesirable 1 − σ(b (kl − r)). */
const kto: KTOLossFunction = (logps, { beta }) => tf.sigmoid(tf.mul(tf.mul(tf.sub(ratio(logps), logps.kl), sign(logps)), -beta));

/** APO-zero, arXiv:2408.06266 eq. 7, for rows instead of pairs, as TRL: desirable 1 − σ(b r), undesirable σ(b r). */
const apo_zero_unpaired: KTOLossFunction = (logps, { beta }) => tf.sigmoid(tf.mul(tf.mul(ratio(logps), sign(logps)), -beta));

export const KTO_LOSSES: Record<KTOLossName, KTOLossFunction> = { kto, apo_zero_unpaired };

/** The loss of a run: the named one, or the user's own function. */
export function lossFunction({ loss_type }: Pick<KTOOptions, "loss_type">): KTOLossFunction {
  return typeof loss_type === "function" ? loss_type : KTO_LOSSES[loss_type];
}
