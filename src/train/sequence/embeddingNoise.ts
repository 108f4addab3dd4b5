/** NEFTune, arXiv:2310.05914: noise on the embeddings during training. */
import { type HostTensors, type InputSpec, hostTensor } from "../../compile/index.js";
import type { DrawnRow } from "./dropout.js";
import { type SequenceForm, tokensDimension } from "./sequenceInputs.js";

/** Name of the input that carries the noise, shape [T, D]. */
export const NOISE = "noise";

/** The noise as an input of a program. @param width D */
export function noiseSignature(width: number, form: SequenceForm): Record<string, InputSpec> {
  return { [NOISE]: { shape: [tokensDimension(form), width] } };
}

/**
 * Uniform in ±alpha / √(length · D).
 * @param rows that run together; each draws from its own stream, whatever it runs with
 * @param width D @param length L of the paper, in tokens: that of the whole batch of sequences
 */
export function embeddingNoise(rows: readonly DrawnRow[], width: number, length: number, alpha: number): HostTensors {
  const bound = alpha / Math.sqrt(length * width);
  const total = rows.reduce((sum, { tokens }) => sum + tokens, 0);
  const noise = new Float32Array(total * width);
  let at = 0;
  for (const { tokens, random } of rows) {
    for (const end = at + tokens * width; at < end; at++) noise[at] = (2 * random.uniform() - 1) * bound;
  }
  return { [NOISE]: hostTensor(noise, [total, width]) };
}
