/** One micro-batch on a model, without a trainer: its loss, scores and gradients. */
import type { Dataset } from "../../src/data/index.js";
import { type CausalLM } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { AdamW } from "../../src/train/optimizer/adamw.js";
import { type MicroBatchResult, MicroBatchRunner } from "../../src/train/dpo/microBatch.js";
import { type PreparedPair, type ReferenceLogps, scorePairs } from "../../src/train/dpo/pairBatch.js";
import { scoringProgram } from "../../src/train/dpo/pairProgram.js";
import { type Preference, dpoPreference } from "../../src/train/dpo/preference.js";
import { preparePairs } from "../../src/train/dpo/preparedData.js";
import { NO_PARTS, type PairParts } from "../../src/train/sequence/pairLayout.js";
import type { DPOConfigInput } from "../../src/train/index.js";
import { goldenTokenizer, quiet, storedGradients } from "./tinyModel.js";

export async function preparedPairs(
  dataset: Dataset,
  model: CausalLM,
  options: DPOConfigInput = {},
  parts: PairParts = NO_PARTS,
): Promise<PreparedPair[]> {
  const args = quiet({ ...options });
  return preparePairs(dataset, await goldenTokenizer(), model.config.vocab_size, args, "train_dataset", parts).pairs;
}

export async function referenceLogps(
  model: CausalLM,
  pairs: readonly PreparedPair[],
  parts: PairParts = NO_PARTS,
): Promise<ReferenceLogps[]> {
  const program = scoringProgram(await model.load({ threads: 1 }), model, { parts });
  const scores = await scorePairs(program, pairs, { config: model.config, parts, tokens_per_run: 0 });
  await program.dispose();
  return scores.map(({ chosenLogps, rejectedLogps }) => ({ chosen: chosenLogps, rejected: rejectedLogps }));
}

export interface Gradients extends MicroBatchResult {
  /** By trainable name. */
  readonly gradients: Map<string, Float32Array>;
  readonly norm: number;
}

/**
 * @param sizes of the micro-batches that the pairs are cut into; one of all pairs by default
 * @param preference what is minimised; DPO as the options say by default
 */
export async function gradientsOf(
  model: CausalLM,
  pairs: readonly PreparedPair[],
  references: readonly ReferenceLogps[],
  options: DPOConfigInput = {},
  sizes: readonly number[] = [pairs.length],
  preference?: Preference,
): Promise<Gradients> {
  const engine = await model.load({ engine: options.engine, threads: 1 });
  const args = quiet({ per_device_train_batch_size: sizes[0]!, ...options });
  const optimizer = await AdamW.create(engine, model, args);
  const runner = await MicroBatchRunner.create(engine, model, args, preference ?? dpoPreference(args), pairs);
  try {
    let result: MicroBatchResult = { loss: 0, scores: [] };
    let begin = 0;
    for (const [index, size] of sizes.entries()) {
      const range = [begin, (begin += size)] as const;
      const place = { of: sizes.length, index, random: new Random(3).fork(`batch ${index}`) };
      const part = await runner.run(pairs.slice(...range), references.slice(...range), place);
      result = { loss: result.loss + part.loss / sizes.length, scores: [...result.scores, ...part.scores] };
    }
    const gradients = await storedGradients(model);
    return { ...result, gradients, norm: await optimizer.gradientNorm() };
  } finally {
    await runner.dispose();
    await optimizer.dispose();
  }
}
