/** What the step benchmarks share: pairs of random tokens, the arithmetic they need, and the machine's own matrix product. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Engine, hostTensor, type TensorMap, tf } from "../src/compile/index.js";
import type { Qwen2Config, Qwen2ForCausalLM } from "../src/model/index.js";
import { publishedConfig } from "../src/model/shapes.js";
import { Random } from "../src/random.js";
import type { PreparedPair } from "../src/train/dpo/pairBatch.js";
import { bucketOf, chooseBuckets } from "../src/train/sequence/buckets.js";
import { layoutPair } from "../src/train/sequence/pairLayout.js";
import { writeRandomCheckpoint } from "../scripts/make-random-checkpoint.js";

/** The folder of a checkpoint of this shape with random weights, made when it is absent. */
export async function randomCheckpoint(shape: string): Promise<string> {
  const folder = join("runs", `random-${shape}`);
  if (!existsSync(folder)) await writeRandomCheckpoint(publishedConfig(shape), { output: folder, dtype: "bf16", seed: 0, tokenizer: null });
  return folder;
}

export function syntheticPairs(count: number, config: Qwen2Config, seed: number, maxBuckets = 4): PreparedPair[] {
  const random = new Random(seed);
  const ids = (mean: number, spread: number): number[] => {
    const length = mean - spread + random.integer(2 * spread + 1);
    return Array.from({ length }, () => random.integer(config.vocab_size));
  };
  const layouts = Array.from({ length: count }, (_, row) =>
    layoutPair({
      row,
      prompt_ids: ids(60, 30),
      chosen_ids: ids(80, 40),
      rejected_ids: ids(80, 40),
      chosen_prompt_start: 0,
      rejected_prompt_start: 0,
      prompt_is_prefix_of_chosen: true,
      prompt_is_prefix_of_rejected: true,
    }),
  );
  const buckets = chooseBuckets(layouts, maxBuckets);
  return layouts.map((layout, i) => {
    const bucket = bucketOf(buckets, layout);
    return { layout, bucket, origin: `row ${i}` };
  });
}

/** Floating-point operations that one pair needs: with an adapter on q and v of every layer, or when all weights are trained. */
export function neededOperations(pair: PreparedPair, config: Qwen2Config, trained: "adapter" | "all"): number {
  const { hidden_size: D, intermediate_size: F, num_hidden_layers: layers, vocab_size: V } = config;
  const kv = config.num_key_value_heads * config.head_dim;
  const tokens = pair.layout.ids.length;
  const perToken = 2 * D * D + 2 * D * kv + 3 * D * F;
  const forward = 2 * layers * perToken * tokens;
  // With an adapter the input gradients of q, k and v of the first layer lie below everything that is trained. All weights: gradients of
  // inputs and of weights, each as much as the forward pass.
  const backward = trained === "all" ? 2 * forward : forward - 2 * (D * D + 2 * D * kv) * tokens;
  const prompt = pair.layout.segments.filter((segment) => segment === 0).length;
  const causal = (n: number, before: number): number => n * before + (n * (n + 1)) / 2;
  const visible = causal(prompt, 0) + causal(pair.layout.chosenLength, prompt) + causal(pair.layout.rejectedLength, prompt);
  // Scores and mixing forward, four products backward.
  const attention = 2 * layers * visible * D * (2 + 4);
  const head = (trained === "all" ? 3 : 2) * 2 * pair.layout.sources.length * V * D;
  return forward + backward + attention + head;
}

/**
 * GFLOP/s of a pair's large matrix products with nothing between them: forward and backward of every layer's three
 * feed-forward weights, and of every block of the head, in one session of their own.
 */
export async function plainSgemm(engine: Engine, model: Qwen2ForCausalLM, tokens: number, scored: number): Promise<() => Promise<number>> {
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

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
