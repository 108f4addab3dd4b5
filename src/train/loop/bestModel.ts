/** Which checkpoint is the best so far, by transformers' rules. */
import { ConfigError, nearestName } from "../../errors.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import type { LogEntry, TrainerState } from "./trainerState.js";

/** The evaluation metric that decides, with its `eval_`. */
export function bestMetricName({ metric_for_best_model }: TrainingOptions): string {
  const name = metric_for_best_model ?? "loss";
  return name.startsWith("eval_") ? name : `eval_${name}`;
}

/** Whether a greater metric is better. */
export function greaterIsBetter(args: TrainingOptions): boolean {
  return args.greater_is_better ?? !bestMetricName(args).endsWith("loss");
}

/**
 * Notes a new best metric in the state. @returns whether it is a new best
 * @throws ConfigError `metric_for_best_model` if the evaluation has no such metric
 */
export function noteBest(args: TrainingOptions, state: TrainerState, metrics: LogEntry): boolean {
  const value = metricOf(metrics, bestMetricName(args), "metric_for_best_model");
  const { best_metric } = state;
  const better = best_metric === null || (greaterIsBetter(args) ? value > best_metric : value < best_metric);
  if (!better) return false;
  state.best_metric = value;
  state.best_global_step = state.global_step;
  return true;
}

/** @param option that names the metric, for the error */
export function metricOf(metrics: LogEntry, name: string, option: string): number {
  const value = metrics[name];
  if (value !== undefined) return value;
  const known = Object.keys(metrics).filter((key) => key.startsWith("eval_"));
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? `known: ${known.join(", ")}` : `did you mean ${nearest}?`;
  throw new ConfigError(option, `${option}: the evaluation must have the metric, got none named ${name}; ${hint}`);
}
