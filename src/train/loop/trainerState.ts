/** The state of a run in the format of transformers' trainer_state.json. */
import type { TrainingOptions } from "../options/trainingConfig.js";
import { absoluteSteps } from "./cadence.js";
import type { RunPlan } from "./runPlan.js";

/** One entry of the log: the logged values, `epoch` and `step`. */
export type LogEntry = Record<string, number>;

export interface TrainerState {
  best_global_step: number | null;
  best_metric: number | null;
  best_model_checkpoint: string | null;
  epoch: number;
  eval_steps: number;
  global_step: number;
  is_hyper_param_search: boolean;
  is_local_process_zero: boolean;
  is_world_process_zero: boolean;
  log_history: LogEntry[];
  logging_steps: number;
  max_steps: number;
  num_input_tokens_seen: number;
  num_train_epochs: number;
  save_steps: number;
  train_batch_size: number;
}

export function initialState(args: TrainingOptions, plan: RunPlan): TrainerState {
  return {
    best_global_step: null,
    best_metric: null,
    best_model_checkpoint: null,
    epoch: 0,
    eval_steps: absoluteSteps(args.eval_steps ?? args.logging_steps, plan.totalSteps),
    global_step: 0,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: [],
    logging_steps: absoluteSteps(args.logging_steps, plan.totalSteps),
    max_steps: plan.totalSteps,
    num_input_tokens_seen: 0,
    num_train_epochs: Math.ceil(plan.totalSteps / plan.stepsPerEpoch),
    save_steps: absoluteSteps(args.save_steps, plan.totalSteps),
    train_batch_size: args.per_device_train_batch_size,
  };
}

/** Values that differ between two equal runs; kept out of trainer_state.json, so that its bytes are the same. */
const TIMING = /_(runtime|samples_per_second|steps_per_second)$/;

export function stateJson(state: TrainerState): string {
  return `${JSON.stringify({ ...state, log_history: logWithoutTimes(state.log_history) }, null, 2)}\n`;
}

/** The log as equal runs have it in common. */
export function logWithoutTimes(log_history: readonly LogEntry[]): LogEntry[] {
  return log_history.map((entry) => Object.fromEntries(Object.entries(entry).filter(([name]) => !TIMING.test(name))));
}
