/**
 * Qwen2 and DPO once more, written from the definitions without any fused operation, prefix sharing or blocks of the
 * vocabulary: two plain causal sequences a pair, whole logits, TensorFlow.js's own gradients on its `cpu` backend.
 */
import { tf } from "../../src/compile/index.js";
import type { CausalLM, Qwen2Config } from "../../src/model/index.js";
import { DPOConfig, type DPOLossFunction } from "../../src/train/index.js";
import { countColumns } from "../../src/train/dpo/batchLoss.js";
import type { PairLayout } from "../../src/train/sequence/pairLayout.js";
import type { PreparedPair, ReferenceLogps } from "../../src/train/dpo/pairBatch.js";

type Weights = Record<string, tf.Tensor>;

/** All weights of a model and its adapter, by checkpoint name. */
export async function fetchWeights(model: CausalLM): Promise<Record<string, { data: Float32Array; shape: readonly number[] }>> {
  const engine = await model.load();
  const stored: [string, string][] = [...model.base.trainable().keys()].map((name) => [name, name]);
  if (model.peft_config !== undefined) for (const name of model.trainable().keys()) stored.push([name, model.storeName(name)]);
  const weights: Record<string, { data: Float32Array; shape: readonly number[] }> = {};
  for (const [name, store] of stored) {
    const { data, shape } = await engine.fetch(store);
    weights[name] = { data: data as Float32Array, shape };
  }
  return weights;
}

/** The two sequences of a pair: ids, and where the completion begins. */
function sequencesOf({ ids, segments }: PairLayout): { chosen: [number[], number]; rejected: [number[], number] } {
  const of = (...wanted: number[]): number[] => ids.filter((_, i) => wanted.includes(segments[i]!));
  const ownPrompt = segments.includes(3) ? 3 : 0;
  return { chosen: [of(0, 1), of(0).length], rejected: [of(ownPrompt, 2), of(ownPrompt).length] };
}

function norm(x: tf.Tensor, weight: tf.Tensor, epsilon: number): tf.Tensor {
  return tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon))), weight);
}

/** The summed log-prob of ids[begin…] given what stands before each; the very first id has nothing before it and is not scored. */
function completionLogp(config: Qwen2Config, w: Weights, scaling: number, ids: number[], begin: number): tf.Scalar {
  const T = ids.length;
  const { head_dim: size, num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const linear = (x: tf.Tensor, path: string): tf.Tensor => {
    let y = tf.matMul(x, w[`${path}.weight`]!, false, true);
    if (w[`${path}.bias`] !== undefined) y = tf.add(y, w[`${path}.bias`]!);
    const [a, b] = ["A", "B"].map((matrix) => w[`base_model.model.${path}.lora_${matrix}.weight`]);
    if (a !== undefined && b !== undefined) y = tf.add(y, tf.mul(tf.matMul(tf.matMul(x, a, false, true), b, false, true), scaling));
    return y;
  };
  const angles = Array.from({ length: T }, (_, t) =>
    Array.from({ length: size }, (_, i) => t * config.rope_theta ** ((-2 * (i % (size / 2))) / size)),
  );
  const cos = tf.cos(tf.tensor2d(angles));
  const sin = tf.sin(tf.tensor2d(angles));
  const rotated = (x: tf.Tensor): tf.Tensor => {
    const [low, high] = tf.split(x, 2, 1);
    return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(high!), low!], 1), sin));
  };
  const hidden = tf.sub(tf.linalg.bandPart(tf.ones([T, T]), -1, 0), 1);
  const mask = tf.mul(hidden, 1e9); // 0 on and below the diagonal
  // A product, because the gradient of tf.gather visits the vocabulary row by row.
  let x: tf.Tensor = tf.matMul(tf.oneHot(tf.tensor1d(ids, "int32"), config.vocab_size), w["model.embed_tokens.weight"]!);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const seen = norm(x, w[`${prefix}.input_layernorm.weight`]!, config.rms_norm_eps);
    const q = tf.split(linear(seen, `${prefix}.self_attn.q_proj`), heads, 1);
    const k = tf.split(linear(seen, `${prefix}.self_attn.k_proj`), kvHeads, 1);
    const v = tf.split(linear(seen, `${prefix}.self_attn.v_proj`), kvHeads, 1);
    const outputs = q.map((query, head) => {
      const group = Math.floor(head / (heads / kvHeads));
      const scores = tf.div(tf.matMul(rotated(query), rotated(k[group]!), false, true), Math.sqrt(size));
      return tf.matMul(tf.softmax(tf.add(scores, mask)), v[group]!);
    });
    x = tf.add(x, linear(tf.concat(outputs, 1), `${prefix}.self_attn.o_proj`));
    const fed = norm(x, w[`${prefix}.post_attention_layernorm.weight`]!, config.rms_norm_eps);
    const gate = linear(fed, `${prefix}.mlp.gate_proj`);
    x = tf.add(x, linear(tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear(fed, `${prefix}.mlp.up_proj`)), `${prefix}.mlp.down_proj`));
  }
  const last = norm(x, w["model.norm.weight"]!, config.rms_norm_eps);
  const head = w[config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"]!;
  const logps = tf.logSoftmax(tf.matMul(last, head, false, true)); // [T, V]
  const first = Math.max(begin, 1);
  const cells = ids.slice(first).map((id, i) => [first - 1 + i, id]);
  return tf.sum(tf.gatherND(logps, tf.tensor2d(cells, [cells.length, 2], "int32")));
}

