/**
 * The machine's own float32 matrix product, in the sizes of a step: forward and backward of every layer's three feed-forward weights and of
 * every block of the head, with nothing between them, in one session of their own.
 */
import { type Engine, hostTensor, type InputSpec, type TensorMap, tf } from "../../src/compile/index.js";
import { pairTokens, meanOf, scoredTokens, type TokenPair } from "./pairs.js";
import { Random } from "../../src/random.js";
import type { Shape } from "./arithmetic.js";

/** Rows of both kinds of products. */
export interface SgemmRows {
  readonly tokens: number;
  readonly scored: number;
}

/** Those of the mean pair. */
export function sgemmRows(pairs: readonly TokenPair[]): SgemmRows {
  return { tokens: meanOf(pairs, pairTokens), scored: meanOf(pairs, scoredTokens) };
}

/** Rows of the head that are multiplied at a time, as in a step. */
const BLOCK = 8192;
const PARTS = ["gate_proj", "up_proj", "down_proj"] as const;

/** Two runs are about as long as two pairs: short bursts run at higher clock rates than a step can hold. */
const REPEATS = 2;

/**
 * Compiles the products and runs them once.
 * @param engine a float32 model's, whose weights are used where they are; whatever is lacking is put there, 1.8 GB at 0.5B
 * @returns measures: GFLOP/s
 */
export async function plainSgemm(engine: Engine, shape: Shape, { tokens, scored }: SgemmRows): Promise<() => Promise<number>> {
  const { hidden_size: D, intermediate_size: F, num_hidden_layers: layers, vocab_size: V } = shape;
  const weights: Record<string, InputSpec> = {};
  const put = async (name: string, rows: number, columns: number): Promise<void> => {
    if (!engine.has(name)) await engine.put(name, hostTensor(spread(rows * columns), [rows, columns]));
    weights[name] = { shape: [rows, columns], role: "state" };
  };
  const weight = (layer: number, part: string): string => `model.layers.${layer}.mlp.${part}.weight`;
  for (let layer = 0; layer < layers; layer++)
    for (const part of PARTS) await (part === "down_proj" ? put(weight(layer, part), D, F) : put(weight(layer, part), F, D));
  const blocks: string[] = [];
  const head = "model.embed_tokens.weight";
  const own = !engine.has(head);
  for (let start = 0; start < V; start += BLOCK) {
    const [name, rows] = [`sgemm.head.${start}`, Math.min(BLOCK, V - start)];
    if (!own) await engine.view(name, head, start, rows);
    await put(name, rows, D);
    blocks.push(name);
  }
  const program = engine.compile(
    (inputs: TensorMap) => {
      let x = inputs["x"] as tf.Tensor2D;
      // As in a step, a weight comes back only after all others: none is still in the cache.
      const passes: [part: string, transposed: boolean][][] = [
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
      for (const pass of passes)
        for (let layer = 0; layer < layers; layer++)
          for (const [part, transposed] of pass) x = tf.matMul(x, inputs[weight(layer, part)] as tf.Tensor2D, false, transposed);
      let h = inputs["h"] as tf.Tensor2D;
      for (const name of blocks) h = tf.matMul(tf.matMul(h, inputs[name] as tf.Tensor2D, false, true), inputs[name] as tf.Tensor2D);
      return { x, h };
    },
    { x: { shape: [tokens, D] }, h: { shape: [scored, D] }, ...weights },
    { name: "sgemm" },
  );
  const filled = (rows: number) => hostTensor(new Float32Array(rows * D).fill(0.01), [rows, D]);
  const run = () => program.run({ x: filled(tokens), h: filled(scored) });
  await run();
  const operations = 2 * 2 * (PARTS.length * layers * tokens * D * F + scored * V * D);
  return async () => {
    const started = performance.now();
    for (let i = 0; i < REPEATS; i++) await run();
    return (REPEATS * operations) / ((performance.now() - started) * 1e6);
  };
}

/** As a fresh model's weights, deviation 0.02: products keep their size over many layers. A few numbers repeated are as good as many. */
function spread(length: number): Float32Array {
  const random = new Random(0);
  const pool = Float32Array.from({ length: Math.min(length, 4099) }, () => 0.02 * random.normal());
  const values = new Float32Array(length);
  for (let at = 0; at < length; at += pool.length) values.set(pool.subarray(0, Math.min(pool.length, length - at)), at);
  return values;
}
