/**
 * Preference losses: pure functions of log-probs, one value a pair.
 * Writing r_c, r_r for the log-ratios policy − reference of the chosen and the rejected completion and b for beta.
 */
import { tf } from "../../compile/index.js";
import type { DPOLossFunction, DPOLossName, DPOOptions, PairLogps } from "../options/dpoConfig.js";

/** r_c − r_r, shape [P]. */
function margin({ policyChosen, policyRejected, referenceChosen, referenceRejected }: PairLogps): tf.Tensor1D {
  return tf.sub(tf.sub(policyChosen, referenceChosen), tf.sub(policyRejected, referenceRejected));
}

/** DPO, arXiv:2305.18290 eq. 7: −log σ(b (r_c − r_r)). Softplus keeps it finite for margins of any size. */
const sigmoid: DPOLossFunction = (logps, { beta }) => tf.softplus(tf.mul(margin(logps), -beta));

/** RSO / SLiC, arXiv:2309.06657: max(0, 1 − b (r_c − r_r)). */
const hinge: DPOLossFunction = (logps, { beta }) => tf.relu(tf.sub(1, tf.mul(margin(logps), beta)));

/** IPO, arXiv:2310.12036 eq. 17, on log-ratios per token as TRL: (r_c/L_c − r_r/L_r − 1/(2b))². */
const ipo: DPOLossFunction = (
  { policyChosen, policyRejected, referenceChosen, referenceRejected, chosenLengths, rejectedLengths },
  { beta },
) => {
  const chosen = tf.div(tf.sub(policyChosen, referenceChosen), chosenLengths);
  const rejected = tf.div(tf.sub(policyRejected, referenceRejected), rejectedLengths);
  return tf.square(tf.sub(tf.sub(chosen, rejected), 1 / (2 * beta)));
};

export const DPO_LOSSES: Record<DPOLossName, DPOLossFunction> = { sigmoid, hinge, ipo };

/** The loss of a run: the sum of the named losses, or the user's own function. */
export function lossFunction(options: Pick<DPOOptions, "loss_type">): DPOLossFunction {
  const { loss_type } = options;
  if (typeof loss_type === "function") return loss_type;
  return (logps, scalars) => loss_type.map((name) => DPO_LOSSES[name](logps, scalars)).reduce((sum, loss) => tf.add(sum, loss));
}

/** Whether each pair's loss depends on that pair alone, so that pairs of a batch may be computed one by one. */
export function isPairwise({ loss_type }: Pick<DPOOptions, "loss_type">): boolean {
  return typeof loss_type !== "function";
}
