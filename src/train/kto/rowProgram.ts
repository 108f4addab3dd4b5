/** The tensor functions of KTO: a row's log-probs, and their gradient. */
import {
  type Dimension,
  type Engine,
  type HeadGradient,
  type InputSpec,
  type TensorMap,
  headLogProbs,
  tf,
  valueAndGradients,
} from "../../compile/index.js";
import { type CausalLM, HEAD_MEAN } from "../../model/index.js";
import { type GradientProgram, GradientSums, headIsFrozen } from "../optimizer/gradientSums.js";
import type { KTOOptions } from "../options/ktoConfig.js";
import { dropoutMasksOf, maskSignature } from "../sequence/dropout.js";
import { type ForwardParts, scoredStates } from "../sequence/scoredStates.js";
import { type SequenceForm, sequenceSignature } from "../sequence/sequenceInputs.js";
import { rowSums } from "../sequence/runs.js";
import { type SequenceProgram, sequenceProgram } from "../sequence/sequenceProgram.js";
import { lossFunction } from "./losses.js";
import { rowLoss } from "./rowLoss.js";

function rowSignature(
  model: CausalLM,
  form: SequenceForm,
  widths: ReadonlyMap<string, number>,
  metrics: boolean,
  rows: Dimension = "R",
): Record<string, InputSpec> {
  const signature: Record<string, InputSpec> = { ...sequenceSignature(model, form), completion: { shape: [rows, "C"] } };
  // A frozen head's mean is computed once (`storeHeadMean`) instead of in every run.
  if (metrics && headIsFrozen(model)) signature[HEAD_MEAN] = { shape: [model.config.hidden_size], role: "state" };
  return { ...signature, ...maskSignature(widths, form) };
}

/** Log-probs summed over each row's own completion (with gradient) and its sums for the logged means; all of shape [R]. */
function rowForward(model: CausalLM, inputs: TensorMap, form: SequenceForm, parts: ForwardParts, headGradient: HeadGradient) {
  const { targets } = inputs as Record<string, tf.Tensor1D>;
  const { completion, mismatched } = inputs as Record<string, tf.Tensor2D>;
  const { scored, weights } = scoredStates(model, inputs, form, parts);
  const head = headLogProbs(scored, targets!, model.base.head(weights, headGradient));
  return {
    logps: rowSums(head.logps, completion!),
    /** Of the mismatched completion, for programs that have it. */
    mismatchedLogps: () => rowSums(head.logps, mismatched!),
    sums: { entropy: rowSums(head.entropy, completion!), logits: rowSums(head.meanLogit, completion!) },
  };
}

/** What `scoringProgram` computes beside the log-probs. */
export interface ScoringOptions {
  /** Also `entropy` and `logits` of the row's own completion, which cost as much again in the head. */
  readonly metrics: boolean;
  /** Modules that get a dropout mask, with the width of their input. */
  readonly dropoutWidths?: ReadonlyMap<string, number>;
}

/**
 * Log-probs of the R rows of a run with their own completions, the mismatched ones, or both; 0 for those that are not there.
 * Outputs: logps, mismatchedLogps and, with metrics, entropy and logits, each [R].
 */
export function scoringProgram(engine: Engine, model: CausalLM, { metrics, dropoutWidths = new Map() }: ScoringOptions): SequenceProgram {
  const score = (inputs: TensorMap, form: SequenceForm): TensorMap => {
    const { logps, mismatchedLogps, sums } = rowForward(model, inputs, form, { masks: dropoutMasksOf(inputs, dropoutWidths) }, "none");
    return { logps, mismatchedLogps: mismatchedLogps(), ...(metrics ? sums : {}) };
  };
  return sequenceProgram(engine, {
    name: "score a row",
    fn: score,
    signature: (form) => ({ ...rowSignature(model, form, dropoutWidths, metrics), mismatched: { shape: ["R", "C"] } }),
    key: [model.computation, metrics],
  });
}

/**
 * Forward and backward of the own completions of the R rows of a run. The gradient of each loss, times the row's `weight`, is added to the
 * stored sums. `recompute` layers are computed again in the backward pass. Also given: `reference`, `kl` and `label` [R].
 * Outputs: logps, entropy, logits and the rows' `loss`, each [R].
 */
export function gradientProgram(
  engine: Engine,
  model: CausalLM,
  { loss_type, beta }: Pick<KTOOptions, "loss_type" | "beta">,
  dropoutWidths: ReadonlyMap<string, number>,
  recompute: number,
): GradientProgram {
  const gradients = new GradientSums(model);
  // A user's function is written for one row.
  const rows: Dimension = typeof loss_type === "function" ? 1 : "R";
  const signature = (form: SequenceForm): Record<string, InputSpec> => ({
    ...rowSignature(model, form, dropoutWidths, true, rows),
    ...gradients.signature(),
    ...Object.fromEntries(["weight", "reference", "kl", "label"].map((name) => [name, { shape: [rows] }])),
  });
  const step = (inputs: TensorMap, form: SequenceForm, headGradient: HeadGradient): TensorMap => {
    const masks = dropoutMasksOf(inputs, dropoutWidths);
    const { reference, kl, label } = inputs as Record<string, tf.Tensor1D>;
    const { values, gradients: slopes } = valueAndGradients((current) => {
      const row = rowForward(model, { ...inputs, ...current }, form, { masks, recompute, noise: gradients.noise(current) }, headGradient);
      const value = rowLoss(lossFunction({ loss_type }), { policy: row.logps, reference: reference!, kl: kl!, label: label! }, beta);
      return { loss: tf.sum(tf.mul(value, inputs["weight"]!)), rowLoss: value, logps: row.logps, ...row.sums };
    }, gradients.variables(inputs));
    const { loss: _weighted, rowLoss: value, ...outputs } = values;
    return { ...outputs, loss: value!, ...gradients.added(inputs, slopes) };
  };
  const key = typeof loss_type === "function" ? undefined : [model.computation, loss_type, beta, recompute];
  return gradients.compile(engine, { name: "gradient of a row", fn: step, signature, key });
}
