/** The tensor function of language modelling: weighted negative log-likelihood of a packed sequence, and its gradient. */
import { type Engine, type Program, type TensorMap, blockMask, headLogProbs, tf, valueAndGradients } from "../../compile/index.js";
import { type CausalLM, maskedAttention, qwen2Hidden } from "../../model/index.js";
import { GradientSums, headIsFrozen, sequenceSignature } from "../optimizer/gradientSums.js";

/**
 * One packed sequence of T tokens with C scored ones. Inputs as a pair's (`ids`, `cos`, `sin`, `segments`, `parents`, `sources`,
 * `targets`), `weights` [C] of the scored tokens, and `carry`, which is 0 to start the gradient sums anew.
 * Outputs: `loss` = Σ weights · −log p, and `correct`, the number of scored tokens with a weight that were the likeliest; both [1].
 */
export function textGradientProgram(engine: Engine, model: CausalLM): Program {
  const sums = new GradientSums(model);
  const signature = { ...sequenceSignature(model), ...sums.signature(), weights: { shape: ["C"] } };

  const step = (inputs: TensorMap): TensorMap => {
    const { values, gradients } = valueAndGradients((current) => {
      const { weights, adapter } = model.tensors({ ...inputs, ...current });
      const given = inputs as Record<string, tf.Tensor1D>;
      const mask = blockMask(given["segments"]!, given["parents"]!);
      const hidden = qwen2Hidden(model.config, weights, inputs as never, maskedAttention(model.config, mask), { adapter });
      const scored = tf.gather(hidden, given["sources"]!) as tf.Tensor2D; // [C, D]
      const { logps, correct } = headLogProbs(scored, given["targets"]!, model.base.head(weights, !headIsFrozen(model)));
      const counted = tf.cast(tf.greater(given["weights"]!, 0), "float32");
      return {
        loss: tf.neg(tf.sum(tf.mul(logps, given["weights"]!))),
        correct: tf.sum(tf.mul(correct, counted), 0, true),
      };
    }, sums.variables(inputs));
    return { loss: tf.reshape(values["loss"]!, [1]), correct: values["correct"]!, ...sums.added(inputs, gradients) };
  };
  return engine.compile(step, signature, { name: "gradient of a text" });
}
