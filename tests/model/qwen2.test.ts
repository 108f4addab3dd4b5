/** The model against transformers: tests/golden/forward.json, on both engines. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { blockMask, headLogProbs, hostTensor, rotaryAngles, type TensorMap, tf } from "../../src/compile/index.js";
import { AutoModelForCausalLM, type CausalLM, headLogits, maskedAttention, qwen2Hidden } from "../../src/model/index.js";

interface ForwardCase {
  ids: number[];
  logits_last: number[];
  token_logps: number[];
  bf16_checkpoint_logits_last: number[];
  hidden_state_last_position_first8: Record<string, number[]>;
  hidden_state_l2_per_position: Record<string, number[]>;
}
const golden = JSON.parse(readFileSync("tests/golden/forward.json", "utf8")) as { prompts: ForwardCase[] };

/** Logits, token log-probs and hidden states of one prompt. */
async function forward(model: CausalLM, ids: number[]) {
  const engine = await model.load();
  const { config } = model;
  const run = engine.compile(
    (inputs: TensorMap) => {
      const { weights, adapter } = model.tensors(inputs);
      const hidden: TensorMap = {};
      const mask = blockMask(tf.zeros([ids.length], "int32"), tf.fill([ids.length], -1, "int32"));
      const states = qwen2Hidden(config, weights, inputs as never, maskedAttention(config, mask), {
        adapter,
        onHidden: (state) => void (hidden[`hidden${Object.keys(hidden).length}`] = state),
      });
      const targets = inputs["targets"] as tf.Tensor1D;
      const { logps } = headLogProbs(tf.slice(states, 0, ids.length - 1), targets, model.base.head(weights, "none"));
      return { logits: headLogits(config, weights, tf.slice(states, ids.length - 1, 1)), logps, ...hidden };
    },
    {
      ...model.signature(),
      ids: { shape: ["T"], dtype: "int32" },
      targets: { shape: ["C"], dtype: "int32" },
      cos: { shape: ["T", config.head_dim / 2] },
      sin: { shape: ["T", config.head_dim / 2] },
    },
    { name: "forward" },
  );
  const { cos, sin } = rotaryAngles(
    ids.map((_, i) => i),
    config.head_dim,
    config.rope_theta,
  );
  const half = config.head_dim / 2;
  const results = await run.run({
    ids: hostTensor(Int32Array.from(ids), [ids.length]),
    targets: hostTensor(Int32Array.from(ids.slice(1)), [ids.length - 1]),
    cos: hostTensor(cos, [ids.length, half]),
    sin: hostTensor(sin, [ids.length, half]),
  });
  await run.dispose();
  return results;
}

function largest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < b.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

describe.each(["compiled", "eager"] as const)("Qwen2 on engine %s", (engine) => {
  const open = (dir: string) => AutoModelForCausalLM.from_pretrained(`tests/golden/${dir}`, { engine });
  const models = { f32: open("tiny-qwen2"), bf16: open("bf16") };
  afterAll(async () => {
    for (const model of Object.values(models)) await (await model).dispose();
  });

  it.each(golden.prompts.map((prompt, i) => [i, prompt] as const))("prompt %i: logits, log-probs and hidden states", async (_i, prompt) => {
    const result = await forward(await models.f32, prompt.ids);
    const logits = largest(result["logits"]!.data, prompt.logits_last);
    const logps = largest(result["logps"]!.data, prompt.token_logps);
    console.log(`${engine}: largest difference: logits ${logits.toExponential(1)}, log-probs ${logps.toExponential(1)}`);
    expect(logits).toBeLessThan(5e-5);
    expect(logps).toBeLessThan(5e-5);
    const layers = { embeddings: "hidden0", after_layer_0: "hidden1", after_layer_1: "hidden2", after_final_norm: "hidden3" };
    for (const [name, output] of Object.entries(layers)) {
      const { data, shape } = result[output]!;
      const width = shape[1]!;
      const last = data.subarray((prompt.ids.length - 1) * width);
      expect(largest(last, prompt.hidden_state_last_position_first8[name]!), name).toBeLessThan(1e-4);
      const norms = prompt.ids.map((_, t) => Math.hypot(...data.subarray(t * width, (t + 1) * width)));
      expect(largest(norms, prompt.hidden_state_l2_per_position[name]!), name).toBeLessThan(5e-4);
    }
  });

  it("a sharded bf16 checkpoint", async () => {
    for (const prompt of golden.prompts) {
      const { logits } = await forward(await models.bf16, prompt.ids);
      expect(largest(logits!.data, prompt.bf16_checkpoint_logits_last)).toBeLessThan(5e-5);
    }
  });
});
