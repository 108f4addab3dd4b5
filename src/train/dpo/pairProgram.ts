/** The tensor functions of preference training: a pair's log-probs, and their gradient. */
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
import type { PairLogps } from "../options/preferenceLoss.js";
import { dropoutMasksOf, maskSignature } from "../sequence/dropout.js";
import { type ForwardParts, scoredStates } from "../sequence/scoredStates.js";
import { type GradientProgram, GradientSums, headIsFrozen } from "../optimizer/gradientSums.js";
import { NO_PARTS, type PairParts } from "../sequence/pairLayout.js";
import { type SequenceForm, sequenceSignature } from "../sequence/sequenceInputs.js";
import { rowSums } from "../sequence/runs.js";
import { type SequenceProgram, sequenceProgram } from "../sequence/sequenceProgram.js";

function pairSignature(
  model: CausalLM,
  form: SequenceForm,
  dropoutWidths: ReadonlyMap<string, number>,
  parts: PairParts,
  metrics: boolean,
  rows: Dimension = "R",
): Record<string, InputSpec> {
  const mask: InputSpec = { shape: [rows, "C"] };
  const signature: Record<string, InputSpec> = { ...sequenceSignature(model, form), chosen: mask, rejected: mask };
  if (parts.ldAlpha !== null) signature["tokenWeights"] = { shape: ["C"] };
  if (parts.prompt) signature["prompt"] = mask;
  // A frozen head's mean is computed once (`storeHeadMean`) instead of in every run.
  if (metrics && headIsFrozen(model)) signature[HEAD_MEAN] = { shape: [model.config.hidden_size], role: "state" };
  return { ...signature, ...maskSignature(dropoutWidths, form) };
}

/** One number for each of R pairs, shape [R]. */
interface PairForward {
  /** Summed over the completion, with gradient. */
  chosenLogps: tf.Tensor1D;
  rejectedLogps: tf.Tensor1D;
  chosenNll: tf.Tensor1D;
  /** WPO's, without gradient; empty when not wanted. */
  weights: TensorMap;
  /** Sums over scored tokens, for the logged means; without gradient. */
  sums: TensorMap;
}

function pairForward(
  model: CausalLM,
  inputs: TensorMap,
  form: SequenceForm,
  forward: ForwardParts,
  parts: PairParts,
  headGradient: HeadGradient,
): PairForward {
  const { targets } = inputs as Record<string, tf.Tensor1D>;
  const { chosen, rejected } = inputs as Record<string, tf.Tensor2D>;
  const { scored, weights } = scoredStates(model, inputs, form, forward);
  const head = headLogProbs(scored, targets!, model.base.head(weights, headGradient), { aligned: parts.weights });
  // WPO, arXiv:2406.11827: exp of the mean of log p − log Σ p².
  const weight = (side: tf.Tensor): tf.Tensor => tf.exp(tf.div(rowSums(head.aligned!, side), tf.maximum(tf.sum(side, 1), 1)));
  const logps = parts.ldAlpha === null ? head.logps : tf.mul(head.logps, inputs["tokenWeights"]!);
  return {
    chosenLogps: rowSums(logps, chosen!),
    rejectedLogps: rowSums(logps, rejected!),
    chosenNll: tf.neg(rowSums(head.logps, parts.prompt ? tf.add(chosen!, inputs["prompt"]!) : chosen!)),
    weights: parts.weights ? { chosenWeights: weight(chosen!), rejectedWeights: weight(rejected!) } : {},
    sums: {
      entropy: rowSums(head.entropy, tf.add(chosen!, rejected!)),
      correct: rowSums(head.correct, chosen!),
      chosenLogits: rowSums(head.meanLogit, chosen!),
      rejectedLogits: rowSums(head.meanLogit, rejected!),
    },
  };
}

/** What `scoringProgram` computes beside the log-probs. */
export interface ScoringOptions {
  /** Also the sums for the logged means, which cost as much again in the head; default true. */
  readonly metrics?: boolean;
  /** Modules that get a dropout mask, with the width of their input. */
  readonly dropoutWidths?: ReadonlyMap<string, number>;
  /** What the loss needs; the log-probs of the completions by default. */
  readonly parts?: PairParts;
}

/**
 * Log-probs and metric sums of the R pairs of a run, without gradient.
 * Outputs: chosenLogps, rejectedLogps, chosenNll, with WPO chosenWeights and rejectedWeights, and with metrics entropy, correct,
 * chosenLogits, rejectedLogits, each [R].
 */
export function scoringProgram(
  engine: Engine,
  model: CausalLM,
  { metrics = true, dropoutWidths = new Map(), parts = NO_PARTS }: ScoringOptions = {},
): SequenceProgram {
  const score = (inputs: TensorMap, form: SequenceForm): TensorMap => {
    const masks = dropoutMasksOf(inputs, dropoutWidths);
    const { chosenLogps, rejectedLogps, chosenNll, weights, sums } = pairForward(model, inputs, form, { masks }, parts, "none");
    return { chosenLogps, rejectedLogps, chosenNll, ...weights, ...(metrics ? sums : {}) };
  };
  return sequenceProgram(engine, {
    name: "score a pair",
    fn: score,
    signature: (form) => pairSignature(model, form, dropoutWidths, parts, metrics),
    key: [model.computation, parts, metrics],
  });
}

