/** The forward pass that every training program begins with. */
import { type TensorMap, blockMask, lastRanges, tf } from "../../compile/index.js";
import { type CausalLM, blockwiseAttention, maskedAttention, qwen2Hidden } from "../../model/index.js";
import { type SequenceForm, idsName } from "./sequenceInputs.js";

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

/** @param inputs the model's tensors and a sequence (`sequenceSignature`) in the given form */
export function scoredStates(
  model: CausalLM,
  inputs: TensorMap,
  form: SequenceForm,
  { masks, noise, recompute = false }: ForwardParts,
): ScoredStates {
  const { config } = model;
  const { weights, adapter } = model.tensors(inputs, masks);
  const { cos, sin, segments, parents, sources } = inputs as Record<string, tf.Tensor>;
  const ids = Array.from({ length: form.rows }, (_, row) =>
    Array.from({ length: form.blocks }, (_, block) => inputs[idsName(row, block)] as tf.Tensor1D),
  );
  const sequences = ids.map((blocks) => blocks.map(({ shape }) => shape[0]));
  const masked = form.blocks === 0;
  const all = masked ? (inputs["ids"] as tf.Tensor1D) : tf.concat(ids.flat());
  const attend = masked
    ? maskedAttention(config, blockMask(segments as tf.Tensor1D, parents as tf.Tensor1D))
    : blockwiseAttention(config, sequences);
  const hidden = qwen2Hidden(config, weights, { ids: all, cos: cos as tf.Tensor2D, sin: sin as tf.Tensor2D }, attend, {
    adapter,
    noise,
    recompute: recompute ? new Set(model.trainable().keys()) : undefined,
    // What predicts the first scored token is the last of the first block.
    wanted: masked ? undefined : lastRanges(sequences),
  });
  return { scored: tf.gather(hidden, sources as tf.Tensor1D) as tf.Tensor2D, weights };
}
