/** Model parts and preference losses of the library itself. */
import { type HostTensor, hostTensor, rotaryAngles, tf, valueAndGradients } from "../../../src/compile/index.js";
import { mergedProjection } from "../../../src/model/merge.js";
import { type AdaptedModule, adapterBiasName, adapterTensorName, magnitudeName } from "../../../src/model/adapterPlan.js";
import { headLogits } from "../../../src/model/head.js";
import { maskedAttention, qwen2Hidden } from "../../../src/model/qwen2.js";
import { parameterShapes, publishedConfig } from "../../../src/model/shapes.js";
import { DPO_LOSSES } from "../../../src/train/dpo/losses.js";
import { cpoLoss, orpoLoss } from "../../../src/train/dpo/policyLosses.js";
import { CPOConfig, type DPOLossName, type PairLogps } from "../../../src/train/index.js";
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
const [LENGTHS, LOW_BIAS] = [magnitudeName(ADAPTED), adapterBiasName(ADAPTED)];
const plain: AdaptedModule = { path: ADAPTED, r: 2, scaling: 2, inputs: 8, outputs: 4, hasBias: true, dora: false, loraBias: false };
const lengths = floats([1.5, 0.7, 2, 1.1]);
const dropped = floats([
  [0, 2, 2, 0, 2, 2, 2, 0],
  [2, 2, 0, 2, 0, 2, 2, 2],
  [2, 0, 2, 2, 2, 0, 0, 2],
]);

/** Qwen2 with an adapter on one module. */
function adaptedModel(name: string, module: AdaptedModule, more: Record<string, HostTensor>, masked: boolean): ContractCase {
  return contractCase({
    name,
    inputs: { ...weights, ...sequence, causal, [A]: normal([2, 8], 5), [B]: normal([4, 2], 6), mask: dropped, ...more } as Record<
      string,
      HostTensor
    >,
    fn: (inputs) => {
      const layers = [{ prefix: "", modules: new Map([[ADAPTED, module]]) }];
      const adapter = { layers, weights: inputs, masks: masked ? { [ADAPTED]: inputs["mask"]! } : undefined };
      return qwen2Hidden(config, inputs, inputs as never, maskedAttention(config, inputs["causal"] as tf.Tensor2D), { adapter });
    },
    // DoRA's rule treats the lengths of the rows as constants: central differences would not, so A and B are checked elsewhere.
    gradientOf: module.dora ? [LENGTHS] : [A, B, ...Object.keys(more)],
  });
}

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
  adaptedModel("Qwen2 with an adapter and its dropout mask", plain, {}, true),
  adaptedModel("Qwen2 with a bias in its adapter", { ...plain, loraBias: true }, { [LOW_BIAS]: normal([4], 7) }, false),
  adaptedModel("Qwen2 with DoRA", { ...plain, dora: true }, { [LENGTHS]: lengths }, false),
  adaptedModel("Qwen2 with DoRA and its dropout mask", { ...plain, dora: true }, { [LENGTHS]: lengths }, true),
  contractCase({
    name: "merging adapters",
    inputs: {
      [`${ADAPTED}.weight`]: normal([4, 8]),
      [`${ADAPTED}.bias`]: normal([4], 9),
      [A]: normal([2, 8], 2),
      [B]: normal([4, 2], 3),
      [LOW_BIAS]: normal([4], 8),
      [LENGTHS]: lengths,
    } as Record<string, HostTensor>,
    fn: (inputs) =>
      mergedProjection(ADAPTED, [
        { module: { ...plain, loraBias: true }, prefix: "" },
        { module: { ...plain, scaling: 0.5, dora: true }, prefix: "" },
      ])(inputs),
  }),
];

const pair = {
  policyChosen: floats([-20.5, -31, -12]),
  policyRejected: floats([-24, -29.5, -19]),
  referenceChosen: floats([-21, -30, -14]),
  referenceRejected: floats([-23, -30, -16]),
  chosenLengths: floats([10, 12, 5]),
  rejectedLengths: floats([11, 9, 8]),
  chosenTokens: floats([10, 12, 4]),
  rejectedTokens: floats([11, 9, 7]),
  chosenNll: floats([20.5, 31, 12]),
  nllTokens: floats([9, 9, 9]),
};
/** Log-ratios of ±1e4 in all combinations, and log-probs of 0: what a run that went astray brings. */
const extreme = {
  ...pair,
  policyChosen: floats([-1e4, -1e4, -1, 0]),
  policyRejected: floats([-1, -1e4, -1e4, 0]),
  referenceChosen: floats([-1, -1, -1e4, -1]),
  referenceRejected: floats([-1e4, -1, -1, 0]),
  chosenLengths: floats([1, 12, 5, 1]),
  rejectedLengths: floats([11, 1, 8, 1]),
  chosenTokens: floats([1, 12, 5, 1]),
  rejectedTokens: floats([11, 1, 8, 1]),
  chosenNll: floats([1e4, 1e4, 1, 0]),
  nllTokens: floats([4.5, 4.5, 4.5, 4.5]),
};
type Loss = (logps: PairLogps) => tf.Tensor1D;

const divergences = (["forward_kl", "js_divergence", "alpha_divergence"] as const).flatMap((f_divergence_type): [string, Loss][] =>
  ["sigmoid", "ipo"].map((name) => [
    `loss_type ${name}, ${f_divergence_type}`,
    (logps) => DPO_LOSSES[name as DPOLossName](logps, { beta: 0.3, f_divergence_type }),
  ]),
);
const cpo = (["sigmoid", "hinge", "ipo", "simpo"] as const).flatMap((loss_type): [string, Loss][] =>
  [0, 0.25, -0.25].map((alpha) => {
    const args = new CPOConfig({ loss_type, alpha, label_smoothing: loss_type === "hinge" || loss_type === "ipo" ? 0 : 0.1 });
    return [`CPO ${loss_type}, alpha ${alpha}`, (logps) => cpoLoss(logps, args)];
  }),
);
const everyLoss: [string, Loss][] = [
  ...Object.entries(DPO_LOSSES).map(([name, loss]): [string, Loss] => [
    `DPO loss_type ${name}`,
    (logps) => loss(logps, { beta: 0.3, label_smoothing: 0.1 }),
  ]),
  ...divergences,
  ...cpo,
  ["ORPO", (logps) => orpoLoss(logps, { beta: 0.3 })],
];

const losses: ContractCase[] = everyLoss.flatMap(([name, loss]) => {
  const gradientOf = name.endsWith("sft") ? (["chosenNll"] as const) : (["policyChosen", "policyRejected"] as const);
  return [
    contractCase({ name, inputs: pair, fn: (inputs) => loss(inputs as unknown as PairLogps), gradientOf: [...gradientOf] }),
    // Float32 has no central differences at 1e4: losses.test.ts says what these are.
    contractCase({
      name: `${name}, gradient at extreme log-ratios`,
      inputs: extreme,
      fn: ({ policyChosen, policyRejected, chosenNll, ...rest }) => {
        const of = (current: Record<string, tf.Tensor>) => ({ loss: tf.sum(loss({ ...rest, ...current } as unknown as PairLogps)) });
        return valueAndGradients(of, { policyChosen, policyRejected, chosenNll }).gradients;
      },
    }),
  ];
});

export const preferenceCases: ContractCase[] = [...model, ...losses];
