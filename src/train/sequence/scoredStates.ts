/** The forward pass that every training program begins with. */
import { type TensorMap, blockMask, tf } from "../../compile/index.js";
import { type CausalLM, blockwiseAttention, maskedAttention, qwen2Hidden } from "../../model/index.js";
import { type SequenceForm, idsName } from "./sequenceInputs.js";

export interface ForwardParts {
  /** Dropout masks by module path. */
  readonly masks?: TensorMap | undefined;
  /** Added to the embeddings, shape [T, D]. */
  readonly noise?: tf.Tensor2D | undefined;
  /** Gradient checkpointing: how many layers are computed again in the backward pass; default 0. */
  readonly recompute?: number | undefined;
}

export interface ScoredStates {
  /** Hidden states of the tokens that predict the scored ones, shape [C, D]. */
  readonly scored: tf.Tensor2D;
  /** The model's weights, for the head. */
  readonly weights: TensorMap;
}

/** @param inputs the model's tensors and sequences (`sequenceSignature`) in the given form */
export function scoredStates(
  model: CausalLM,
  inputs: TensorMap,
  form: SequenceForm,
  { masks, noise, recompute = 0 }: ForwardParts,
): ScoredStates {
  const { config } = model;
  const { weights, adapter } = model.tensors(inputs, masks);
  const { cos, sin, sources } = inputs as Record<string, tf.Tensor>;
  const { segments, parents, wanted } = inputs as Record<string, tf.Tensor1D>;
  const blocks = Array.from({ length: form }, (_, i) => inputs[idsName(i)] as tf.Tensor1D);
  const ids = form === 0 ? inputs["ids"]! : tf.concat(blocks);
  const sequence = { ids: ids as tf.Tensor1D, cos: cos as tf.Tensor2D, sin: sin as tf.Tensor2D };
  const sizes = blocks.map(({ shape }) => shape[0]);
  const attend = form === 0 ? maskedAttention(config, blockMask(segments!, parents!), wanted) : blockwiseAttention(config, sizes);
  const hidden = qwen2Hidden(config, weights, sequence, attend, {
    adapter,
    noise,
    recompute: { layers: recompute, trained: new Set(model.trainable().keys()) },
    // What predicts the first scored token is the last of the first block.
    wanted: form === 0 ? wanted : sizes[0]! - 1,
  });
  return { scored: tf.gather(hidden, sources as tf.Tensor1D) as tf.Tensor2D, weights };
}
