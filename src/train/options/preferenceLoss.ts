/** What a preference loss is given and returns. */
import type { Tensor1D } from "@tensorflow/tfjs";
import type { DPOOptions } from "./dpoConfig.js";

/**
 * What a loss may look at without a reference: one value a pair, all of shape [P]. Log-probs are in nats.
 * The policy's log-probs and `chosenNll` carry a gradient, everything else is a number.
 */
export interface PolicyLogps {
  /** Log-probs summed over the completion; with `ld_alpha` the tokens beyond the shorter completion count that much. */
  policyChosen: Tensor1D;
  policyRejected: Tensor1D;
  /** Completion lengths in tokens. */
  chosenLengths: Tensor1D;
  rejectedLengths: Tensor1D;
  /** Tokens that have a log-prob: the lengths, less one where the prompt is empty. */
  chosenTokens: Tensor1D;
  rejectedTokens: Tensor1D;
  /** Σ −log p of the chosen completion (ORPO: of its prompt too), never weighted by `ld_alpha`. */
  chosenNll: Tensor1D;
  /** How many tokens `chosenNll` sums, as the mean over the batch: the mean of `chosenNll / nllTokens` is the batch's loss a token. */
  nllTokens: Tensor1D;
  /** With `use_weighting`: WPO's weights exp(mean of log p − log Σ p²), by which the result is multiplied. */
  chosenWeights?: Tensor1D;
  rejectedWeights?: Tensor1D;
}

/** What a loss of DPO may look at. */
export interface PairLogps extends PolicyLogps {
  /** As `policyChosen` and `policyRejected`, of the reference. */
  referenceChosen: Tensor1D;
  referenceRejected: Tensor1D;
}

/** The options that losses depend on. */
export type DPOLossOptions = Pick<
  DPOOptions,
  "beta" | "label_smoothing" | "discopop_tau" | "f_divergence_type" | "f_alpha_divergence_coef"
>;

/** A preference loss written with TensorFlow.js operations; its gradient comes from TensorFlow.js. @returns one loss a pair, shape [P] */
export type DPOLossFunction = (logps: PairLogps, options: DPOLossOptions) => Tensor1D;
