/** The trainer that DPO, SFT and KTO share, with the interface of transformers' Trainer. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { diagnose } from "../diagnosis/diagnose.js";
import type { Diagnosis } from "../diagnosis/diagnosis.js";
import type { DiagnosedArgs } from "../diagnosis/finding.js";
import { type Recorded, type RecordedInput, RunRecorder, recordInputs } from "../manifest/recorder.js";
import type { RunManifest } from "../manifest/runManifest.js";
import type { TrainingConfig } from "../options/trainingConfig.js";
import { reporters } from "../report/reporters.js";
import { CallbackList, type TrainerCallback } from "./callbacks.js";
import { type Saved, STATE_FILE, checkpointFolder, requirePlace, saveCheckpointFolder, saveFolder } from "./checkpoints.js";
import type { TrainingMethod } from "./method.js";
import { ProgressLine } from "./progress.js";
import { findCheckpoint, readState, restoreRun, writeResumeFiles } from "./resume.js";
import { TrainingRun } from "./run.js";
import { type RunPlan, planRun, visitedRows } from "./runPlan.js";
import { type LogEntry, type TrainerState, initialState, stateJson } from "./trainerState.js";

export interface TrainOutput {
  global_step: number;
  /** Mean loss over all steps. */
  training_loss: number;
  /** False when `stop()` or a callback ended the run before its last step. */
  finished: boolean;
  metrics: LogEntry;
}

export interface TrainOptions {
  /** A checkpoint folder, or true for the newest in output_dir; overrides the option of that name. */
  resume_from_checkpoint?: string | boolean;
}

/** Models that a trainer is working on: two at once would sum into the same gradient. */
const inTraining = new WeakSet<CausalLM>();

export abstract class Trainer<Config extends TrainingConfig = TrainingConfig> {
  readonly args: Config;
  /** What is trained: the given model, or its adapter. */
  readonly model: CausalLM;
  readonly processing_class: PreTrainedTokenizer;
  readonly state: TrainerState;
  readonly #method: TrainingMethod;
  readonly #plan: RunPlan;
  readonly #callbacks: CallbackList;
  readonly #recorder: RunRecorder;
  #stopRequested = false;
  #savedStep = -1;
  #trained = false;
  #disposed = false;

