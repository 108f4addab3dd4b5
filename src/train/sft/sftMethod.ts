/** Texts in the training loop: run by run through the gradient program, divided by the label tokens of the whole step. */
import type { Engine } from "../../compile/index.js";
import type { Dataset } from "../../data/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import type { DiagnosisFacts } from "../diagnosis/finding.js";
import { type BatchMetrics, MeanOfBatches } from "../loop/logWindow.js";
import { MethodRows } from "../loop/methodRows.js";
import type { EvaluationResult, StepResult, StepRunner, TrainingMethod } from "../loop/method.js";
import type { SFTConfig } from "../options/sftConfig.js";
import { textScoringProgram } from "../sequence/textProgram.js";
import { type PreparedText, prepareTexts } from "./preparedTexts.js";
import { TextRunner, batchMetrics, labelTokens, scoreTexts, tokenLoss } from "./textRunner.js";

export interface SFTMethodInput {
  readonly model: CausalLM;
  readonly args: SFTConfig;
  readonly tokenizer: PreTrainedTokenizer;
  readonly train: Dataset;
  readonly evalSets: Readonly<Record<string, Dataset>>;
}

export class SFTMethod implements TrainingMethod {
  readonly name = "SFTTrainer";
  readonly tag = "sft";
  readonly model: CausalLM;
  readonly #args: SFTConfig;
  readonly #rows: MethodRows<PreparedText>;

  /** Tokenises the data. @throws ConfigError, DataError */
  constructor({ model, args, tokenizer, train, evalSets }: SFTMethodInput) {
    this.model = model;
    this.#args = args;
    this.#rows = new MethodRows(this.name, train, evalSets, (dataset, name, evaluated) => {
      const packing = evaluated ? (args.eval_packing ?? args.packing) : args.packing;
      const { texts, warnings } = prepareTexts(dataset, tokenizer, model.config.vocab_size, { ...args, packing }, name);
      return { rows: texts, warnings };
    });
  }

  get evalSets(): readonly string[] {
    return this.#rows.evalSets;
  }

  get trainRows(): number {
    return this.#rows.train.length;
  }

  get facts(): DiagnosisFacts {
    return { method: "sft", ...this.#rows.counts, vocabSize: this.model.config.vocab_size };
  }

  origin(row: number): string {
    return this.#rows.train[row]!.origin;
  }

  /** Nothing of the untrained model is needed. */
  async prepare(): Promise<void> {}

  async begin(engine: Engine): Promise<StepRunner> {
    const runner = new TextRunner(engine, this.model, this.#args, this.#rows.train);
    return { run: (batches, random) => this.#step(runner, batches, random), dispose: () => runner.dispose() };
  }

  /** Every label token of the step counts alike, whatever micro-batch it is in, as TRL divides. */
  async #step(runner: TextRunner, batches: readonly (readonly number[])[], random: Random): Promise<StepResult> {
    const groups = batches.map((batch) => this.#rows.at(batch));
    const weight = 1 / labelTokens(groups.flat());
    const metrics: BatchMetrics[] = [];
    let loss = 0;
    for (const [index, texts] of groups.entries()) {
      const scores = await runner.run(texts, { weight, first: index === 0, random: random.fork(`batch ${index}`) });
      loss += scores.loss;
      metrics.push(batchMetrics(texts, scores));
    }
    return { loss, metrics, tokens: groups.flat().reduce((sum, { tokens }) => sum + tokens, 0) };
  }

  /** A batch's mean is over its label tokens, and counts in the whole by its rows: so does transformers' evaluation loop. */
  async evaluate(engine: Engine, set: string): Promise<EvaluationResult> {
    const { per_device_eval_batch_size: size, loss_type, tokens_per_run } = this.#args;
    const texts = this.#rows.ofSet(set);
    const program = textScoringProgram(engine, this.model, { loss: tokenLoss(loss_type) });
    const means = new MeanOfBatches();
    let loss = 0;
    try {
      for (let begin = 0; begin < texts.length; begin += size) {
        const batch = texts.slice(begin, begin + size);
        const scores = await scoreTexts(program, batch, this.model.config, tokens_per_run);
        loss += ((scores.loss / labelTokens(batch)) * batch.length) / texts.length;
        means.add(batchMetrics(batch, scores));
      }
    } finally {
      await program.dispose();
    }
    return { loss, metrics: means.take(), rows: texts.length, batches: Math.ceil(texts.length / size) };
  }

  async dispose(): Promise<void> {}
}
