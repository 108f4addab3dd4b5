/** Model parts and preference losses of the library itself. */
import { type HostTensor, hostTensor, rotaryAngles, tf } from "../../../src/compile/index.js";
import { mergedWeight } from "../../../src/model/lora.js";
import { adapterTensorName } from "../../../src/model/adapterFiles.js";
import { headLogits } from "../../../src/model/head.js";
import { maskedAttention, qwen2Hidden } from "../../../src/model/qwen2.js";
import { parameterShapes, publishedConfig } from "../../../src/model/shapes.js";
import { DPO_LOSSES } from "../../../src/train/dpo/losses.js";
import type { PairLogps } from "../../../src/train/index.js";
import { type ContractCase, contractCase, floats, ints, normal } from "../contractCase.js";

/** The smallest Qwen2 with every part: two layers, grouped queries, an untied head. */
const config = publishedConfig("Qwen2-0.5B", {
  hidden_size: 8,
  intermediate_size: 6,
  num_hidden_layers: 2,
  max_window_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 11,
  bos_token_id: 0,
  eos_token_id: 0,
  tie_word_embeddings: false,
});
const angles = rotaryAngles([0, 1, 2], 4, config.rope_theta);
const weights = Object.fromEntries(
  [...parameterShapes(config)].map(([name, shape], i) => {
    const drawn = normal(shape, i + 10);
    return [
      name,
      hostTensor(
        Float32Array.from(drawn.data, (value) => 0.4 * value + (name.endsWith("norm.weight") ? 1 : 0)),
        shape,
      ),
    ];
  }),
);
const sequence: Record<string, HostTensor> = {
  ids: ints([3, 10, 5]),
  cos: hostTensor(angles.cos, [3, 2]),
  sin: hostTensor(angles.sin, [3, 2]),
};
const causal = floats([
  [0, -1e9, -1e9],
  [0, 0, -1e9],
  [0, 0, 0],
]);
const ADAPTED = "model.layers.0.self_attn.v_proj";
const [A, B] = [adapterTensorName(ADAPTED, "A"), adapterTensorName(ADAPTED, "B")];

const model: ContractCase[] = [
  contractCase({
    name: "Qwen2",
    inputs: { ...weights, ...sequence, causal } as Record<string, HostTensor>,
    tolerance: 2e-5,
    fn: (inputs) => {
      const hidden = qwen2Hidden(config, inputs, inputs as never, maskedAttention(config, inputs["causal"] as tf.Tensor2D));
      return { hidden, logits: headLogits(config, inputs, hidden) };
    },
    gradientOf: [
      "model.layers.0.input_layernorm.weight",
      "model.layers.0.self_attn.k_proj.weight",
      "model.layers.1.self_attn.q_proj.bias",
      "model.norm.weight",
    ],
  }),
  contractCase({
    name: "Qwen2 with an adapter and its dropout mask",
    inputs: {
      ...weights,
      ...sequence,
      causal,
      [A]: normal([2, 8], 5),
      [B]: normal([4, 2], 6),
      mask: floats([
        [0, 2, 2, 0, 2, 2, 2, 0],
        [2, 2, 0, 2, 0, 2, 2, 2],
        [2, 0, 2, 2, 2, 0, 0, 2],
      ]),
    } as Record<string, HostTensor>,
    fn: (inputs) => {
      const adapter = { scaling: 2, weights: inputs, masks: { [ADAPTED]: inputs["mask"]! } };
      return qwen2Hidden(config, inputs, inputs as never, maskedAttention(config, inputs["causal"] as tf.Tensor2D), { adapter });
    },
    gradientOf: [A, B],
  }),
  contractCase({
    name: "merging an adapter",
    inputs: { "layer.weight": normal([4, 8]), a: normal([2, 8], 2), b: normal([4, 2], 3) },
    fn: (inputs) => mergedWeight(0.5, "layer")(inputs),
  }),
];

const pair = {
  policyChosen: floats([-20.5, -31, -12]),
  policyRejected: floats([-24, -29.5, -19]),
  referenceChosen: floats([-21, -30, -14]),
  referenceRejected: floats([-23, -30, -16]),
  chosenLengths: floats([10, 12, 5]),
  rejectedLengths: floats([11, 9, 8]),
};
const losses: ContractCase[] = Object.entries(DPO_LOSSES).map(([name, loss]) =>
  contractCase({
    name: `DPO loss_type ${name}`,
    inputs: pair,
    fn: (inputs) => loss(inputs as unknown as PairLogps, { beta: 0.3 }),
    gradientOf: ["policyChosen", "policyRejected"],
  }),
);

export const preferenceCases: ContractCase[] = [...model, ...losses];
