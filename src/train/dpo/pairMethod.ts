/** Preference pairs in the training loop, for DPO, CPO and ORPO: reference first, then run by run through the gradient programs. */
import type { Engine } from "../../compile/index.js";
import type { Dataset } from "../../data/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { MethodRows } from "../loop/methodRows.js";
import type { EvaluationResult, PrepareEvents, StepResult, StepRunner, TrainingMethod } from "../loop/method.js";
import { type BatchMetrics, MeanOfBatches } from "../loop/logWindow.js";
import type { DiagnosisFacts } from "../diagnosis/finding.js";
import { headIsFrozen } from "../optimizer/gradientSums.js";
import type { CPOConfig } from "../options/cpoConfig.js";
import type { DPOConfig } from "../options/dpoConfig.js";
import type { ORPOConfig } from "../options/orpoConfig.js";
import { batchLoss, tryLoss } from "./batchLoss.js";
import { MicroBatchRunner } from "./microBatch.js";
import { type PreparedPair, type ReferenceLogps, scorePairs } from "./pairBatch.js";
import { scoringProgram } from "./pairProgram.js";
import { preparePairs } from "./preparedData.js";
import type { Preference } from "./preference.js";
import { type ReferenceSource, requireReferences } from "../sequence/references.js";

type PairConfig = DPOConfig | CPOConfig | ORPOConfig;

export interface PairMethodInput {
  /** "dpo", "cpo" or "orpo" */
  readonly tag: string;
  readonly model: CausalLM;
  /** undefined: the policy as it is before the first step. */
  readonly reference: CausalLM | undefined;
  /** Whether the reference answers as the policy does before the first step. */
  readonly startsAtReference: boolean;
  readonly args: PairConfig;
  readonly preference: Preference;
  /** Where reference log-probs come from; undefined for a loss without a reference. */
  readonly references: ReferenceSource<PreparedPair, ReferenceLogps> | undefined;
  readonly tokenizer: PreTrainedTokenizer;
  readonly train: Dataset;
  readonly evalSets: Readonly<Record<string, Dataset>>;
}

export class PairMethod implements TrainingMethod {
  readonly name: string;
  readonly tag: string;
  readonly model: CausalLM;
  readonly #args: PairConfig;
  readonly #preference: Preference;
  readonly #reference: CausalLM | undefined;
  readonly #startsAtReference: boolean;
  readonly #rows: MethodRows<PreparedPair>;
  readonly #references: ReferenceSource<PreparedPair, ReferenceLogps> | undefined;

  /** Tokenises the data. @throws ConfigError, DataError */
  constructor({ tag, model, reference, startsAtReference, args, preference, references, tokenizer, train, evalSets }: PairMethodInput) {
    this.name = preference.trainer;
    this.tag = tag;
    this.model = model;
    this.#args = args;
    this.#preference = preference;
    this.#reference = reference;
    this.#startsAtReference = startsAtReference;
    this.#references = references;
    const vocabulary = Math.min(model.config.vocab_size, reference?.config.vocab_size ?? Infinity);
    this.#rows = new MethodRows(this.name, train, evalSets, (dataset, name) => {
      const { pairs, warnings } = preparePairs(dataset, tokenizer, vocabulary, args, name, preference.parts, this.name);
      return { rows: pairs, warnings };
    });
  }

  get evalSets(): readonly string[] {
    return this.#rows.evalSets;
  }

  get trainRows(): number {
    return this.#rows.train.length;
  }

  get facts(): DiagnosisFacts | undefined {
    // The rules speak of rewards against a reference.
    if (this.tag !== "dpo") return undefined;
    return { method: "dpo", ...this.#rows.counts, startsAtReference: this.#startsAtReference };
  }

  origin(row: number): string {
    return this.#rows.train[row]!.origin;
  }

  /** Reference log-probs for every pair that the run will meet. */
  async prepare(engine: Engine, rows: readonly number[], { onReference }: PrepareEvents): Promise<void> {
    const args = this.#args;
    if (this.#preference.written) await tryLoss(this.#preference, args.per_device_train_batch_size, engine);
    const whole = "precompute_ref_log_probs" in args && args.precompute_ref_log_probs;
    await this.#references?.compute(this.#rows.all(whole ? undefined : rows), onReference);
  }

  async begin(engine: Engine): Promise<StepRunner> {
    const runner = await MicroBatchRunner.create(engine, this.model, this.#args, this.#preference, this.#rows.train);
    return {
      run: (batches, random) => this.#step(runner, batches, random),
      onStepEnd: async (step) => this.#references?.afterStep(step),
      dispose: () => runner.dispose(),
    };
  }

  /** Each micro-batch's mean counts alike, whatever its size, as TRL divides. */
  async #step(runner: MicroBatchRunner, batches: readonly (readonly number[])[], random: Random): Promise<StepResult> {
    const metrics: BatchMetrics[] = [];
    let [loss, tokens] = [0, 0];
    for (const [index, batch] of batches.entries()) {
      const pairs = this.#rows.at(batch);
      const references = await this.#referencesOf(pairs);
      const result = await runner.run(pairs, references, { of: batches.length, index, random: random.fork(`batch ${index}`) });
      loss += result.loss / batches.length;
      tokens += pairs.reduce((sum, { layout }) => sum + layout.attended, 0);
      metrics.push(this.#preference.metrics(pairs, result.scores, references));
    }
    return { loss, metrics, tokens };
  }

  async evaluate(engine: Engine, set: string, trained: boolean): Promise<EvaluationResult> {
    const { per_device_eval_batch_size: size, tokens_per_run } = this.#args;
    const preference = this.#preference;
    const pairs = this.#rows.ofSet(set);
    if (this.#references !== undefined)
      await requireReferences(this.#references, pairs, trained && this.#reference === undefined, this.name);
    if (headIsFrozen(this.model)) await this.model.base.storeHeadMean();
    const scoring = scoringProgram(engine, this.model, { parts: preference.parts });
    const means = new MeanOfBatches();
    let loss = 0;
    try {
      for (let begin = 0; begin < pairs.length; begin += size) {
        const batch = pairs.slice(begin, begin + size);
        const references = await this.#referencesOf(batch);
        const scores = await scorePairs(scoring, batch, { config: this.model.config, parts: preference.parts, tokens_per_run });
        const { loss: mean } = await batchLoss(preference, batch, scores, references);
        loss += (mean * batch.length) / pairs.length;
        means.add(preference.metrics(batch, scores, references));
      }
    } finally {
      await scoring.dispose();
    }
    return { loss, metrics: means.take(), rows: pairs.length, batches: Math.ceil(pairs.length / size) };
  }

  async #referencesOf(pairs: readonly PreparedPair[]): Promise<ReferenceLogps[]> {
    return this.#references === undefined ? [] : this.#references.of(pairs);
  }

  stateTensors(): readonly string[] {
    return this.#references?.storedNames() ?? [];
  }

  async dispose(): Promise<void> {
    await this.#references?.dispose();
    await this.#reference?.base.dispose();
  }
}
