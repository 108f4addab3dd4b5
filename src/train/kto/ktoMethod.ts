/** Labelled completions in the training loop: reference first, then row by row through the gradient program. */
import type { Engine } from "../../compile/index.js";
import type { Dataset } from "../../data/index.js";
import { ConfigError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { type BatchMetrics, MeanOfBatches } from "../loop/logWindow.js";
import type { EvaluationResult, PrepareEvents, StepResult, StepRunner, TrainingMethod } from "../loop/method.js";
import type { DiagnosisFacts } from "../diagnosis/finding.js";
import { headIsFrozen } from "../optimizer/gradientSums.js";
import { type KTOConfig, estimatesKl } from "../options/ktoConfig.js";
import { balanceWarning, orderWarning } from "./balance.js";
import { createReference } from "../sequence/movingReference.js";
import type { ReferenceSource } from "../sequence/references.js";
import { lossFunction } from "./losses.js";
import { MicroBatchRunner, rowWeight } from "./microBatch.js";
import { type PreparedRow, prepareRows, rowInputs } from "./preparedRows.js";
import { ROW_SCORING } from "./references.js";
import { type ReferenceLogps, type RowScores, klEstimate, rowMetrics, rowScores } from "./rowBatch.js";
import { rowLossProgram, runRowLoss, tryRowLoss } from "./rowLoss.js";
import { scoringProgram } from "./rowProgram.js";

export interface KTOMethodInput {
  readonly model: CausalLM;
  /** undefined: the policy as it is before the first step. */
  readonly reference: CausalLM | undefined;
  /** Whether the reference answers as the policy does before the first step. */
  readonly startsAtReference: boolean;
  readonly args: KTOConfig;
  readonly tokenizer: PreTrainedTokenizer;
  readonly train: Dataset;
  readonly evalSets: Readonly<Record<string, Dataset>>;
}

export class KTOMethod implements TrainingMethod {
  readonly name = "KTOTrainer";
  readonly tag = "kto";
  readonly model: CausalLM;
  readonly evalSets: readonly string[];
  readonly #args: KTOConfig;
  readonly #reference: CausalLM | undefined;
  readonly #startsAtReference: boolean;
  readonly #train: PreparedRow[];
  readonly #eval = new Map<string, PreparedRow[]>();
  readonly #references: ReferenceSource<PreparedRow, ReferenceLogps>;

  /** Tokenises the data. @throws ConfigError, DataError */
  constructor({ model, reference, startsAtReference, args, tokenizer, train, evalSets }: KTOMethodInput) {
    this.model = model;
    this.#args = args;
    this.#reference = reference;
    this.#startsAtReference = startsAtReference;
    this.#references = createReference(ROW_SCORING, model, reference, args);
    const vocabulary = Math.min(model.config.vocab_size, reference?.config.vocab_size ?? Infinity);
    const tell = (name: string, warnings: readonly string[]): void =>
      warnings.forEach((warning) => console.log(`${this.name}: ${name}: ${warning}`));
    const prepare = (dataset: Dataset, name: string): PreparedRow[] => {
      const { rows, warnings } = prepareRows(dataset, tokenizer, vocabulary, args, name);
      tell(name, warnings);
      return rows;
    };
    this.#train = prepare(train, "train_dataset");
    tell("train_dataset", [...balanceWarning(this.#train, args), ...orderWarning(this.#train, args)]);
    this.evalSets = Object.keys(evalSets);
    for (const [set, dataset] of Object.entries(evalSets))
      this.#eval.set(set, prepare(dataset, set === "" ? "eval_dataset" : `eval_dataset ${set}`));
  }

  get trainRows(): number {
    return this.#train.length;
  }

  get facts(): DiagnosisFacts {
    const evalRows = [...this.#eval.values()].reduce((sum, rows) => sum + rows.length, 0);
    const desirableRows = this.#train.filter(({ label }) => label).length;
    return {
      method: "kto",
      trainRows: this.#train.length,
      ...(evalRows === 0 ? {} : { evalRows }),
      startsAtReference: this.#startsAtReference,
      desirableRows,
      undesirableRows: this.#train.length - desirableRows,
    };
  }

  origin(row: number): string {
    return this.#train[row]!.origin;
  }

  /** Reference log-probs for every row that the run will meet. */
  async prepare(engine: Engine, rows: readonly number[], { onReference }: PrepareEvents): Promise<void> {
    const args = this.#args;
    if (typeof args.loss_type === "function") await tryRowLoss(engine, args.loss_type, args.beta);
    const train = args.precompute_ref_log_probs ? this.#train : rows.map((row) => this.#train[row]!);
    await this.#references.compute([...train, ...[...this.#eval.values()].flat()], onReference);
  }

  async begin(engine: Engine): Promise<StepRunner> {
    const runner = await MicroBatchRunner.create(engine, this.model, this.#args);
    return {
      run: (batches, random) => this.#step(runner, batches, random),
      onStepEnd: (step) => this.#references.afterStep(step),
      dispose: () => runner.dispose(),
    };
  }

  /** Each micro-batch's mean counts alike, whatever its size, as TRL divides. */
  async #step(runner: MicroBatchRunner, batches: readonly (readonly number[])[], random: Random): Promise<StepResult> {
    const metrics: BatchMetrics[] = [];
    let [loss, tokens] = [0, 0];
    for (const [index, batch] of batches.entries()) {
      const rows = batch.map((row) => this.#train[row]!);
      const references = await this.#references.of(rows);
      const result = await runner.run(rows, references, { of: batches.length, index, random: random.fork(`batch ${index}`) });
      loss += result.loss / batches.length;
      tokens += rows.reduce((sum, { attended }) => sum + attended, 0);
      metrics.push(rowMetrics(rows, result.scores, references, result.kl, this.#args.beta));
    }
    return { loss, metrics, tokens };
  }

  async evaluate(engine: Engine, set: string, trained: boolean): Promise<EvaluationResult> {
    const args = this.#args;
    const { per_device_eval_batch_size: size, beta } = args;
    const rows = this.#eval.get(set)!;
    await this.#requireReferences(rows, trained);
    if (headIsFrozen(this.model)) await this.model.base.storeHeadMean();
    const scoring = scoringProgram(engine, this.model, { metrics: true });
    const rowLoss = rowLossProgram(engine, lossFunction(args), beta);
    const means = new MeanOfBatches();
    let loss = 0;
    try {
      for (let begin = 0; begin < rows.length; begin += size) {
        const batch = rows.slice(begin, begin + size);
        const references = await this.#references.of(batch);
        const scores: RowScores[] = [];
        const mismatched: number[] = [];
        for (const row of batch) {
          const outputs = await scoring.run(rowInputs(row, "both", this.model.config));
          scores.push(rowScores(outputs));
          mismatched.push(outputs["mismatchedLogps"]!.data[0]!);
        }
        const kl = estimatesKl(args) ? klEstimate(mismatched, references) : 0;
        for (const [i, row] of batch.entries()) {
          const numbers = { policy: scores[i]!.logps, reference: references[i]!.own, kl, label: row.label ? 1 : 0 };
          loss += (rowWeight(row, args) * (await runRowLoss(rowLoss, numbers))) / rows.length;
        }
        means.add(rowMetrics(batch, scores, references, kl, beta));
      }
    } finally {
      await scoring.dispose();
      await rowLoss.dispose();
    }
    return { loss, metrics: means.take(), rows: rows.length, batches: Math.ceil(rows.length / size) };
  }

  async #requireReferences(rows: readonly PreparedRow[], trained: boolean): Promise<void> {
    if (this.#references.has(rows[0]!)) return;
    if (trained && this.#reference === undefined)
      throw new ConfigError(
        "eval_reference",
        "KTOTrainer: the reference for the evaluation rows was not computed before training; set eval_strategy, or call evaluate before train",
      );
    await this.#references.compute(rows);
  }

  stateTensors(): readonly string[] {
    return this.#references.storedNames();
  }

  async dispose(): Promise<void> {
    await this.#references.dispose();
    await this.#reference?.base.dispose();
  }
}
