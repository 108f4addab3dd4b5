/** Direct Preference Optimization, arXiv:2305.18290, with TRL's interface. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../../compile/index.js";
import type { Dataset } from "../../data/index.js";
import { ConfigError, EngineError } from "../../errors.js";
import { type CausalLM, type LoraConfig, PeftModel, Qwen2ForCausalLM, get_peft_model } from "../../model/index.js";
import { Random } from "../../random.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { AdamW } from "../optimizer/adamw.js";
import { batchLoss, tryLoss } from "./batchLoss.js";
import { requirePlace, saveCheckpointFolder, saveFolder } from "../loop/checkpoints.js";
import { DPOConfig } from "../options/dpoConfig.js";
import { type BatchMetrics, LogWindow, MeanOfBatches } from "../loop/logWindow.js";
import { isPairwise, lossFunction } from "./losses.js";
import { MicroBatchRunner } from "./microBatch.js";
import { type PreparedPair, batchMetrics, scorePairs } from "./pairBatch.js";
import { headIsFrozen } from "../optimizer/gradientSums.js";
import { scoringProgram } from "./pairProgram.js";
import { preparePairs } from "./preparedData.js";
import { ProgressLine, type TrainerCallback } from "../loop/progress.js";
import { References } from "./references.js";
import { type RunPlan, planRun, visitedPairs } from "../loop/runPlan.js";
import { type Schedule, learningRateSchedule } from "../loop/schedule.js";
import { type LogEntry, type TrainerState, initialState, stateJson } from "../loop/trainerState.js";

export interface DPOTrainerOptions {
  /** The policy: trained in place, or, with `peft_config`, the frozen base of a fresh adapter. */
  model: CausalLM;
  /** The reference; by default the policy as it is before the first step (with a fresh adapter that is the base model). */
  ref_model?: CausalLM;
  args?: DPOConfig;
  train_dataset: Dataset;
  eval_dataset?: Dataset;
  /** The model's tokenizer. */
  processing_class: PreTrainedTokenizer;
  /** Train a fresh LoRA adapter instead of all weights. */
  peft_config?: LoraConfig;
  callbacks?: TrainerCallback[];
}

export interface TrainOutput {
  global_step: number;
  /** Mean loss over all steps. */
  training_loss: number;
  /** False when `stop()` ended the run before its last step. */
  finished: boolean;
  metrics: LogEntry;
}

/** Models that a trainer is working on: two at once would sum into the same gradient. */
const inTraining = new WeakSet<CausalLM>();

export class DPOTrainer {
  readonly args: DPOConfig;
  /** What is trained: the given model, or its adapter. */
  readonly model: CausalLM;
  readonly processing_class: PreTrainedTokenizer;
  readonly state: TrainerState;
  readonly #reference: CausalLM | undefined;
  readonly #train: PreparedPair[];
  readonly #eval: PreparedPair[] | undefined;
  readonly #plan: RunPlan;
  readonly #callbacks: TrainerCallback[];
  readonly #references: References;
  #stopRequested = false;
  #pairsSeen = 0;
  #savedStep = -1;
  #trained = false;
  #disposed = false;

