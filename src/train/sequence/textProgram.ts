/** The tensor functions of language modelling: the weighted loss of the scored tokens of a run, and its gradient. */
import {
  type Engine,
  type HeadGradient,
  type InputSpec,
  type TensorMap,
  headLogProbs,
  tf,
  valueAndGradients,
} from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import { type GradientProgram, GradientSums } from "../optimizer/gradientSums.js";
import { dropoutMasksOf, maskSignature } from "./dropout.js";
import { NOISE, noiseSignature } from "./embeddingNoise.js";
import { scoredStates } from "./scoredStates.js";
import { type SequenceForm, sequenceSignature } from "./sequenceInputs.js";
import { type SequenceProgram, sequenceProgram } from "./sequenceProgram.js";

/** How a token's log-probability becomes its loss: `nll` −log p; `dft` −p · log p with p as a constant, arXiv:2508.05629 eq. 9. */
export type TokenLoss = "nll" | "dft";

export interface TextProgramOptions {
  /** Default nll. */
  readonly loss?: TokenLoss;
  /** Modules that get a dropout mask, with the width of their input; default none. */
  readonly dropoutWidths?: ReadonlyMap<string, number>;
  /** Whether `noise` [T, D] is added to the embeddings; default no. */
  readonly noise?: boolean;
  /** Gradient checkpointing: so many layers are computed again in the backward pass; default 0. */
  readonly recompute?: number;
}

/**
 * Forward and backward of the sequences of a run, with C scored tokens. Inputs of `sequenceSignature`, and `weights` [C] of the scored tokens.
 * Outputs as `textScoringProgram`; the gradient of `loss` is added to the stored sums.
 */
export function textGradientProgram(engine: Engine, model: CausalLM, options: TextProgramOptions = {}): GradientProgram {
  const sums = new GradientSums(model);
  const step = (inputs: TensorMap, form: SequenceForm, headGradient: HeadGradient): TensorMap => {
    const { values, gradients } = valueAndGradients(
      (current) => textForward(model, { ...inputs, ...current }, form, options, headGradient, (noise) => sums.noise(current, noise)),
      sums.variables(inputs),
    );
    return { ...asVectors(values), ...sums.added(inputs, gradients) };
  };
  const signature = (form: SequenceForm): Record<string, InputSpec> => ({ ...textSignature(model, form, options), ...sums.signature() });
  const key = [model.computation, options.loss, options.recompute];
  return sums.compile(engine, { name: "gradient of a text", fn: step, signature, key });
}

/**
 * The same without gradient. Outputs, each [1]: `loss` = Σ weights · loss of a token; and over the scored tokens with a weight
 * `entropy`, the sum of their distributions' entropies in nats, and `correct`, the number that were the likeliest.
 */
export function textScoringProgram(engine: Engine, model: CausalLM, options: Pick<TextProgramOptions, "loss"> = {}): SequenceProgram {
  return sequenceProgram(engine, {
    name: "score a text",
    fn: (inputs, form) => asVectors(textForward(model, inputs, form, options, "none")),
    signature: (form) => textSignature(model, form, options),
    key: [model.computation, options.loss],
  });
}

function textSignature(model: CausalLM, form: SequenceForm, { dropoutWidths, noise }: TextProgramOptions): Record<string, InputSpec> {
  return {
    ...sequenceSignature(model, form),
    weights: { shape: ["C"] },
    ...maskSignature(dropoutWidths ?? new Map(), form),
    ...(noise === true ? noiseSignature(model.config.hidden_size, form) : {}),
  };
}

/** All scalars. */
function textForward(
  model: CausalLM,
  inputs: TensorMap,
  form: SequenceForm,
  options: TextProgramOptions,
  headGradient: HeadGradient,
  withNoise = (noise?: tf.Tensor2D): tf.Tensor2D | undefined => noise,
) {
  const masks = dropoutMasksOf(inputs, options.dropoutWidths ?? new Map());
  const given = inputs as Record<string, tf.Tensor1D>;
  const noise = withNoise(options.noise === true ? (inputs[NOISE] as tf.Tensor2D) : undefined);
  const { scored, weights } = scoredStates(model, inputs, form, { masks, noise, recompute: options.recompute });
  const { logps, entropy, correct } = headLogProbs(scored, given["targets"]!, model.base.head(weights, headGradient));
  const counted = tf.cast(tf.greater(given["weights"]!, 0), "float32");
  const losses = options.loss === "dft" ? dftLosses(logps) : tf.neg(logps);
  return {
    loss: tf.sum(tf.mul(losses, given["weights"]!)),
    entropy: tf.sum(tf.mul(entropy, counted)),
    correct: tf.sum(tf.mul(correct, counted)),
  };
}

/** −p · log p; p = exp(log p) has no gradient. */
function dftLosses(logps: tf.Tensor1D): tf.Tensor1D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [x, save] = args as [tf.Tensor1D, tf.GradSaveFunc];
    const p = tf.exp(x);
    save([p]);
    return { value: tf.neg(tf.mul(p, x)), gradFunc: (dy: tf.Tensor, [kept]: tf.Tensor[]) => tf.neg(tf.mul(dy, kept!)) };
  });
  return op(logps) as tf.Tensor1D;
}

function asVectors(scalars: Readonly<Record<string, tf.Tensor>>): TensorMap {
  return Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, tf.reshape(value, [1])]));
}
