/** Labelled completions in the training loop: reference first, then run by run through the gradient program. */
import type { Engine } from "../../compile/index.js";
import type { Dataset } from "../../data/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { type BatchMetrics, MeanOfBatches } from "../loop/logWindow.js";
import { MethodRows } from "../loop/methodRows.js";
import type { EvaluationResult, PrepareEvents, StepResult, StepRunner, TrainingMethod } from "../loop/method.js";
import type { DiagnosisFacts } from "../diagnosis/finding.js";
import { headIsFrozen } from "../optimizer/gradientSums.js";
import { type KTOConfig, estimatesKl } from "../options/ktoConfig.js";
import { balanceWarning, orderWarning } from "./balance.js";
import { createReference } from "../sequence/movingReference.js";
import { planRuns } from "../sequence/runs.js";
import { type ReferenceSource, requireReferences } from "../sequence/references.js";
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
  readonly #args: KTOConfig;
  readonly #reference: CausalLM | undefined;
  readonly #startsAtReference: boolean;
  readonly #rows: MethodRows<PreparedRow>;
  readonly #references: ReferenceSource<PreparedRow, ReferenceLogps>;

  /** Tokenises the data. @throws ConfigError, DataError */
  constructor({ model, reference, startsAtReference, args, tokenizer, train, evalSets }: KTOMethodInput) {
    this.model = model;
    this.#args = args;
    this.#reference = reference;
    this.#startsAtReference = startsAtReference;
    this.#references = createReference(ROW_SCORING, model, reference, args);
    const vocabulary = Math.min(model.config.vocab_size, reference?.config.vocab_size ?? Infinity);
    this.#rows = new MethodRows(this.name, train, evalSets, (dataset, name, evaluated) => {
      const { rows, warnings } = prepareRows(dataset, tokenizer, vocabulary, args, name);
      return { rows, warnings: evaluated ? warnings : [...warnings, ...balanceWarning(rows, args), ...orderWarning(rows, args)] };
    });
  }

  get evalSets(): readonly string[] {
    return this.#rows.evalSets;
  }

  get trainRows(): number {
    return this.#rows.train.length;
  }

  get facts(): DiagnosisFacts {
    const desirableRows = this.#rows.train.filter(({ label }) => label).length;
    return {
      method: "kto",
      ...this.#rows.counts,
      startsAtReference: this.#startsAtReference,
      desirableRows,
      undesirableRows: this.trainRows - desirableRows,
    };
  }

  origin(row: number): string {
    return this.#rows.train[row]!.origin;
  }

  /** Reference log-probs for every row that the run will meet. */
  async prepare(engine: Engine, rows: readonly number[], { onReference }: PrepareEvents): Promise<void> {
    const args = this.#args;
    if (typeof args.loss_type === "function") await tryRowLoss(engine, args.loss_type, args.beta);
    await this.#references.compute(this.#rows.all(args.precompute_ref_log_probs ? undefined : rows), onReference);
  }

  async begin(engine: Engine): Promise<StepRunner> {
    const runner = await MicroBatchRunner.create(engine, this.model, this.#args, this.#rows.train);
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
      const rows = this.#rows.at(batch);
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
    const rows = this.#rows.ofSet(set);
    await requireReferences(this.#references, rows, trained && this.#reference === undefined, this.name);
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
        const layouts = batch.map((row) => row.layout("both"));
        for (const { form, rows: places } of planRuns(layouts, args.tokens_per_run)) {
          const together = places.map((row) => batch[row]!);
          const outputs = await scoring.run(rowInputs(together, "both", form, this.model.config));
          for (const [at, row] of places.entries()) {
            scores[row] = rowScores(outputs, at);
            mismatched[row] = outputs["mismatchedLogps"]!.data[at]!;
          }
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

  stateTensors(): readonly string[] {
    return this.#references.storedNames();
  }

  async dispose(): Promise<void> {
    await this.#references.dispose();
    await this.#reference?.base.dispose();
  }
}