/** How a pair's log-probs become the number to differentiate. */
export type PairObjective =
  /** The pair's own loss, with the reference's log-probs if it needs them. */
  | {
      kind: "loss";
      loss: (logps: PairLogps) => tf.Tensor1D;
      reference: boolean;
      /** What the loss depends on; undefined for one that a user wrote. */
      key: unknown;
    }
  /** A linear function whose slopes are given: the second pass of a loss that couples the pairs of a batch. */
  | { kind: "slopes" };

/** The numbers beside a pair that a loss is given, by the names of `PairLogps`. */
export const COUNTS = ["chosenLengths", "rejectedLengths", "chosenTokens", "rejectedTokens", "nllTokens"] as const;

/**
 * Forward and backward of the R pairs of a run. The gradient of each, times its `weight`, is added to the stored sums.
 * Outputs as `scoringProgram`, and `loss` of each pair for kind "loss".
 * @param parts what the loss needs of a pair
 * @param dropoutWidths modules that get a dropout mask, with the width of their input
 * @param recompute gradient checkpointing: how many layers are computed again in the backward pass
 */
export function gradientProgram(
  engine: Engine,
  model: CausalLM,
  objective: PairObjective,
  parts: PairParts,
  dropoutWidths: ReadonlyMap<string, number>,
  recompute: number,
): GradientProgram {
  const sums = new GradientSums(model);
  // A user's function is traced with as many pairs as it gets: one.
  const rows: Dimension = objective.kind === "loss" && objective.key === undefined ? 1 : "R";
  const references = objective.kind === "loss" && objective.reference ? ["referenceChosen", "referenceRejected"] : [];
  const columns = objective.kind === "loss" ? [...references, ...COUNTS] : ["chosenSlope", "rejectedSlope", "nllSlope"];
  const signature = (form: SequenceForm): Record<string, InputSpec> => ({
    ...pairSignature(model, form, dropoutWidths, parts, true, rows),
    ...sums.signature(),
    ...Object.fromEntries(["weight", ...columns].map((name) => [name, { shape: [rows] }])),
  });

  const step = (inputs: TensorMap, form: SequenceForm, headGradient: HeadGradient): TensorMap => {
    const masks = dropoutMasksOf(inputs, dropoutWidths);
    const { values, gradients } = valueAndGradients((current) => {
      const pair = pairForward(
        model,
        { ...inputs, ...current },
        form,
        { masks, recompute, noise: sums.noise(current) },
        parts,
        headGradient,
      );
      const objectiveValue = pairObjective(objective, pair, inputs);
      return {
        loss: tf.sum(tf.mul(objectiveValue, inputs["weight"]!)),
        pairLoss: objectiveValue,
        chosenLogps: pair.chosenLogps,
        rejectedLogps: pair.rejectedLogps,
        chosenNll: pair.chosenNll,
        ...pair.weights,
        ...pair.sums,
      };
    }, sums.variables(inputs));
    const { loss: _weighted, pairLoss, ...outputs } = values;
    const results: TensorMap = { ...outputs, ...sums.added(inputs, gradients) };
    if (objective.kind === "loss") results["loss"] = pairLoss!;
    return results;
  };
  const ofLoss = objective.kind === "loss" ? objective.key : "slopes";
  const key = ofLoss === undefined ? undefined : [model.computation, ofLoss, parts, recompute];
  return sums.compile(engine, { name: "gradient of a pair", fn: step, signature, key });
}

function pairObjective(objective: PairObjective, pair: PairForward, inputs: TensorMap): tf.Tensor1D {
  const given = inputs as Record<string, tf.Tensor1D>;
  if (objective.kind === "slopes") {
    const { chosenSlope, rejectedSlope, nllSlope } = given;
    return tf.addN([tf.mul(pair.chosenLogps, chosenSlope!), tf.mul(pair.rejectedLogps, rejectedSlope!), tf.mul(pair.chosenNll, nllSlope!)]);
  }
  const { referenceChosen, referenceRejected } = given;
  return objective.loss({
    policyChosen: pair.chosenLogps,
    policyRejected: pair.rejectedLogps,
    chosenNll: pair.chosenNll,
    ...(pair.weights as { chosenWeights?: tf.Tensor1D; rejectedWeights?: tf.Tensor1D }),
    ...(Object.fromEntries(COUNTS.map((name) => [name, given[name]!])) as Record<(typeof COUNTS)[number], tf.Tensor1D>),
    // A loss without a reference does not look at these.
    referenceChosen: referenceChosen!,
    referenceRejected: referenceRejected!,
  });
}
