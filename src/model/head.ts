/** The language-model head: which weight it is, and how it is cut into blocks. */
import { type Head, type HeadGradient, type TensorMap, blockMatMul, headBlock, tf } from "../compile/index.js";
import { ModelError } from "../errors.js";
import { blocksOf, halfOf } from "./baseWeight.js";
import type { Qwen2Config } from "./config.js";

/** Store name of the mean of the head's rows. */
export const HEAD_MEAN = "head.mean";

/** Rows of one block of the language-model head. 8,192 rows of logits for 160 tokens are 5 MB: they stay in the cache. */
const HEAD_BLOCK_ROWS = 8192;

/** Name of the head's weight: the embedding when it is tied. */
export function headName(config: Qwen2Config): string {
  return config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
}

/** Views of the head's rows by store name; none when the vocabulary is small enough for one block. */
export function headBlocks({ vocab_size: rows }: Qwen2Config): { view: string; start: number; rows: number }[] {
  if (rows <= 2 * HEAD_BLOCK_ROWS) return [];
  const count = Math.ceil(rows / HEAD_BLOCK_ROWS);
  return Array.from({ length: count }, (_, i) => {
    const start = i * HEAD_BLOCK_ROWS;
    return { view: `head.block.${i}`, start, rows: Math.min(HEAD_BLOCK_ROWS, rows - start) };
  });
}

/** Which of the named weights is the head. One of its own counts also for a tied model: an adapter has untied it. */
function presentHead(config: Qwen2Config, weights: TensorMap): string {
  const own = "lm_head.weight";
  return [own, `${own}.half`, `${own}.block_codes`].some((part) => part in weights) ? own : headName(config);
}

/** The head out of a program's inputs. A frozen head may come with the mean of its rows, `HEAD_MEAN`. */
export function headOf(config: Qwen2Config, weights: TensorMap, gradient: HeadGradient): Head {
  const name = presentHead(config, weights);
  if (blocksOf(weights, name) !== undefined)
    throw new ModelError(
      "inference_only",
      `${name}: the head of a trained or scored model must be of floats, got blocks of few bits; load the model without dtype`,
    );
  const half = halfOf(weights, name);
  const weight = half?.numbers ?? (weights[name] as tf.Tensor2D);
  const views = headBlocks(config);
  const blocks = views.length === 0 ? [weight] : views.map(({ view }) => weights[view] as tf.Tensor2D);
  const mean = gradient === "none" ? (weights[HEAD_MEAN] as tf.Tensor1D | undefined) : undefined;
  return { weight, blocks, mean, gradient, ...(half === undefined ? {} : { scale: half.scale }) };
}

/** Logits of given hidden states, shape [N, D] → [N, V]. For sampling; training uses `headLogProbs`. */
export function headLogits(config: Qwen2Config, weights: TensorMap, hidden: tf.Tensor2D): tf.Tensor2D {
  const name = presentHead(config, weights);
  const blocks = blocksOf(weights, name);
  if (blocks !== undefined) return blockMatMul(hidden, blocks);
  const half = halfOf(weights, name);
  if (half === undefined) return tf.matMul(hidden, weights[name] as tf.Tensor2D, false, true);
  const seen = tf.mul(hidden, half.scale) as tf.Tensor2D;
  const head = headOf(config, weights, "none");
  // Block by block: the whole head in float32 would be the largest tensor of all.
  return tf.concat(
    head.blocks.map((block) => tf.matMul(seen, headBlock(head, block), false, true)),
    1,
  );
}
