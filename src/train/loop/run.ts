/** One run from its first (or resumed) step to its last: micro-batches, update, log, evaluation, checkpoint. */
import type { Engine } from "../../compile/index.js";
import type { JsonObject } from "../../config/index.js";
import { EngineError } from "../../errors.js";
import { Random } from "../../random.js";
import type { TrainingConfig } from "../options/trainingConfig.js";
import { createOptimizer } from "../optimizer/createOptimizer.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import { bestMetricName, metricOf, noteBest } from "./bestModel.js";
import { dueAfter } from "./cadence.js";
import type { CallbackList } from "./callbacks.js";
import { LogWindow } from "./logWindow.js";
import type { StepRunner, TrainingMethod } from "./method.js";
import type { RunPlan } from "./runPlan.js";
import { type Schedule, learningRateSchedule } from "./schedule.js";
import type { LogEntry, TrainerState } from "./trainerState.js";

/** What a run needs of its trainer. */
export interface RunHost {
  readonly method: TrainingMethod;
  readonly args: TrainingConfig;
  readonly plan: RunPlan;
  readonly state: TrainerState;
  readonly callbacks: CallbackList;
  log(entry: LogEntry): Promise<void>;
  /** Evaluates every set; all metrics together. */
  evaluate(engine: Engine): Promise<LogEntry>;
  save(run: TrainingRun): Promise<void>;
}

export class TrainingRun {
  readonly optimizer: Optimizer;
  readonly #host: RunHost;
  readonly #engine: Engine;
  readonly #runner: StepRunner;
  readonly #schedule: Schedule;
  readonly #window = new LogWindow();
  readonly #random: Random;
  /** The next micro-batch. */
  #position = { epoch: 0, batch: 0 };
  /** Sum of the steps' losses, over interruptions too. */
  #totalLoss = 0;
  /** Rows seen since this process began. */
  rowsHere = 0;

  private constructor(host: RunHost, engine: Engine, runner: StepRunner, optimizer: Optimizer) {
    const { args, plan } = host;
    this.#host = host;
    this.#engine = engine;
    this.#runner = runner;
    this.optimizer = optimizer;
    const warmup = args.get_warmup_steps(plan.totalSteps);
    const { lr_scheduler_type, learning_rate, lr_scheduler_kwargs } = args;
    this.#schedule = learningRateSchedule(lr_scheduler_type, learning_rate, warmup, plan.totalSteps, lr_scheduler_kwargs);
    this.#random = new Random(args.seed).fork("dropout");
  }

  static async create(host: RunHost, engine: Engine): Promise<TrainingRun> {
    const runner = await host.method.begin(engine);
    try {
      return new TrainingRun(host, engine, runner, await createOptimizer(engine, host.method.model, host.args));
    } catch (error) {
      await runner.dispose();
      throw error;
    }
  }

  get totalLoss(): number {
    return this.#totalLoss;
  }

