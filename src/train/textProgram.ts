/** The tensor function of language modelling: weighted negative log-likelihood of a packed sequence, and its gradient. */
import {
  type Engine,
  type InputSpec,
  type Program,
  type TensorMap,
  blockMask,
  headLogProbs,
  tf,
  valueAndGradients,
} from "../compile/index.js";
import { type CausalLM, headName, maskedAttention, qwen2Hidden } from "../model/index.js";
import { gradientName } from "./pairProgram.js";

/**
 * One packed sequence of T tokens with C scored ones. Inputs as a pair's (`ids`, `cos`, `sin`, `segments`, `parents`, `sources`,
 * `targets`), `weights` [C] of the scored tokens, and `carry`, which is 0 to start the gradient sums anew.
 * Outputs: `loss` = Σ weights · −log p, and `correct`, the number of scored tokens with a weight that were the likeliest; both [1].
 */
export function textGradientProgram(engine: Engine, model: CausalLM): Program {
  const trainable = model.trainable();
  const half = model.config.head_dim / 2;
  const embedding = headName(model.config);
  const headTrainable = trainable.has(embedding);
  const blocks = headTrainable ? model.base.headBlocks().map(({ view }) => view) : [];
  const signature: Record<string, InputSpec> = {
    ...model.signature(),
    ids: { shape: ["T"], dtype: "int32" },
    cos: { shape: ["T", half] },
    sin: { shape: ["T", half] },
    segments: { shape: ["T"], dtype: "int32" },
    parents: { shape: ["T"], dtype: "int32" },
    sources: { shape: ["C"], dtype: "int32" },
    targets: { shape: ["C"], dtype: "int32" },
    weights: { shape: ["C"] },
    carry: { shape: [] },
  };
  for (const [name, shape] of trainable)
    signature[gradientName(name)] = { shape, role: "state", store: gradientName(model.storeName(name)) };

  const step = (inputs: TensorMap): TensorMap => {
    const variables = Object.fromEntries([...trainable.keys(), ...blocks].map((name) => [name, inputs[name]!]));
    const { values, gradients } = valueAndGradients((current) => {
      const { weights, adapter } = model.tensors({ ...inputs, ...current });
      const given = inputs as Record<string, tf.Tensor1D>;
      const mask = blockMask(given["segments"]!, given["parents"]!);
      const hidden = qwen2Hidden(model.config, weights, inputs as never, maskedAttention(model.config, mask), { adapter });
      const scored = tf.gather(hidden, given["sources"]!) as tf.Tensor2D; // [C, D]
      const { logps, correct } = headLogProbs(scored, given["targets"]!, model.base.head(weights, headTrainable));
      const counted = tf.cast(tf.greater(given["weights"]!, 0), "float32");
      return {
        loss: tf.neg(tf.sum(tf.mul(logps, given["weights"]!))),
        correct: tf.sum(tf.mul(correct, counted), 0, true),
      };
    }, variables);
    const results: TensorMap = { loss: tf.reshape(values["loss"]!, [1]), correct: values["correct"]! };
    for (const name of trainable.keys()) {
      let gradient = gradients[name]!;
      if (name === embedding && blocks.length > 0)
        gradient = tf.add(
          gradient,
          tf.concat(
            blocks.map((view) => gradients[view] as tf.Tensor2D),
            0,
          ),
        );
      results[gradientName(name)] = tf.add(tf.mul(inputs[gradientName(name)]!, inputs["carry"]!), gradient);
    }
    return results;
  };
  return engine.compile(step, signature, { name: "gradient of a text" });
}
