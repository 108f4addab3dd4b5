/** The forward pass that every training program begins with. */
import { type TensorMap, blockMask, tf } from "../../compile/index.js";
import { type CausalLM, maskedAttention, qwen2Hidden } from "../../model/index.js";

export interface ForwardParts {
  /** Dropout masks by module path. */
  readonly masks?: TensorMap | undefined;
  /** Added to the embeddings, shape [T, D]. */
  readonly noise?: tf.Tensor2D | undefined;
  /** Gradient checkpointing. */
  readonly recompute?: boolean | undefined;
}

export interface ScoredStates {
  /** Hidden states of the tokens that predict the scored ones, shape [C, D]. */
  readonly scored: tf.Tensor2D;
  /** The model's weights, for the head. */
  readonly weights: TensorMap;
}

/** @param inputs the model's tensors and a sequence (`sequenceSignature`) */
export function scoredStates(model: CausalLM, inputs: TensorMap, { masks, noise, recompute = false }: ForwardParts): ScoredStates {
  const { config } = model;
  const { weights, adapter } = model.tensors(inputs, masks);
  const { segments, parents, sources } = inputs as Record<string, tf.Tensor1D>;
  const attend = maskedAttention(config, blockMask(segments!, parents!));
  const trained = recompute ? new Set(model.trainable().keys()) : undefined;
  const hidden = qwen2Hidden(config, weights, inputs as never, attend, { adapter, noise, recompute: trained });
  return { scored: tf.gather(hidden, sources!) as tf.Tensor2D, weights };
}
