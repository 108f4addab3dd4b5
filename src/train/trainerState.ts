/** The state of a run in the format of transformers' trainer_state.json. */

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

/** Values that differ between two equal runs; kept out of trainer_state.json, so that its bytes are the same. */
const TIMINGS = ["train_runtime", "train_samples_per_second", "train_steps_per_second", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"];

export function stateJson(state: TrainerState): string {
  const log_history = state.log_history.map((entry) => Object.fromEntries(Object.entries(entry).filter(([name]) => !TIMINGS.includes(name))));
  return `${JSON.stringify({ ...state, log_history }, null, 2)}\n`;
}
