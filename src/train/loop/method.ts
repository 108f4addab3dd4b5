/**
 * What a training method (DPO, SFT, KTO, …) is to the loop. The loop knows steps, learning rates, logs, evaluations and
 * checkpoints; a method knows rows, programs and losses.
 *
 * - A method owns its prepared rows. The loop speaks of rows by index and of a step as a list of micro-batches of indices.
 * - `prepare` runs once, before anything is trained, with the model as it was given: what must be known of the untrained
 *   model (reference log-probs) is computed here.
 * - `begin` makes the programs; the step runner it returns leaves the gradient of a whole optimizer step in the engine's store
 *   (`gradientName`), already scaled so that the optimizer needs no division.
 * - Random numbers come only from the stream that a step is given, so a resumed run draws what an uninterrupted one draws.
 * - Evaluation changes nothing that training sees.
 */
import type { Engine } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { DiagnosisFacts } from "../diagnosis/finding.js";
import type { BatchMetrics } from "./logWindow.js";

/** What one optimizer step's forward and backward passes gave. */
export interface StepResult {
  /** What the log calls the loss of the step. */
  readonly loss: number;
  /** One entry a micro-batch; a metric that a micro-batch does not have is left out of its mean. */
  readonly metrics: readonly BatchMetrics[];
  /** Attended tokens, as TRL counts `num_tokens`. */
  readonly tokens: number;
}

export interface StepRunner {
  /** @param batches the micro-batches of one optimizer step, each a list of row indices */
  run(batches: readonly (readonly number[])[], random: Random): Promise<StepResult>;
  /** After the optimizer has changed the weights. @param step optimizer steps done */
  onStepEnd?(step: number): Promise<void>;
  dispose(): Promise<void>;
}

export interface EvaluationResult {
  readonly loss: number;
  readonly metrics: BatchMetrics;
  /** Rows and batches that were run, for the rates. */
  readonly rows: number;
  readonly batches: number;
}

/** How the work before the first step reports, and learns that it should end. */
export interface PrepareEvents {
  /** @returns false to end the work */
  readonly onReference: (done: number, total: number) => boolean;
}

export interface TrainingMethod {
  /** For messages, e.g. "DPOTrainer". */
  readonly name: string;
  /** For model cards and reports, e.g. "dpo". */
  readonly tag: string;
  /** What `diagnose` must know beside the log; undefined where its rules do not apply. */
  readonly facts: DiagnosisFacts | undefined;
  /** What is trained: a full model or an adapter. */
  readonly model: CausalLM;
  readonly trainRows: number;
  /** Evaluation sets by name; a single one has the empty name. */
  readonly evalSets: readonly string[];
  /** File and row, for errors. */
  origin(row: number): string;
  /** @param rows that the run will visit */
  prepare(engine: Engine, rows: readonly number[], events: PrepareEvents): Promise<void>;
  begin(engine: Engine): Promise<StepRunner>;
  /** @throws ConfigError when something it needs can no longer be computed. @param trained whether the model was trained since `prepare` */
  evaluate(engine: Engine, set: string, trained: boolean): Promise<EvaluationResult>;
  /** Stored tensors, beside the model and the optimizer, that a checkpoint must hold to resume exactly. */
  stateTensors?(): readonly string[];
  /** Frees models that belong to the method alone. */
  dispose(): Promise<void>;
}