  /** Tokenises the data; the model's weights are read when training starts.
   *  @throws ConfigError, DataError */
  constructor({
    model,
    ref_model,
    args = new DPOConfig(),
    train_dataset,
    eval_dataset,
    processing_class,
    peft_config,
    callbacks = [],
  }: DPOTrainerOptions) {
    this.args = args;
    this.model = policyOf(model, peft_config, args);
    // A fresh adapter starts as its base model, which also has the files that the reference cache is keyed by.
    this.#reference = ref_model ?? (peft_config === undefined ? undefined : model);
    this.#references = new References(this.#reference ?? this.model, args);
    this.processing_class = processing_class;
    if (args.eval_strategy !== "no" && eval_dataset === undefined) {
      throw new ConfigError(
        "eval_dataset",
        `DPOTrainer: eval_strategy "${args.eval_strategy}" needs an eval_dataset, got none; pass one or set eval_strategy "no"`,
      );
    }
    this.#callbacks = [...(args.disable_tqdm ? [] : [new ProgressLine()]), ...callbacks];
    const vocabulary = Math.min(model.config.vocab_size, ref_model?.config.vocab_size ?? Infinity);
    const prepare = (dataset: Dataset, name: string): PreparedPair[] => {
      const { pairs, warnings } = preparePairs(dataset, processing_class, vocabulary, args, name);
      warnings.forEach((warning) => console.log(`DPOTrainer: ${name}: ${warning}`));
      return pairs;
    };
    this.#train = prepare(train_dataset, "train_dataset");
    this.#eval = eval_dataset === undefined ? undefined : prepare(eval_dataset, "eval_dataset");
    this.#plan = planRun(this.#train.length, args);
    this.state = initialState(args, this.#plan);
  }

  /** Asks a running `train` to end after its present step; it saves a checkpoint and returns. */
  stop(): void {
    this.#stopRequested = true;
  }

  /**
   * Runs the training.
   * @throws EngineError `loss_not_finite` with step and rows; the last checkpoint stays
   * @throws ConfigError `output_dir` before any work if nothing could be saved there
   */
  async train(): Promise<TrainOutput> {
    this.#requireAlive("train");
    if (this.#trained) throw new ConfigError("trained", "DPOTrainer: train() runs once; make a new trainer to go on from this model");
    if (inTraining.has(this.model))
      throw new ConfigError("in_training", "DPOTrainer: this model is being trained; wait for that train() to end");
    inTraining.add(this.model);
    try {
      return await this.#run();
    } finally {
      inTraining.delete(this.model);
    }
  }

  async #run(): Promise<TrainOutput> {
    await requirePlace(this.#saved());
    const engine = await this.model.load(this.args);
    const started = performance.now();
    await this.#emit("on_train_begin");
    const { args } = this;
    if (!isPairwise(args)) await tryLoss(lossFunction(args), args.beta, args.per_device_train_batch_size, engine);
    await this.#computeReferences();
    this.#trained = true;
    this.model.markChanged();
    const runner = await MicroBatchRunner.create(engine, this.model, this.args);
    const optimizer = await AdamW.create(engine, this.model, this.args);
    try {
      const totalLoss = await this.#loop(runner, optimizer, engine);
      const { global_step } = this.state;
      if (global_step < this.#plan.totalSteps && this.#savedStep !== global_step) await this.#save();
      const output = this.#finish(totalLoss, (performance.now() - started) / 1000);
      await this.save_state();
      await this.#emit("on_train_end");
      return output;
    } finally {
      await runner.dispose();
      await optimizer.dispose();
    }
  }

  /** @returns the sum of the steps' losses */
  async #loop(runner: MicroBatchRunner, optimizer: AdamW, engine: Engine): Promise<number> {
    const { args, state } = this;
    const warmup = args.get_warmup_steps(this.#plan.totalSteps);
    const schedule = learningRateSchedule(args.lr_scheduler_type, args.learning_rate, warmup, this.#plan.totalSteps);
    const random = new Random(args.seed).fork("dropout");
    const window = new LogWindow();
    let totalLoss = 0;
    for (let epoch = 0; state.global_step < this.#plan.totalSteps && !this.#stopRequested; epoch++) {
      const batches = this.#plan.epoch(epoch);
      for (
        let begin = 0;
        begin < batches.length && state.global_step < this.#plan.totalSteps && !this.#stopRequested;
        begin += args.gradient_accumulation_steps
      ) {
        const group = batches.slice(begin, begin + args.gradient_accumulation_steps);
        const loss = await this.#step(runner, optimizer, schedule, group, random, window);
        totalLoss += loss;
        state.epoch = epoch + (begin + group.length) / this.#plan.microBatchesPerEpoch;
        // transformers ends the epoch when the run ends.
        const epochEnds = begin + group.length === batches.length || state.global_step === this.#plan.totalSteps;
        await this.#afterStep(window, engine, epochEnds);
      }
    }
    return totalLoss;
  }

  async #step(
    runner: MicroBatchRunner,
    optimizer: AdamW,
    schedule: Schedule,
    group: number[][],
    random: Random,
    window: LogWindow,
  ): Promise<number> {
    const { args, state } = this;
    let loss = 0;
    for (const [index, batch] of group.entries()) {
      const pairs = batch.map((i) => this.#train[i]!);
      const references = this.#references.of(pairs);
      const place = { of: group.length, index, random: random.fork(`step ${state.global_step} batch ${index}`) };
      const result = await this.#named(() => runner.run(pairs, references, place));
      loss += result.loss / group.length;
      this.#pairsSeen += pairs.length;
      state.num_input_tokens_seen += pairs.reduce((sum, { layout }) => sum + layout.attended, 0);
      window.metrics.add(batchMetrics(pairs, result.scores, references, args.beta));
    }
    const norm = await optimizer.gradientNorm();
    if (!Number.isFinite(norm)) {
      const rows = group.flat().map((i) => this.#train[i]!.origin);
      throw new EngineError(
        "gradient_not_finite",
        `DPOTrainer: step ${state.global_step + 1}: the gradient norm must be finite, got ${norm} at ${rows.join(", ")}; lower learning_rate, and check these rows`,
      );
    }
    // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm.
    const clip = args.max_grad_norm === 0 ? 1 : Math.min(1, args.max_grad_norm / (norm + 1e-6));
    const learningRate = schedule(state.global_step);
    await optimizer.step(learningRate, clip);
    state.global_step++;
    window.add(loss, norm, learningRate);
    return loss;
  }

  async #named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "loss_not_finite") throw error;
      throw new EngineError(error.code, error.message.replace("DPOTrainer:", `DPOTrainer: step ${this.state.global_step + 1}:`), {
        cause: error,
      });
    }
  }

  async #afterStep(window: LogWindow, engine: Engine, epochEnds: boolean): Promise<void> {
    const { args, state } = this;
    const { global_step: step } = state;
    await this.#emit("on_step_end");
    const last = step === this.#plan.totalSteps;
    const due = (strategy: "no" | "steps" | "epoch" | "best", every: number): boolean =>
      (strategy === "steps" && step % every === 0) || (strategy === "epoch" && epochEnds);
    if (step % args.logging_steps === 0 || (step === 1 && args.logging_first_step)) {
      await this.#log({ ...window.take(), num_tokens: state.num_input_tokens_seen });
    }
    if (due(args.eval_strategy, args.eval_steps ?? args.logging_steps)) await this.#evaluate(engine);
    if (due(args.save_strategy, args.save_steps) || (last && args.save_strategy !== "no")) await this.#save();
  }

  async #log(values: LogEntry): Promise<LogEntry> {
    const entry = { ...values, epoch: this.state.epoch, step: this.state.global_step };
    this.state.log_history.push(entry);
    for (const callback of this.#callbacks) await callback.on_log?.(this.state, entry);
    return entry;
  }

  async #save(): Promise<void> {
    const folder = await saveCheckpointFolder(this.#saved(), this.state);
    this.#savedStep = this.state.global_step;
    for (const callback of this.#callbacks) await callback.on_save?.(this.state, folder);
  }

  #finish(totalLoss: number, seconds: number): TrainOutput {
    const { state } = this;
    const training_loss = totalLoss / Math.max(1, state.global_step);
    const metrics: LogEntry = {
      train_runtime: seconds,
      train_samples_per_second: this.#pairsSeen / seconds,
      train_steps_per_second: state.global_step / seconds,
      train_loss: training_loss,
      epoch: state.epoch,
      step: state.global_step,
    };
    state.log_history.push(metrics);
    return { global_step: state.global_step, training_loss, finished: state.global_step === this.#plan.totalSteps, metrics };
  }

  /** Loss and metrics on the evaluation pairs, with `eval_` before every name; also logged. */
  async evaluate(): Promise<LogEntry> {
    this.#requireAlive("evaluate");
    if (this.#eval === undefined) throw new ConfigError("eval_dataset", "DPOTrainer: evaluate needs an eval_dataset, got none");
    const engine = await this.model.load(this.args);
    if (!this.#references.has(this.#eval[0]!)) {
      if (this.#trained && this.#reference === undefined)
        throw new ConfigError(
          "eval_reference",
          "DPOTrainer: the reference for the evaluation rows was not computed before training; set eval_strategy, or call evaluate before train",
        );
      await this.#references.compute(this.#eval);
    }
    return this.#evaluate(engine);
  }

  async #evaluate(engine: Engine): Promise<LogEntry> {
    const { per_device_eval_batch_size: size, beta } = this.args;
    const pairs = this.#eval!;
    const started = performance.now();
    if (headIsFrozen(this.model)) await this.model.base.storeHeadMean();
    const scoring = scoringProgram(engine, this.model);
    const means = new MeanOfBatches();
    let loss = 0;
    try {
      for (let begin = 0; begin < pairs.length; begin += size) {
        const batch = pairs.slice(begin, begin + size);
        const references = this.#references.of(batch);
        const scores = await scorePairs(scoring, batch, this.model.config);
        const { loss: mean } = await batchLoss(lossFunction(this.args), beta, batch, scores, references);
        loss += (mean * batch.length) / pairs.length;
        means.add(batchMetrics(batch, scores, references, beta));
      }
    } finally {
      await scoring.dispose();
    }
    const seconds = (performance.now() - started) / 1000;
    const batches = Math.ceil(pairs.length / size);
    const speed = { runtime: seconds, samples_per_second: pairs.length / seconds, steps_per_second: batches / seconds };
    const metrics: BatchMetrics = { loss, ...speed, ...means.take(), num_tokens: this.state.num_input_tokens_seen };
    const entry = await this.#log(Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value])));
    for (const callback of this.#callbacks) await callback.on_evaluate?.(this.state, entry);
    return entry;
  }

  /** Reference log-probs for every pair that the run will meet. */
  async #computeReferences(): Promise<void> {
    const all = this.args.precompute_ref_log_probs;
    const needed = all ? this.#train : visitedPairs(this.#plan, this.args).map((i) => this.#train[i]!);
    const onPair = (done: number, total: number): boolean => {
      for (const callback of this.#callbacks) callback.on_reference?.(done, total);
      return !this.#stopRequested;
    };
    await this.#references.compute([...needed, ...(this.#eval ?? [])], onPair);
  }

  /** Saves the model (with LoRA: the adapter), its tokenizer and the options. @param dir default `output_dir` */
  async save_model(dir: string = this.args.output_dir): Promise<void> {
    this.#requireAlive("save_model");
    await saveFolder(dir, this.#saved());
  }

  /** Writes `trainer_state.json` (equal for equal runs) and `train_results.json` (times and rates) into `output_dir`. */
  async save_state(): Promise<void> {
    await mkdir(this.args.output_dir, { recursive: true });
    await writeFileAtomic(join(this.args.output_dir, "trainer_state.json"), stateJson(this.state));
    const results = this.state.log_history.findLast((entry) => entry["train_runtime"] !== undefined) ?? {};
    await writeFileAtomic(join(this.args.output_dir, "train_results.json"), `${JSON.stringify(results, null, 2)}\n`);
  }

  /** Frees the compute worker, with the weights of the model and of the reference. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.model.base.dispose();
    await this.#reference?.base.dispose();
  }

  /** The weights that training made are gone after dispose; those of the files must not be taken for them. */
  #requireAlive(method: string): void {
    if (this.#disposed)
      throw new ConfigError("disposed", `DPOTrainer: ${method}() must come before dispose(), which frees the weights; make a new trainer`);
  }

  #saved() {
    return { model: this.model, tokenizer: this.processing_class, args: this.args };
  }

  async #emit(event: "on_train_begin" | "on_step_end" | "on_train_end"): Promise<void> {
    for (const callback of this.#callbacks) await callback[event]?.(this.state);
  }
}

function policyOf(model: CausalLM, peft_config: LoraConfig | undefined, args: DPOConfig): CausalLM {
  if (peft_config === undefined) {
    model.requireTrainable("DPOTrainer");
    return model;
  }
  if (model instanceof PeftModel)
    throw new ConfigError(
      "two_adapters",
      "DPOTrainer: the model has an adapter already; leave out peft_config to train that one, or merge it first",
    );
  if (!(model instanceof Qwen2ForCausalLM))
    throw new ConfigError("model_type", "DPOTrainer: peft_config needs a model from AutoModelForCausalLM");
  return get_peft_model(model, peft_config, { seed: args.seed });
}
