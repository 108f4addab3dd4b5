/** One trial as a training run. Trials share the loaded base model: adapters come and go on it; all weights are loaded anew for each. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { BitsAndBytesConfig, type BitsAndBytesConfigInput, AutoModelForCausalLM, type CausalLM } from "../model/index.js";
import type { JsonValue } from "../config/index.js";
import type { Dataset } from "../data/index.js";
import { EngineError } from "../errors.js";
import type { PreTrainedTokenizer } from "../text/index.js";
import type { Trainer, TrainerCallback } from "../train/index.js";
import { checkpointSteps } from "../train/loop/checkpoints.js";
import type { TrainingConfig } from "../train/options/trainingConfig.js";
import { type TrialResult, TrialPruned, TrialStopped } from "./engine.js";
import type { TrialFacts } from "./ledger.js";
import { type SweepMethod, loraConfig, splitOptions } from "./methods.js";
import type { SweepTrial } from "./study.js";

export interface TrainingPlan {
  readonly base: string;
  readonly quantization: BitsAndBytesConfigInput | undefined;
  readonly tokenizer: PreTrainedTokenizer;
  readonly train: Dataset;
  readonly eval: Dataset | undefined;
  readonly method: SweepMethod;
  /** Of trainer and LoRA, the same for all trials. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether an adapter is trained even where no trial names a LoRA option. */
  readonly adapter: boolean;
  readonly metric: string;
  /** Folder of a trial. */
  readonly folder: (number: number) => string;
  /** Called when a run is complete and its value known, before the trial is told of: what must be kept is saved here. */
  readonly onComplete: (trial: SweepTrial, trainer: Trainer, value: number) => Promise<void>;
  readonly onProgress?: (trial: SweepTrial, step: number, steps: number) => void;
}

/** Errors after which the numbers of the shared model are still those of its files. */
const HARMLESS = ["loss_not_finite", "gradient_not_finite", "reference_not_finite", "interrupted", "trial_lost"];

/** A run's options that say where it computes. */
const PLACE = ["engine", "device", "backend", "threads"] as const;

interface SharedBase {
  readonly model: CausalLM;
  readonly place: string;
  /** What the store holds of the model itself. */
  readonly names: ReadonlySet<string>;
}

export class TrainingRuns {
  readonly #plan: TrainingPlan;
  #shared: SharedBase | undefined;

  constructor(plan: TrainingPlan) {
    this.#plan = plan;
  }

