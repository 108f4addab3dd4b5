/**
 * Floating-point operations that no exact method can leave out: the prompt once, both completions, the head on completions only,
 * attention by its visible pairs of tokens. With an adapter on q and v: no gradients of frozen weights, nothing below the first adapter (the
 * adapter's own products, about 1 %, are not counted).
 */
import type { Qwen2Config } from "../../src/model/index.js";
import { pairTokens, scoredTokens, type TokenPair } from "./pairs.js";

/** What the count depends on. */
export type Shape = Pick<
  Qwen2Config,
  "hidden_size" | "intermediate_size" | "num_hidden_layers" | "num_key_value_heads" | "head_dim" | "vocab_size"
>;

/** What is trained: all weights, or an adapter on q and v. */
export type Trained = "lora" | "full";

/** Of one step on one pair: forward, backward and head. */
export function neededOperations(pair: TokenPair, shape: Shape, trained: Trained = "lora"): number {
  const { hidden_size: D, num_hidden_layers: layers, vocab_size: V } = shape;
  const kv = shape.num_key_value_heads * shape.head_dim;
  const tokens = pairTokens(pair);
  const forward = 2 * layers * layerWeights(shape) * tokens;
  // The input gradients of q, k and v of the first layer lie below the first adapter.
  const backward = trained === "full" ? 2 * forward : forward - 2 * (D * D + 2 * D * kv) * tokens;
  // Logits and the gradient of the hidden states; with full weights that of the head too.
  const head = (trained === "full" ? 3 : 2) * 2 * scoredTokens(pair) * V * D;
  return forward + backward + head + attentionOperations(pair, shape);
}

/** The part of it that grows with the square of the length. @param recomputed with gradient checkpointing, scores and mixing are done twice */
export function attentionOperations(pair: TokenPair, { hidden_size: D, num_hidden_layers: layers }: Shape, recomputed = false): number {
  const prompt = pair.prompt_ids.length;
  const causal = (n: number, before: number): number => n * before + (n * (n + 1)) / 2;
  const visible = causal(prompt, 0) + causal(pair.chosen_ids.length, prompt) + causal(pair.rejected_ids.length, prompt);
  // Scores and mixing forward, four products backward.
  return 2 * layers * visible * D * ((recomputed ? 4 : 2) + 4);
}

/** The operations of a LoRA step with gradient checkpointing: every layer's forward pass twice. */
export function checkpointedOperations(pair: TokenPair, shape: Shape): number {
  const again = 2 * shape.num_hidden_layers * layerWeights(shape) * pairTokens(pair);
  const attention = attentionOperations(pair, shape, true) - attentionOperations(pair, shape);
  return neededOperations(pair, shape) + again + attention;
}

/** Numbers in a layer's seven weights: q and o, k and v, and the three of the feed-forward part. */
function layerWeights({ hidden_size: D, intermediate_size: F, num_key_value_heads, head_dim }: Shape): number {
  return 2 * D * D + 2 * D * num_key_value_heads * head_dim + 3 * D * F;
}
