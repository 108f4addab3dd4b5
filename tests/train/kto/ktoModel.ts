/** Golden KTO rows, and trainers and micro-batches on throw-away models. */
import { type Dataset, load_dataset } from "../../../src/data/index.js";
import type { CausalLM } from "../../../src/model/index.js";
import { Random } from "../../../src/random.js";
import { KTOConfig, type KTOConfigInput, KTOTrainer, type KTOTrainerOptions } from "../../../src/train/index.js";
import { type MicroBatchResult, MicroBatchRunner } from "../../../src/train/kto/microBatch.js";
import { type PreparedRow, prepareRows, rowInputs } from "../../../src/train/kto/preparedRows.js";
import type { ReferenceLogps } from "../../../src/train/kto/rowBatch.js";
import { scoringProgram } from "../../../src/train/kto/rowProgram.js";
import { AdamW } from "../../../src/train/optimizer/adamw.js";
import { GOLDEN, goldenTokenizer, quietOptions, smallModel, storedGradients } from "../tinyModel.js";

/** The golden KTO rows, 16 of them; row 0 is desirable, row 1 is not. */
export async function goldenRows(rows?: readonly number[]): Promise<Dataset> {
  const all = await load_dataset(`${GOLDEN}/kto.jsonl`);
  return rows === undefined ? all : all.select(rows);
}

/** Options of a short quiet run: one thread, every step logged, nothing saved on the way. */
export function quietKto(options: KTOConfigInput = {}): KTOConfig {
  return new KTOConfig({ ...quietOptions(options.engine), ...options });
}

export type KtoInput = Partial<Omit<KTOTrainerOptions, "args">> & { args?: KTOConfigInput };

/** A trainer on a small random model and four golden rows (desirable, not, desirable, not), unless said otherwise. */
export async function ktoTrainer({ args, ...given }: KtoInput = {}): Promise<KTOTrainer> {
  return new KTOTrainer({
    model: given.model ?? (await smallModel()),
    train_dataset: given.train_dataset ?? (await goldenRows([0, 1, 2, 4])),
    processing_class: await goldenTokenizer(),
    ...given,
    args: quietKto({ per_device_train_batch_size: 2, max_steps: 3, ...args }),
  });
}

/** Runs `work` and frees the trainer's workers, whatever happens. */
export async function withKto<T>(input: KtoInput, work: (trainer: KTOTrainer) => Promise<T>): Promise<T> {
  const trainer = await ktoTrainer(input);
  try {
    return await work(trainer);
  } finally {
    await trainer.dispose();
  }
}

export async function preparedRows(dataset: Dataset, model: CausalLM, options: KTOConfigInput = {}): Promise<PreparedRow[]> {
  const args = quietKto({ ...options });
  return prepareRows(dataset, await goldenTokenizer(), model.config.vocab_size, args, "train_dataset").rows;
}

/** Log-probs of both completions, in one pass. */
export async function scoreRows(model: CausalLM, rows: readonly PreparedRow[]): Promise<ReferenceLogps[]> {
  const program = scoringProgram(await model.load({ threads: 1 }), model, { metrics: false });
  const scores: ReferenceLogps[] = [];
  for (const row of rows) {
    const { logps, mismatchedLogps } = await program.run(rowInputs([row], "both", 3, model.config));
    scores.push({ own: logps!.data[0]!, mismatched: mismatchedLogps!.data[0]! });
  }
  await program.dispose();
  return scores;
}

export interface KtoGradients extends MicroBatchResult {
  /** By trainable name. */
  readonly gradients: Map<string, Float32Array>;
  readonly norm: number;
}

/** One micro-batch on a model, without a trainer. */
export async function ktoGradients(
  model: CausalLM,
  rows: readonly PreparedRow[],
  references: readonly ReferenceLogps[],
  options: KTOConfigInput = {},
): Promise<KtoGradients> {
  const engine = await model.load({ engine: options.engine, threads: 1 });
  const args = quietKto({ per_device_train_batch_size: rows.length, ...options });
  const optimizer = await AdamW.create(engine, model, args);
  const runner = await MicroBatchRunner.create(engine, model, args);
  try {
    const result = await runner.run(rows, references, { of: 1, index: 0, random: new Random(3) });
    const gradients = await storedGradients(model);
    return { ...result, gradients, norm: await optimizer.gradientNorm() };
  } finally {
    await runner.dispose();
    await optimizer.dispose();
  }
}