  /** Runs a trial to its end, to its pruning, or to the signal. */
  async run(trial: SweepTrial, signal: AbortSignal): Promise<TrialResult> {
    const { method, adapter } = this.#plan;
    const output_dir = this.#plan.folder(trial.number);
    const where = `trial ${trial.number}`;
    const { training, lora } = splitOptions(method, { ...this.#plan.options, ...trial.params }, where);
    const resumed = trial.attempt > 1 && (await checkpointSteps(output_dir)).length > 0;
    const args = method.config({ disable_tqdm: true, ...defaults(method, training), ...training, output_dir }, where);
    const peft_config = lora === undefined && !adapter ? undefined : loraConfig(lora ?? {});
    if (!resumed) {
      // An attempt that ended without a checkpoint leaves nothing that can be used.
      trial.forget_reports();
      await rm(output_dir, { recursive: true, force: true });
    }
    const model = peft_config === undefined ? await this.#load() : (await this.#base(args)).model;
    const watch = new Watch(trial, this.#plan);
    let trainer: Trainer | undefined;
    try {
      trainer = await method.trainer({
        model,
        args,
        train_dataset: this.#plan.train,
        ...(this.#plan.eval === undefined ? {} : { eval_dataset: this.#plan.eval }),
        processing_class: this.#plan.tokenizer,
        ...(peft_config === undefined ? {} : { peft_config }),
        callbacks: [watch],
      });
      return await this.#train(trial, trainer, watch, resumed, signal);
    } catch (error) {
      if (error instanceof EngineError && !HARMLESS.includes(error.code)) await this.#drop();
      throw error;
    } finally {
      if (peft_config === undefined) await model.dispose();
      else await this.#clear(trainer);
    }
  }

  async #train(trial: SweepTrial, trainer: Trainer, watch: Watch, resumed: boolean, signal: AbortSignal): Promise<TrialResult> {
    const { metric, onComplete } = this.#plan;
    const stop = (): void => trainer.stop();
    signal.addEventListener("abort", stop);
    try {
      if (signal.aborted) throw new TrialStopped();
      const output = await trainer.train({ resume_from_checkpoint: resumed });
      if (watch.pruned !== undefined) throw new TrialPruned(watch.pruned, factsOf(trainer));
      if (!output.finished)
        throw signal.aborted ? new TrialStopped() : new EngineError("interrupted", `trial ${trial.number}: a callback ended it`);
      // A best model that was loaded at the end is another one than the last evaluated.
      const known = trial.latest?.step === output.global_step && !trainer.args.load_best_model_at_end;
      if (metric.startsWith("eval_") && !known) await trainer.evaluate();
      const value = trainer.state.log_history.findLast((entry) => entry[metric] !== undefined)?.[metric];
      if (value === undefined) {
        const names = [...new Set(trainer.state.log_history.flatMap((entry) => Object.keys(entry)))];
        throw new EngineError(
          "metric_unknown",
          `trial ${trial.number}: the metric must be a logged value, got ${metric}; logged were ${names.join(", ")}`,
        );
      }
      if (!Number.isFinite(value))
        throw new EngineError("loss_not_finite", `trial ${trial.number}: ${metric} must be finite, got ${value}`);
      trial.requireOwn();
      await onComplete(trial, trainer, value);
      return { value, facts: factsOf(trainer) };
    } catch (error) {
      // The interrupt button of a notebook stops the trainer by itself.
      if (error instanceof EngineError && error.code === "interrupted" && signal.aborted) throw new TrialStopped();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #load(): Promise<CausalLM> {
    const { base, quantization } = this.#plan;
    return AutoModelForCausalLM.from_pretrained(
      base,
      quantization === undefined ? {} : { quantization_config: new BitsAndBytesConfig(quantization) },
    );
  }

  async #base(args: TrainingConfig): Promise<SharedBase> {
    const place = JSON.stringify(PLACE.map((name) => args[name]));
    if (this.#shared !== undefined && this.#shared.place !== place) await this.#drop();
    if (this.#shared === undefined) {
      const model = await this.#load();
      const engine = await model.load(args);
      this.#shared = { model, place, names: new Set(engine.names()) };
    }
    return this.#shared;
  }

  /** Takes away what a trial has left beside the model's weights. */
  async #clear(trainer: Trainer | undefined): Promise<void> {
    if (this.#shared === undefined) return;
    const { model, names } = this.#shared;
    if (trainer !== undefined) await trainer.model.dispose();
    const engine = await model.load();
    await engine.remove(...engine.names().filter((name) => !names.has(name)));
  }

  async #drop(): Promise<void> {
    const shared = this.#shared;
    this.#shared = undefined;
    await shared?.model.dispose();
  }

  async dispose(): Promise<void> {
    await this.#drop();
  }
}

/** What a sweep sets where nobody does: reference log-probs that the next trial finds on disk. */
function defaults({ table }: SweepMethod, training: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const moves = training["sync_ref_model"] === true;
  return table.specs.has("precompute_ref_log_probs") && !moves ? { precompute_ref_log_probs: true } : {};
}

/** Listens to a run for its trial. */
class Watch implements TrainerCallback {
  pruned: string | undefined;

  constructor(
    private readonly trial: SweepTrial,
    private readonly plan: TrainingPlan,
  ) {}

  on_step_end: NonNullable<TrainerCallback["on_step_end"]> = (state) => {
    this.trial.requireOwn();
    this.plan.onProgress?.(this.trial, state.global_step, state.max_steps);
  };

  on_log: NonNullable<TrainerCallback["on_log"]> = async (state, entry, control) => {
    const value = entry[this.plan.metric];
    if (value === undefined) return;
    this.trial.report(state.global_step, value);
    // The last step's value is the trial's own.
    if (state.global_step >= state.max_steps) return;
    await this.trial.judged();
    this.pruned ??= this.trial.should_prune();
    if (this.pruned !== undefined) control.should_training_stop = true;
  };
}

/** Points of the curve that the table's figure shows. */
const CURVE_POINTS = 200;

function factsOf(trainer: Trainer): TrialFacts {
  const { log_history, global_step } = trainer.state;
  const losses = log_history.filter((entry) => entry["loss"] !== undefined);
  const every = Math.max(1, Math.ceil(losses.length / CURVE_POINTS));
  const last = log_history.findLast((entry) => Object.keys(entry).some((name) => name.startsWith("eval_"))) ?? {};
  const seconds = log_history.findLast((entry) => entry["train_runtime"] !== undefined)?.["train_runtime"];
  const evaluated = Object.entries(last).filter(
    ([name, value]) => name.startsWith("eval_") && Number.isFinite(value) && !TIMING.test(name),
  );
  return {
    steps: global_step,
    seconds: seconds ?? null,
    train_loss: losses.at(-1)?.["loss"] ?? null,
    evaluation: Object.fromEntries(evaluated) as { [name: string]: JsonValue },
    curve: losses.filter((_, i) => i % every === 0).map((entry): JsonValue => [entry["step"]!, entry["loss"]!]),
  };
}

const TIMING = /_(runtime|samples_per_second|steps_per_second|num_tokens)$/;

/** Removes the weights of a trial, and what only its resumption needs; manifest, log and options stay. */
export async function forgetWeights(folder: string): Promise<void> {
  for (const step of await checkpointSteps(folder)) await rm(join(folder, `checkpoint-${step}`), { recursive: true, force: true });
  for (const file of ["adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json"]) {
    if (existsSync(join(folder, file))) await rm(join(folder, file));
  }
}