  /** @throws ConfigError */
  protected constructor(method: TrainingMethod, args: Config, tokenizer: PreTrainedTokenizer, input: RecordedInput) {
    this.#method = method;
    this.args = args;
    this.model = method.model;
    this.processing_class = tokenizer;
    method.model.requireTrainable(method.name);
    if (args.eval_strategy !== "no" && method.evalSets.length === 0) {
      throw new ConfigError(
        "eval_dataset",
        `${method.name}: eval_strategy "${args.eval_strategy}" needs an eval_dataset, got none; pass one or set eval_strategy "no"`,
      );
    }
    this.#plan = planRun(method.trainRows, args, method.name);
    const context = { model_config: method.model.config.raw, interrupted: () => this.#stopRequested };
    const own = [...(args.disable_tqdm ? [] : [new ProgressLine()]), ...reporters(args, context)];
    this.#callbacks = new CallbackList(args, [...own, ...(input.callbacks ?? [])]);
    this.#recorder = new RunRecorder(() => recordInputs(method.tag, args, tokenizer, input), args.output_dir);
    this.state = initialState(args, this.#plan);
  }

  /** "dpo", "sft", …: what a model card is tagged with. */
  get method(): string {
    return this.#method.tag;
  }

  /** What `output_dir`/run_manifest.json says of this run; undefined before `train`. */
  get manifest(): RunManifest | undefined {
    return this.#recorder.manifest;
  }

  /** What a run would be made of, by content, as run_manifest.json records it. Before training: a trained model is another input. */
  describe(): Promise<Recorded> {
    return this.#recorder.describe();
  }

  add_callback(callback: TrainerCallback): void {
    this.#callbacks.add(callback);
  }

  /** Asks a running `train` to end after its present step; it saves a checkpoint and returns. */
  stop(): void {
    this.#stopRequested = true;
    this.#callbacks.control.should_training_stop = true;
  }

  /**
   * Runs the training.
   * @throws EngineError `loss_not_finite` with step and rows; the last checkpoint stays
   * @throws ConfigError `output_dir` before any work if nothing could be saved there; `resume_from_checkpoint`
   */
  async train({ resume_from_checkpoint }: TrainOptions = {}): Promise<TrainOutput> {
    this.#requireAlive("train");
    const { name } = this.#method;
    if (this.#trained) throw new ConfigError("trained", `${name}: train() runs once; make a new trainer to go on from this model`);
    if (inTraining.has(this.model))
      throw new ConfigError("in_training", `${name}: this model is being trained; wait for that train() to end`);
    inTraining.add(this.model);
    try {
      return await this.#run(await findCheckpoint(resume_from_checkpoint ?? this.args.resume_from_checkpoint, this.args.output_dir, name));
    } catch (error) {
      await this.#callbacks.failed(this.state, error);
      await this.#recorder.end(this.state, { status: "failed", error });
      throw error;
    } finally {
      inTraining.delete(this.model);
    }
  }

  async #run(checkpoint: string | undefined): Promise<TrainOutput> {
    const { state, args } = this;
    await requirePlace(this.#saved());
    if (checkpoint !== undefined) Object.assign(state, readState(checkpoint, args, this.#plan, this.#method));
    await this.#recorder.begin(state, checkpoint !== undefined);
    const firstStep = state.global_step;
    const engine = await this.model.load(args);
    const started = performance.now();
    await this.#callbacks.emit("on_train_begin", state);
    await this.#method.prepare(engine, visitedRows(this.#plan, args), { onReference: (done, total) => this.#onReference(done, total) });
    this.#trained = true;
    this.model.markChanged();
    const run = await TrainingRun.create(this.#host(), engine);
    try {
      if (checkpoint !== undefined) await restoreRun(checkpoint, this.#method, run);
      await run.loop();
      if (state.global_step < this.#plan.totalSteps && this.#savedStep !== state.global_step) await this.#save(run);
      if (args.load_best_model_at_end) await this.#loadBest();
      const output = this.#finish(run, (performance.now() - started) / 1000, state.global_step - firstStep);
      await this.#callbacks.log(state, output.metrics);
      await this.save_state();
      const { finished, metrics } = output;
      const seconds = metrics["train_runtime"]!;
      await this.#recorder.end(state, { status: finished ? "finished" : "stopped", seconds, model: this.model });
      await this.#callbacks.emit("on_train_end", state);
      return output;
    } finally {
      await run.dispose();
    }
  }

  #onReference(done: number, total: number): boolean {
    this.#callbacks.reference(done, total);
    return !this.#callbacks.control.should_training_stop;
  }

  #host() {
    return {
      method: this.#method,
      args: this.args,
      plan: this.#plan,
      state: this.state,
      callbacks: this.#callbacks,
      log: (entry: LogEntry) => this.#log(entry),
      evaluate: (engine: Engine) => this.#evaluateAll(engine),
      save: (run: TrainingRun) => this.#save(run),
    };
  }

  async #log(values: LogEntry): Promise<void> {
    const entry = { ...values, epoch: this.state.epoch, step: this.state.global_step };
    this.state.log_history.push(entry);
    await this.#callbacks.log(this.state, entry);
  }

  async #save(run: TrainingRun): Promise<void> {
    const { state, args } = this;
    const folder = checkpointFolder(args.output_dir, state.global_step);
    if (state.best_global_step === state.global_step) state.best_model_checkpoint = folder;
    const engine = await this.model.load();
    await saveCheckpointFolder(this.#saved(), state, async (staging) => {
      if (!args.save_only_model) await writeResumeFiles(staging, engine, this.#method, run);
    });
    this.#savedStep = state.global_step;
    await this.#callbacks.saved(state, folder);
  }

  async #loadBest(): Promise<void> {
    const { best_model_checkpoint: folder } = this.state;
    if (folder !== null) await this.model.restore(folder);
  }

  #finish(run: TrainingRun, seconds: number, steps: number): TrainOutput {
    const { state } = this;
    const training_loss = run.totalLoss / Math.max(1, state.global_step);
    const metrics: LogEntry = {
      train_runtime: seconds,
      train_samples_per_second: run.rowsHere / seconds,
      train_steps_per_second: steps / seconds,
      train_loss: training_loss,
      epoch: state.epoch,
      step: state.global_step,
    };
    state.log_history.push(metrics);
    return { global_step: state.global_step, training_loss, finished: state.global_step === this.#plan.totalSteps, metrics };
  }

  /** Loss and metrics on the evaluation rows, with `eval_` before every name (with several sets `eval_NAME_`); also logged. */
  async evaluate(): Promise<LogEntry> {
    this.#requireAlive("evaluate");
    const { name, evalSets } = this.#method;
    if (evalSets.length === 0) throw new ConfigError("eval_dataset", `${name}: evaluate needs an eval_dataset, got none`);
    return this.#evaluateAll(await this.model.load(this.args));
  }

  async #evaluateAll(engine: Engine): Promise<LogEntry> {
    const all: LogEntry = {};
    for (const set of this.#method.evalSets) Object.assign(all, await this.#evaluateSet(engine, set));
    await this.#callbacks.evaluated(this.state, all);
    return all;
  }

  async #evaluateSet(engine: Engine, set: string): Promise<LogEntry> {
    const started = performance.now();
    const { loss, metrics, rows, batches } = await this.#method.evaluate(engine, set, this.#trained);
    const runtime = (performance.now() - started) / 1000;
    const speed = { runtime, samples_per_second: rows / runtime, steps_per_second: batches / runtime };
    const values = { loss, ...speed, ...metrics, num_tokens: this.state.num_input_tokens_seen };
    const prefix = set === "" ? "eval_" : `eval_${set}_`;
    await this.#log(Object.fromEntries(Object.entries(values).map(([key, value]) => [`${prefix}${key}`, value])));
    return this.state.log_history.at(-1)!;
  }

  /**
   * What the curves so far say, in plain words: whether the run started as it should, learns, or went wrong, and what to do.
   * Shows itself in a notebook; `.text` for the terminal. @throws ConfigError `no_diagnosis` for a method without rules
   */
  diagnose(): Diagnosis {
    const { facts, name } = this.#method;
    if (facts === undefined)
      throw new ConfigError("no_diagnosis", `${name}: diagnose knows dpo, kto and sft, got ${this.method}; look at state.log_history`);
    return diagnose(this.state, this.args as DiagnosedArgs, facts);
  }

  /** Saves the model (with LoRA: the adapter), its tokenizer and the options. @param dir default `output_dir` */
  async save_model(dir: string = this.args.output_dir): Promise<void> {
    this.#requireAlive("save_model");
    await saveFolder(dir, this.#saved());
  }

  /** Writes `trainer_state.json` (equal for equal runs) and `train_results.json` (times and rates) into `output_dir`. */
  async save_state(): Promise<void> {
    const { output_dir } = this.args;
    await mkdir(output_dir, { recursive: true });
    await writeFileAtomic(join(output_dir, STATE_FILE), stateJson(this.state));
    const results = this.state.log_history.findLast((entry) => entry["train_runtime"] !== undefined) ?? {};
    await writeFileAtomic(join(output_dir, "train_results.json"), `${JSON.stringify(results, null, 2)}\n`);
  }

  /** Frees the compute worker, with the weights of the model and of whatever else the method holds. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    // What the method holds may lie in the model's engine.
    await this.#method.dispose();
    await this.model.base.dispose();
  }

  /** The weights that training made are gone after dispose; those of the files must not be taken for them. */
  #requireAlive(method: string): void {
    if (this.#disposed)
      throw new ConfigError(
        "disposed",
        `${this.#method.name}: ${method}() must come before dispose(), which frees the weights; make a new trainer`,
      );
  }

  #saved(): Saved {
    return { model: this.model, tokenizer: this.processing_class, args: this.args, where: this.#method.name };
  }
}
