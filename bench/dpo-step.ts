/**
 * One LoRA DPO step at Qwen2-0.5B shape, beside the machine's own matrix product in the same minute:
 *
 *     npm run build && node dist/bench/dpo-step.js [--pairs 5] [--rounds 3] [--shape Qwen2-0.5B]
 *
 * Needed arithmetic counts what no exact method can leave out: prompt once, both completions, the head on completions
 * only, no gradients of frozen weights, nothing below the first adapter; attention by its visible pairs of tokens.
 * Plain sgemm is a pair's large matrix products, the same shapes and weights, with nothing between them.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Engine, hostTensor, type TensorMap, tf } from "../src/compile/index.js";
import { AutoModelForCausalLM, LoraConfig, type Qwen2Config, type Qwen2ForCausalLM, get_peft_model } from "../src/model/index.js";
import { Random } from "../src/random.js";
import { publishedConfig } from "../src/model/shapes.js";
import { AdamW } from "../src/train/optimizer/adamw.js";
import { DPOConfig } from "../src/train/options/dpoConfig.js";
import { MicroBatchRunner } from "../src/train/dpo/microBatch.js";
import type { PreparedPair } from "../src/train/dpo/pairBatch.js";
import { dpoPreference } from "../src/train/dpo/preference.js";
import { writeRandomCheckpoint } from "../scripts/make-random-checkpoint.js";
import { syntheticPairs } from "./syntheticPairs.js";

/** Floating-point operations that one pair needs. */
function neededOperations(pair: PreparedPair, config: Qwen2Config): number {
  const { hidden_size: D, intermediate_size: F, num_hidden_layers: layers, vocab_size: V } = config;
  const kv = config.num_key_value_heads * config.head_dim;
  const tokens = pair.layout.ids.length;
  const perToken = 2 * D * D + 2 * D * kv + 3 * D * F;
  const forward = 2 * layers * perToken * tokens;
  // The input gradients of q, k and v of the first layer lie below the first adapter.
  const backward = forward - 2 * (D * D + 2 * D * kv) * tokens;
  const prompt = pair.layout.segments.filter((segment) => segment === 0).length;
  const causal = (n: number, before: number): number => n * before + (n * (n + 1)) / 2;
  const visible = causal(prompt, 0) + causal(pair.layout.chosenLength, prompt) + causal(pair.layout.rejectedLength, prompt);
  // Scores and mixing forward, four products backward.
  const attention = 2 * layers * visible * D * (2 + 4);
  const head = 2 * 2 * pair.layout.sources.length * V * D;
  return forward + backward + attention + head;
}

/**
 * GFLOP/s of a pair's large matrix products with nothing between them: forward and backward of every layer's three
 * feed-forward weights, and of every block of the head, in one session of their own.
 */
