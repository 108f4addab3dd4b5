/** NEFTune, arXiv:2310.05914: noise on the embeddings during training. */
import { type HostTensors, type InputSpec, hostTensor } from "../../compile/index.js";
import type { Random } from "../../random.js";
import { type SequenceForm, tokensDimension } from "./sequenceInputs.js";

/** Name of the input that carries the noise, shape [T, D]. */
export const NOISE = "noise";

/** The noise as an input of a program. @param width D */
export function noiseSignature(width: number, form: SequenceForm): Record<string, InputSpec> {
  return { [NOISE]: { shape: [tokensDimension(form), width] } };
}

/**
 * Uniform in ±alpha / √(length · D).
 * @param tokens rows of the noise @param width D @param length L of the paper, in tokens: that of the whole batch of sequences
 */
export function embeddingNoise(tokens: number, width: number, length: number, alpha: number, random: Random): HostTensors {
  const bound = alpha / Math.sqrt(length * width);
  const noise = new Float32Array(tokens * width);
  for (let i = 0; i < noise.length; i++) noise[i] = (2 * random.uniform() - 1) * bound;
  return { [NOISE]: hostTensor(noise, [tokens, width]) };
}
