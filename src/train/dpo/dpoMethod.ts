/** Preference pairs in the training loop: reference first, then pair by pair through the gradient programs. */
import type { Engine } from "../../compile/index.js";
import type { Dataset } from "../../data/index.js";
import { ConfigError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import type { EvaluationResult, PrepareEvents, StepResult, StepRunner, TrainingMethod } from "../loop/method.js";
import { type BatchMetrics, MeanOfBatches } from "../loop/logWindow.js";
import type { DiagnosisFacts } from "../diagnosis/finding.js";
import { headIsFrozen } from "../optimizer/gradientSums.js";
import type { DPOConfig } from "../options/dpoConfig.js";
import { batchLoss, tryLoss } from "./batchLoss.js";
import { isPairwise, lossFunction } from "./losses.js";
import { MicroBatchRunner } from "./microBatch.js";
import { type PreparedPair, batchMetrics, scorePairs } from "./pairBatch.js";
import { scoringProgram } from "./pairProgram.js";
import { preparePairs } from "./preparedData.js";
import { References } from "./references.js";

export interface DPOMethodInput {
  readonly model: CausalLM;
  /** undefined: the policy as it is before the first step. */
  readonly reference: CausalLM | undefined;
  /** Whether the reference answers as the policy does before the first step. */
  readonly startsAtReference: boolean;
  readonly args: DPOConfig;
  readonly tokenizer: PreTrainedTokenizer;
  readonly train: Dataset;
  readonly evalSets: Readonly<Record<string, Dataset>>;
}

export class DPOMethod implements TrainingMethod {
  readonly name = "DPOTrainer";
  readonly tag = "dpo";
  readonly model: CausalLM;
  readonly evalSets: readonly string[];
  readonly #args: DPOConfig;
  readonly #reference: CausalLM | undefined;
  readonly #startsAtReference: boolean;
  readonly #train: PreparedPair[];
  readonly #eval = new Map<string, PreparedPair[]>();
  readonly #references: References;

  /** Tokenises the data. @throws ConfigError, DataError */
  constructor({ model, reference, startsAtReference, args, tokenizer, train, evalSets }: DPOMethodInput) {
    this.model = model;
    this.#args = args;
    this.#reference = reference;
    this.#startsAtReference = startsAtReference;
    this.#references = new References(reference ?? model, args);
    const vocabulary = Math.min(model.config.vocab_size, reference?.config.vocab_size ?? Infinity);
    const prepare = (dataset: Dataset, name: string): PreparedPair[] => {
      const { pairs, warnings } = preparePairs(dataset, tokenizer, vocabulary, args, name);
      warnings.forEach((warning) => console.log(`${this.name}: ${name}: ${warning}`));
      return pairs;
    };
    this.#train = prepare(train, "train_dataset");
    this.evalSets = Object.keys(evalSets);
    for (const [set, dataset] of Object.entries(evalSets))
      this.#eval.set(set, prepare(dataset, set === "" ? "eval_dataset" : `eval_dataset ${set}`));
  }

  get trainRows(): number {
    return this.#train.length;
  }

  get facts(): DiagnosisFacts {
    const evalRows = [...this.#eval.values()].reduce((sum, pairs) => sum + pairs.length, 0);
    return {
      method: "dpo",
      trainRows: this.#train.length,
      ...(evalRows === 0 ? {} : { evalRows }),
      startsAtReference: this.#startsAtReference,
    };
  }

  origin(row: number): string {
    return this.#train[row]!.origin;
  }

  /** Reference log-probs for every pair that the run will meet. */
  async prepare(engine: Engine, rows: readonly number[], { onReference }: PrepareEvents): Promise<void> {
    const args = this.#args;
    if (!isPairwise(args)) await tryLoss(lossFunction(args), args.beta, args.per_device_train_batch_size, engine);
    const train = args.precompute_ref_log_probs ? this.#train : rows.map((row) => this.#train[row]!);
    await this.#references.compute([...train, ...[...this.#eval.values()].flat()], onReference);
  }

  async begin(engine: Engine): Promise<StepRunner> {
    const runner = await MicroBatchRunner.create(engine, this.model, this.#args);
    return { run: (batches, random) => this.#step(runner, batches, random), dispose: () => runner.dispose() };
  }

  /** Each micro-batch's mean counts alike, whatever its size, as TRL divides. */
  async #step(runner: MicroBatchRunner, batches: readonly (readonly number[])[], random: Random): Promise<StepResult> {
    const metrics: BatchMetrics[] = [];
    let [loss, tokens] = [0, 0];
    for (const [index, batch] of batches.entries()) {
      const pairs = batch.map((row) => this.#train[row]!);
      const references = this.#references.of(pairs);
      const result = await runner.run(pairs, references, { of: batches.length, index, random: random.fork(`batch ${index}`) });
      loss += result.loss / batches.length;
      tokens += pairs.reduce((sum, { layout }) => sum + layout.attended, 0);
      metrics.push(batchMetrics(pairs, result.scores, references, this.#args.beta));
    }
    return { loss, metrics, tokens };
  }

  async evaluate(engine: Engine, set: string, trained: boolean): Promise<EvaluationResult> {
    const { per_device_eval_batch_size: size, beta } = this.#args;
    const pairs = this.#eval.get(set)!;
    if (!this.#references.has(pairs[0]!)) {
      if (trained && this.#reference === undefined)
        throw new ConfigError(
          "eval_reference",
          "DPOTrainer: the reference for the evaluation rows was not computed before training; set eval_strategy, or call evaluate before train",
        );
      await this.#references.compute(pairs);
    }
    if (headIsFrozen(this.model)) await this.model.base.storeHeadMean();
    const scoring = scoringProgram(engine, this.model);
    const means = new MeanOfBatches();
    let loss = 0;
    try {
      for (let begin = 0; begin < pairs.length; begin += size) {
        const batch = pairs.slice(begin, begin + size);
        const references = this.#references.of(batch);
        const scores = await scorePairs(scoring, batch, this.model.config);
        const { loss: mean } = await batchLoss(lossFunction(this.#args), beta, batch, scores, references);
        loss += (mean * batch.length) / pairs.length;
        means.add(batchMetrics(batch, scores, references, beta));
      }
    } finally {
      await scoring.dispose();
    }
    return { loss, metrics: means.take(), rows: pairs.length, batches: Math.ceil(pairs.length / size) };
  }

  async dispose(): Promise<void> {
    await this.#reference?.base.dispose();
  }
}