async function plainSgemm(engine: Engine, model: Qwen2ForCausalLM, tokens: number, scored: number): Promise<() => Promise<number>> {
  const { hidden_size: D, intermediate_size: F, num_hidden_layers: layers, vocab_size: V } = model.config;
  const signature = model.signature();
  const feedForward = Object.keys(signature).filter((name) => name.includes(".mlp."));
  const blocks = model.headBlocks().map(({ view }) => view);
  const program = engine.compile(
    (inputs: TensorMap) => {
      let x = inputs["x"] as tf.Tensor2D;
      const product = (layer: number, part: string, transposed: boolean): void => {
        x = tf.matMul(x, inputs[`model.layers.${layer}.mlp.${part}.weight`] as tf.Tensor2D, false, transposed);
      };
      // As in a step, a weight comes back only after all others: none is still in the cache.
      const passes: [string, boolean][][] = [
        [
          ["up_proj", true],
          ["down_proj", true],
        ],
        [
          ["gate_proj", true],
          ["up_proj", false],
        ],
        [
          ["down_proj", false],
          ["gate_proj", false],
        ],
      ];
      for (const pass of passes) {
        for (let layer = 0; layer < layers; layer++) for (const [part, transposed] of pass) product(layer, part, transposed);
      }
      let h = inputs["h"] as tf.Tensor2D;
      for (const name of blocks) h = tf.matMul(tf.matMul(h, inputs[name] as tf.Tensor2D, false, true), inputs[name] as tf.Tensor2D);
      return { x, h };
    },
    {
      x: { shape: [tokens, D] },
      h: { shape: [scored, D] },
      ...Object.fromEntries([...feedForward, ...blocks].map((name) => [name, signature[name]!])),
    },
    { name: "sgemm" },
  );
  const filled = (rows: number) => hostTensor(new Float32Array(rows * D).fill(0.01), [rows, D]);
  const inputs = { x: filled(tokens), h: filled(scored) };
  await program.run(inputs);
  const operations = 2 * 2 * (3 * layers * tokens * D * F + scored * V * D);
  // Two runs are about as long as two pairs: short bursts run at higher clock rates than a step can hold.
  const repeats = 2;
  return async () => {
    const started = performance.now();
    for (let i = 0; i < repeats; i++) await program.run(inputs);
    return (repeats * operations) / ((performance.now() - started) * 1e6);
  };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
      shape: { type: "string", default: "Qwen2-0.5B" },
    },
  });
  const folder = join("runs", `random-${values.shape}`);
  if (!existsSync(folder))
    await writeRandomCheckpoint(publishedConfig(values.shape), { output: folder, dtype: "bf16", seed: 0, tokenizer: null });
  const base = await AutoModelForCausalLM.from_pretrained(folder);
  const started = performance.now();
  const engine = await base.load();
  console.log(`${engine.description}; weights read in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  console.log(`memory after loading: ${(process.memoryUsage().rss / 2 ** 30).toFixed(2)} GB`);
  const model = get_peft_model(base, new LoraConfig({ r: 16, lora_alpha: 32, target_modules: ["q_proj", "v_proj"] }));
  await model.load();
  const args = new DPOConfig({ per_device_train_batch_size: Number(values.pairs) });
  const pairs = syntheticPairs(Number(values.pairs), base.config, 0);
  const references = pairs.map(() => ({ chosen: -900, rejected: -900 }));
  const operations = pairs.reduce((sum, pair) => sum + neededOperations(pair, base.config), 0);
  const padded = pairs.reduce((sum, { bucket }) => sum + bucket.tokens, 0) / pairs.reduce((sum, { layout }) => sum + layout.ids.length, 0);
  console.log(
    `${pairs.length} pairs, tokens ${pairs.map(({ layout }) => layout.ids.length).join(" ")}, buckets ${[...new Set(pairs.map(({ bucket }) => `${bucket.tokens}/${bucket.scored}`))].join(" ")}, padding ${((padded - 1) * 100).toFixed(1)} %`,
  );
  console.log(`needed arithmetic: ${(operations / 1e9).toFixed(0)} GFLOP a step`);

  const runner = await MicroBatchRunner.create(engine, model, args, dpoPreference(args));
  const optimizer = await AdamW.create(engine, model, args);
  const tokens = Math.round(pairs.reduce((sum, { layout }) => sum + layout.ids.length, 0) / pairs.length);
  const scored = Math.round(pairs.reduce((sum, { layout }) => sum + layout.sources.length, 0) / pairs.length);
  const sgemm = await plainSgemm(engine, base, tokens, scored);
  const step = async (): Promise<number> => {
    const begin = performance.now();
    await runner.run(pairs, references, { of: 1, index: 0, random: new Random(0) });
    await optimizer.gradientNorm();
    await optimizer.step(1e-6, 1);
    return (performance.now() - begin) / 1000;
  };
  console.log(`first step, with tracing and sessions: ${(await step()).toFixed(1)} s`);
  const ratios: number[] = [];
  const seconds: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const before = await sgemm();
    const time = await step();
    const plain = (before + (await sgemm())) / 2;
    const reached = operations / time / 1e9;
    ratios.push(reached / plain);
    seconds.push(time);
    console.log(
      `round ${round + 1}: step ${time.toFixed(2)} s, needed ${reached.toFixed(1)} GFLOP/s, plain sgemm ${plain.toFixed(1)} GFLOP/s, ratio ${(reached / plain).toFixed(3)}`,
    );
  }
  const peak = process.resourceUsage().maxRSS / 1024 / 1024;
  console.log(
    `median: ${median(seconds).toFixed(2)} s a step, ${(pairs.length / median(seconds)).toFixed(3)} pairs/s, ratio ${median(ratios).toFixed(3)}, peak memory ${peak.toFixed(2)} GB`,
  );
  await base.dispose();
}

await main();