  /** From the state's step to the last. */
  async loop(): Promise<void> {
    const { args, plan, state, callbacks } = this.#host;
    const { control } = callbacks;
    if (args.eval_on_start && state.global_step === 0) await this.#evaluate();
    const goesOn = (): boolean => state.global_step < plan.totalSteps && !control.should_training_stop;
    while (goesOn()) {
      const { epoch } = this.#position;
      const batches = plan.epoch(epoch);
      if (this.#position.batch === 0) await callbacks.emit("on_epoch_begin", state);
      while (goesOn()) {
        await callbacks.emit("on_step_begin", state);
        const group = batches.slice(this.#position.batch, this.#position.batch + args.gradient_accumulation_steps);
        await this.#step(group);
        this.#position.batch += group.length;
        state.epoch = epoch + this.#position.batch / plan.microBatchesPerEpoch;
        await callbacks.emit("on_step_end", state);
        const ends = this.#position.batch === batches.length;
        if (ends) await callbacks.emit("on_epoch_end", state);
        // transformers ends the epoch when the run ends. A checkpoint of an epoch's last step goes on with the next epoch.
        if (ends) this.#position = { epoch: epoch + 1, batch: 0 };
        await this.#afterStep(ends || state.global_step === plan.totalSteps);
        if (ends) break;
      }
    }
  }

  async #step(group: readonly (readonly number[])[]): Promise<void> {
    const { args, method, state } = this.#host;
    const step = state.global_step;
    const { loss, metrics, tokens } = await this.#named(() => this.#runner.run(group, this.#random.fork(`step ${step}`)));
    this.rowsHere += group.flat().length;
    state.num_input_tokens_seen += tokens;
    for (const batch of metrics) this.#window.metrics.add(batch);
    const norm = await this.optimizer.gradientNorm();
    if (!Number.isFinite(norm)) {
      const origins = group.flat().map((row) => method.origin(row));
      throw new EngineError(
        "gradient_not_finite",
        `${method.name}: step ${step + 1}: the gradient norm must be finite, got ${norm} at ${origins.join(", ")}; lower learning_rate, and check these rows`,
      );
    }
    // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm.
    const clip = args.max_grad_norm === 0 ? 1 : Math.min(1, args.max_grad_norm / (norm + 1e-6));
    const learningRate = this.#schedule.rate(step);
    await this.optimizer.step(learningRate, clip);
    state.global_step++;
    this.#totalLoss += loss;
    this.#window.add(loss, norm, learningRate);
    await this.#runner.onStepEnd?.(state.global_step);
  }

  async #named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "loss_not_finite") throw error;
      const { name } = this.#host.method;
      const message = error.message.replace(`${name}:`, `${name}: step ${this.#host.state.global_step + 1}:`);
      throw new EngineError(error.code, message, { cause: error });
    }
  }

  async #afterStep(epochEnds: boolean): Promise<void> {
    const { args, plan, state, callbacks } = this.#host;
    const { control } = callbacks;
    const due = dueAfter(args, plan.totalSteps, state.global_step, state.epoch, epochEnds);
    if ((due.log || control.should_log) && !this.#window.isEmpty) {
      await this.#host.log({ ...this.#window.take(), num_tokens: state.num_input_tokens_seen });
    }
    let save = due.save || control.should_save;
    if (due.evaluate || control.should_evaluate) save = (await this.#evaluate()) || save;
    if (save || control.should_save) await this.#host.save(this);
    control.should_log = control.should_evaluate = control.should_save = false;
  }

  /** @returns whether a checkpoint is wanted because the metric is the best so far */
  async #evaluate(): Promise<boolean> {
    const { args, state } = this.#host;
    const metrics = await this.#host.evaluate(this.#engine);
    // transformers' schedules do not hear of the evaluation before the first step.
    if (state.global_step > 0) this.#schedule.onMetric?.(metricOf(metrics, bestMetricName(args), "metric_for_best_model"));
    const chooses = args.load_best_model_at_end || args.save_strategy === "best" || args.metric_for_best_model !== null;
    return chooses && noteBest(args, state, metrics) && args.save_strategy === "best";
  }

  /** What a checkpoint must hold beside weights, optimizer and trainer_state.json, as JSON. */
  save(): Record<string, unknown> {
    return {
      position: this.#position,
      totalLoss: this.#totalLoss,
      window: this.#window.save(),
      schedule: this.#schedule.state(),
      callbacks: this.#host.callbacks.save(),
    };
  }

  restore(saved: Record<string, unknown>): void {
    this.#position = { ...(saved["position"] as { epoch: number; batch: number }) };
    this.#totalLoss = saved["totalLoss"] as number;
    this.#window.restore(saved["window"]);
    this.#schedule.restore(saved["schedule"] as JsonObject);
    this.#host.callbacks.restore(saved["callbacks"] as Record<string, unknown>);
  }

  async dispose(): Promise<void> {
    await this.#runner.dispose();
    await this.optimizer.dispose();
  }
}
