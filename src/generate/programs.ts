/** The programs of a decoder. T new tokens of a sequence of S, H·hd query columns, K·hd key and value columns. */
import { type Engine, type InputSpec, type Program, type TensorMap, cachedAttention, tf } from "../compile/index.js";
import { type Attend, type CausalLM, headLogits, qwen2Hidden } from "../model/index.js";
import { cacheNames, cacheWidth } from "./keyValueCache.js";

function attentionShape({ config }: CausalLM) {
  return { heads: config.num_attention_heads, kvHeads: config.num_key_value_heads };
}

/** Reads T tokens of one sequence behind those in its cache. Outputs: `logits` [1, V] of the last one; `new.k.LAYER`, `new.v.LAYER` [T, K·hd]. */
export function rowProgram(model: CausalLM, engine: Engine): Program {
  const { config } = model;
  const half = config.head_dim / 2;
  const signature: Record<string, InputSpec> = {
    ...model.signature(),
    ids: { shape: ["T"], dtype: "int32" },
    cos: { shape: ["T", half] },
    sin: { shape: ["T", half] },
    mask: { shape: ["T", "S"] },
  };
  for (const name of cacheNames(config)) signature[name] = { shape: ["S", cacheWidth(config)], role: "state" };
  const read = (inputs: TensorMap): TensorMap => {
    const { weights, adapter } = model.tensors(inputs);
    const outputs: TensorMap = {};
    const attend: Attend = (layer, q, k, v) => {
      const [keys, values] = [inputs[`k.${layer}`] as tf.Tensor2D, inputs[`v.${layer}`] as tf.Tensor2D];
      // The last token alone, in the last layer, sees all.
      const mask = q.shape[0] < k.shape[0] ? undefined : (inputs["mask"] as tf.Tensor2D);
      const { out, newKeys, newValues } = cachedAttention(q, k, v, keys, values, mask, attentionShape(model));
      outputs[`new.k.${layer}`] = newKeys;
      outputs[`new.v.${layer}`] = newValues;
      return out;
    };
    const hidden = qwen2Hidden(config, weights, inputs as never, attend, {
      adapter,
      wanted: inputs["ids"]!.shape[0]! - 1,
    });
    outputs["logits"] = headLogits(config, weights, hidden);
    return outputs;
  };
  return engine.compile(read, signature, { name: "decode", sizes: "any", inPlace: true, key: model.computation });
}

/**
 * Reads one token of each of several sequences with caches of their own. Inputs and outputs of the caches end in the lane's number;
 * `logits` is [lanes, V].
 */
export function laneProgram(model: CausalLM, engine: Engine, lanes: number): Program {
  const { config } = model;
  const half = config.head_dim / 2;
  const signature: Record<string, InputSpec> = {
    ...model.signature(),
    ids: { shape: [lanes], dtype: "int32" },
    cos: { shape: [lanes, half] },
    sin: { shape: [lanes, half] },
  };
  for (let lane = 0; lane < lanes; lane++) {
    for (const name of cacheNames(config)) signature[`${name}.${lane}`] = { shape: [`S${lane}`, cacheWidth(config)], role: "state" };
  }
  const read = (inputs: TensorMap): TensorMap => {
    const { weights, adapter } = model.tensors(inputs);
    const outputs: TensorMap = {};
    const attend: Attend = (layer, q, k, v) => {
      const [qs, ks, vs] = [q, k, v].map((rows) => tf.split(rows, lanes, 0)) as [tf.Tensor2D[], tf.Tensor2D[], tf.Tensor2D[]];
      const attended = qs.map((row, lane) => {
        const [keys, values] = [inputs[`k.${layer}.${lane}`] as tf.Tensor2D, inputs[`v.${layer}.${lane}`] as tf.Tensor2D];
        const { out, newKeys, newValues } = cachedAttention(row, ks[lane]!, vs[lane]!, keys, values, undefined, attentionShape(model));
        outputs[`new.k.${layer}.${lane}`] = newKeys;
        outputs[`new.v.${layer}.${lane}`] = newValues;
        return out;
      });
      return tf.concat(attended, 0) as tf.Tensor2D;
    };
    const hidden = qwen2Hidden(config, weights, inputs as never, attend, { adapter });
    outputs["logits"] = headLogits(config, weights, hidden);
    return outputs;
  };
  return engine.compile(read, signature, { name: `decode ${lanes} sequences`, sizes: "any", inPlace: true, key: model.computation });
}

/** Copies the first rows of one cache into another. */
export function copyProgram(model: CausalLM, engine: Engine): Program {
  const names = cacheNames(model.config);
  const signature = Object.fromEntries(names.map((name) => [name, { shape: ["S", cacheWidth(model.config)], role: "state" } as const]));
  const copy = (inputs: TensorMap): TensorMap => Object.fromEntries(names.map((name) => [`new.${name}`, tf.clone(inputs[name]!)]));
  return engine.compile(copy, signature, { name: "copy of a cache", sizes: "any", inPlace: true, key: "copy" });
}