export interface PlainResult {
  readonly loss: number;
  readonly chosen: number[];
  readonly rejected: number[];
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Loss, log-probs and gradients of a batch as one function of all pairs. */
export async function plainGradients(
  model: CausalLM,
  pairs: readonly PreparedPair[],
  references: readonly ReferenceLogps[],
  loss: DPOLossFunction,
  beta: number,
): Promise<PlainResult> {
  const stored = await fetchWeights(model);
  await tf.setBackend("cpu");
  tf.engine().startScope();
  try {
    const fixed: Weights = Object.fromEntries(Object.entries(stored).map(([name, { data, shape }]) => [name, tf.tensor(data, [...shape])]));
    const names = [...model.trainable().keys()];
    const scaling = model.peft_config?.scaling ?? 0;
    const logps = { chosen: [] as number[], rejected: [] as number[] };
    const mean = (...variables: tf.Tensor[]): tf.Scalar => {
      const weights = { ...fixed, ...Object.fromEntries(names.map((name, i) => [name, variables[i]!])) };
      const side = (which: "chosen" | "rejected"): tf.Tensor1D => {
        const sums = tf.stack(pairs.map(({ layout }) => completionLogp(model.config, weights, scaling, ...sequencesOf(layout)[which])));
        logps[which] = [...sums.dataSync()];
        return sums as tf.Tensor1D;
      };
      const counts = countColumns(pairs);
      const column = (name: keyof typeof counts): tf.Tensor1D => tf.tensor1d(counts[name]);
      const policyChosen = side("chosen");
      const values = loss(
        {
          policyChosen,
          policyRejected: side("rejected"),
          referenceChosen: tf.tensor1d(references.map(({ chosen }) => chosen)),
          referenceRejected: tf.tensor1d(references.map(({ rejected }) => rejected)),
          chosenLengths: column("chosenLengths"),
          rejectedLengths: column("rejectedLengths"),
          chosenTokens: column("chosenTokens"),
          rejectedTokens: column("rejectedTokens"),
          chosenNll: tf.neg(policyChosen),
          nllTokens: column("nllTokens"),
        },
        new DPOConfig({ beta }),
      );
      return tf.mean(values);
    };
    const { value, grads } = tf.valueAndGrads(mean)(names.map((name) => fixed[name]!));
    return {
      loss: value.dataSync()[0]!,
      ...logps,
      gradients: new Map(names.map((name, i) => [name, grads[i]!.dataSync() as Float32Array])),
    };
  } finally {
    tf.engine().endScope();
  }
}
