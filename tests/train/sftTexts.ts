/** SFT on the golden rows and on small models. */
import { type Dataset, load_dataset } from "../../src/data/index.js";
import type { CausalLM } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { SFTConfig, type SFTConfigInput, SFTTrainer, type SFTTrainerOptions } from "../../src/train/index.js";
import { AdamW } from "../../src/train/optimizer/adamw.js";
import { textScoringProgram } from "../../src/train/sequence/textProgram.js";
import { type PreparedText, prepareTexts } from "../../src/train/sft/preparedTexts.js";
import { TextRunner, type TextScores, labelTokens, scoreTexts } from "../../src/train/sft/textRunner.js";
import { GOLDEN, goldenTokenizer, quietOptions, smallModel, storedGradients } from "./tinyModel.js";

export type Group = "prompt_completion" | "prompt_completion_conversational" | "messages" | "text";

/** One group of golden rows, without the column that names it. */
export async function goldenTexts(group: Group, rows?: number): Promise<Dataset> {
  const all = (await load_dataset(`${GOLDEN}/sft.jsonl`)).filter((row) => row["group"] === group);
  const columns = group === "messages" || group === "text" ? [group] : ["prompt", "completion"];
  return all.select(Math.min(rows ?? all.length, all.length)).select_columns(columns);
}

/** Options of a short quiet run: one thread, every step logged, nothing saved on the way. */
export function quietSft(options: SFTConfigInput = {}): SFTConfig {
  return new SFTConfig({ ...quietOptions(options.engine), ...options });
}

export type SftInput = Partial<Omit<SFTTrainerOptions, "args">> & { args?: SFTConfigInput };

/** A trainer on a small random model and four golden rows, unless said otherwise. */
export async function smallSft({ args, ...given }: SftInput = {}): Promise<SFTTrainer> {
  return new SFTTrainer({
    model: given.model ?? (await smallModel()),
    train_dataset: given.train_dataset ?? (await goldenTexts("prompt_completion", 4)),
    processing_class: await goldenTokenizer(),
    ...given,
    args: quietSft({ per_device_train_batch_size: 2, max_steps: 3, ...args }),
  });
}

/** Runs `work` and frees the trainer's workers, whatever happens. */
export async function withSft<T>(input: SftInput, work: (trainer: SFTTrainer) => Promise<T>): Promise<T> {
  const trainer = await smallSft(input);
  try {
    return await work(trainer);
  } finally {
    await trainer.dispose();
  }
}

export async function preparedTexts(dataset: Dataset, model: CausalLM, options: SFTConfigInput = {}): Promise<PreparedText[]> {
  const args = quietSft({ ...options });
  return prepareTexts(dataset, await goldenTokenizer(), model.config.vocab_size, args, "train_dataset").texts;
}

export interface TextGradients extends TextScores {
  /** By trainable name. */
  readonly gradients: Map<string, Float32Array>;
  readonly norm: number;
}

/** Loss (a mean over all label tokens) and gradients of one step. @param sizes of its micro-batches; one of all texts by default */
export async function textGradients(
  model: CausalLM,
  texts: readonly PreparedText[],
  options: SFTConfigInput = {},
  sizes: readonly number[] = [texts.length],
): Promise<TextGradients> {
  const engine = await model.load({ engine: options.engine, threads: 1 });
  const args = quietSft(options);
  const optimizer = await AdamW.create(engine, model, args);
  const runner = new TextRunner(engine, model, args);
  try {
    let total: TextScores = { loss: 0, entropy: 0, correct: 0 };
    let begin = 0;
    for (const [index, size] of sizes.entries()) {
      const place = { weight: 1 / labelTokens(texts), first: index === 0, random: new Random(3).fork(`batch ${index}`) };
      const part = await runner.run(texts.slice(begin, (begin += size)), place);
      total = { loss: total.loss + part.loss, entropy: total.entropy + part.entropy, correct: total.correct + part.correct };
    }
    const gradients = await storedGradients(model);
    return { ...total, gradients, norm: await optimizer.gradientNorm() };
  } finally {
    await runner.dispose();
    await optimizer.dispose();
  }
}

/** The summed log-probs of each text's label tokens. */
export async function labelLogps(model: CausalLM, texts: readonly PreparedText[]): Promise<number[]> {
  const program = textScoringProgram(await model.load({ threads: 1 }), model);
  const logps: number[] = [];
  for (const text of texts) logps.push(-(await scoreTexts(program, [text], model.config, 0)).loss);
  await program.dispose();
  return logps;
}
