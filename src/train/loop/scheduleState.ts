/** What a learning-rate schedule is, and how its state is kept in a checkpoint. */
import type { JsonObject, JsonValue } from "../../config/index.js";
import { ConfigError } from "../../errors.js";
import type { SchedulerName } from "../options/schedulerKwargs.js";

/**
 * The learning rate of a run. Most schedules know the rate of every step beforehand. `reduce_lr_on_plateau` and `greedy` have a rate
 * that changes when they are told an evaluation metric; whoever trains tells it, and asks `rate` just before each step.
 */
export interface Schedule {
  readonly name: SchedulerName;
  /** The learning rate of optimizer step `step`, which counts from 0. */
  rate(step: number): number;
  /** Takes the metric of an evaluation. Schedules that go by the step have no such method. */
  onMetric?(value: number): void;
  /** All that is needed to go on after `restore`, as JSON. */
  state(): JsonObject;
  /** @throws ConfigError `scheduler_state` for the state of another schedule, or a damaged one */
  restore(state: JsonObject): void;
}

/** @throws ConfigError `scheduler_state` */
export function requireState(name: SchedulerName, state: JsonObject): void {
  if (state["name"] === name) return;
  throw new ConfigError(
    "scheduler_state",
    `schedule: the state must be that of lr_scheduler_type "${name}", got ${JSON.stringify(state["name"] ?? null)}; resume with the lr_scheduler_type of the checkpoint`,
  );
}

/** JSON has no infinity: the best metric before the first one is null. */
export function toState(values: Record<string, number>): JsonObject {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number.isFinite(value) ? value : null]));
}

/** @param fresh the values before the first metric */
export function fromState<T extends Record<string, number>>(fresh: T, state: JsonObject): T {
  const values = Object.entries(fresh).map(([name, start]) => {
    const value = state[name];
    if (value === null && name === "best") return [name, start];
    if (typeof value !== "number") throw damaged(name, value);
    return [name, value];
  });
  return Object.fromEntries(values) as T;
}

export function numbersOf(name: string, value: JsonValue | undefined): number[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === "number")) throw damaged(name, value);
  return [...value];
}

function damaged(name: string, value: JsonValue | undefined): ConfigError {
  return new ConfigError(
    "scheduler_state",
    `schedule: ${name} of a saved state must be a number, got ${JSON.stringify(value ?? null)}; the checkpoint is damaged, resume from another`,
  );
}
