/** The tensor functions of preference training: a pair's log-probs, and their gradient. */
import {
  type Engine,
  type InputSpec,
  type Program,
  type TensorMap,
  blockMask,
  headLogProbs,
  tf,
  valueAndGradients,
} from "../../compile/index.js";
import { type CausalLM, HEAD_MEAN, maskedAttention, qwen2Hidden } from "../../model/index.js";
import { requireOneAPair } from "./batchLoss.js";
import type { DPOLossFunction } from "../options/dpoConfig.js";
import { dropoutMasksOf, maskSignature } from "../sequence/dropout.js";
import { GradientSums, headIsFrozen, sequenceSignature } from "../optimizer/gradientSums.js";

function pairSignature(model: CausalLM, dropoutWidths: ReadonlyMap<string, number>, metrics: boolean): Record<string, InputSpec> {
  const signature: Record<string, InputSpec> = { ...sequenceSignature(model), chosen: { shape: ["C"] }, rejected: { shape: ["C"] } };
  // A frozen head's mean is computed once (`storeHeadMean`) instead of in every run.
  if (metrics && headIsFrozen(model)) signature[HEAD_MEAN] = { shape: [model.config.hidden_size], role: "state" };
  return { ...signature, ...maskSignature(dropoutWidths) };
}

interface PairForward {
  /** Summed over the completion, shape [1], with gradient. */
  chosenLogps: tf.Tensor1D;
  rejectedLogps: tf.Tensor1D;
  /** Sums over scored tokens, for the logged means; shape [1], without gradient. */
  sums: TensorMap;
}

function pairForward(model: CausalLM, inputs: TensorMap, masks: TensorMap | undefined, headTrainable: boolean): PairForward {
  const { config } = model;
  const { weights, adapter } = model.tensors(inputs, masks);
  const { segments, parents, sources, targets, chosen, rejected } = inputs as Record<string, tf.Tensor1D>;
  const mask = blockMask(segments!, parents!);
  const hidden = qwen2Hidden(config, weights, inputs as never, maskedAttention(config, mask), { adapter });
  const scored = tf.gather(hidden, sources!) as tf.Tensor2D; // [C, D]
  const head = headLogProbs(scored, targets!, model.base.head(weights, headTrainable));
  const total = (values: tf.Tensor, weight: tf.Tensor): tf.Tensor1D => tf.sum(tf.mul(values, weight), 0, true) as tf.Tensor1D;
  return {
    chosenLogps: total(head.logps, chosen!),
    rejectedLogps: total(head.logps, rejected!),
    sums: {
      entropy: total(head.entropy, tf.add(chosen!, rejected!)),
      correct: total(head.correct, chosen!),
      chosenLogits: total(head.meanLogit, chosen!),
      rejectedLogits: total(head.meanLogit, rejected!),
    },
  };
}

/** What `scoringProgram` computes beside the log-probs. */
export interface ScoringOptions {
  /** Also the sums for the logged means, which cost as much again in the head; default true. */
  readonly metrics?: boolean;
  /** Modules that get a dropout mask, with the width of their input. */
  readonly dropoutWidths?: ReadonlyMap<string, number>;
}

/**
 * Log-probs and metric sums of a pair, without gradient.
 * Outputs: chosenLogps, rejectedLogps and, with metrics, entropy, correct, chosenLogits, rejectedLogits, each [1].
 */
export function scoringProgram(
  engine: Engine,
  model: CausalLM,
  { metrics = true, dropoutWidths = new Map() }: ScoringOptions = {},
): Program {
  const score = (inputs: TensorMap): TensorMap => {
    const { chosenLogps, rejectedLogps, sums } = pairForward(model, inputs, dropoutMasksOf(inputs, dropoutWidths), false);
    return { chosenLogps, rejectedLogps, ...(metrics ? sums : {}) };
  };
  return engine.compile(score, pairSignature(model, dropoutWidths, metrics), { name: "score a pair" });
}

/** How a pair's log-probs become the number to differentiate. */
export type PairObjective =
  /** The pair's own loss; needs the reference's log-probs. */
  | { kind: "loss"; loss: DPOLossFunction; beta: number }
  /** A linear function whose slopes are given: the second pass of a loss that couples the pairs of a batch. */
  | { kind: "slopes" };

/**
 * Forward and backward of one pair. The gradient, times `weight`, is added to the stored sums; `carry` 0 starts them anew.
 * Outputs as `scoringProgram`, and `loss` of the pair for kind "loss".
 * @param dropoutWidths modules that get a dropout mask, with the width of their input
 */
export function gradientProgram(
  engine: Engine,
  model: CausalLM,
  objective: PairObjective,
  dropoutWidths: ReadonlyMap<string, number>,
): Program {
  const sums = new GradientSums(model);
  const signature: Record<string, InputSpec> = {
    ...pairSignature(model, dropoutWidths, true),
    ...sums.signature(),
    weight: { shape: [] },
  };
  const scalars =
    objective.kind === "loss"
      ? ["referenceChosen", "referenceRejected", "chosenLengths", "rejectedLengths"]
      : ["chosenSlope", "rejectedSlope"];
  for (const name of scalars) signature[name] = { shape: [1] };

  const step = (inputs: TensorMap): TensorMap => {
    const masks = dropoutMasksOf(inputs, dropoutWidths);
    const { values, gradients } = valueAndGradients((current) => {
      const pair = pairForward(model, { ...inputs, ...current }, masks, !headIsFrozen(model));
      const objectiveValue = pairObjective(objective, pair, inputs);
      return {
        loss: tf.sum(tf.mul(objectiveValue, inputs["weight"]!)),
        pairLoss: objectiveValue,
        chosenLogps: pair.chosenLogps,
        rejectedLogps: pair.rejectedLogps,
        ...pair.sums,
      };
    }, sums.variables(inputs));
    const { loss: _weighted, pairLoss, ...outputs } = values;
    const results: TensorMap = { ...outputs, ...sums.added(inputs, gradients) };
    if (objective.kind === "loss") results["loss"] = pairLoss!;
    return results;
  };
  return engine.compile(step, signature, { name: "gradient of a pair" });
}

function pairObjective(objective: PairObjective, pair: PairForward, inputs: TensorMap): tf.Tensor1D {
  const given = inputs as Record<string, tf.Tensor1D>;
  if (objective.kind === "slopes") {
    return tf.add(tf.mul(pair.chosenLogps, given["chosenSlope"]!), tf.mul(pair.rejectedLogps, given["rejectedSlope"]!));
  }
  const { referenceChosen, referenceRejected, chosenLengths, rejectedLengths } = given as Record<string, tf.Tensor1D>;
  const logps = {
    policyChosen: pair.chosenLogps,
    policyRejected: pair.rejectedLogps,
    referenceChosen: referenceChosen!,
    referenceRejected: referenceRejected!,
    chosenLengths: chosenLengths!,
    rejectedLengths: rejectedLengths!,
  };
  const values = objective.loss(logps, { beta: objective.beta });
  requireOneAPair(values, 1);
  return values;
}
