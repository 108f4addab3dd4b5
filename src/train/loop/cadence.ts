/** When a run logs, evaluates and saves. */
import type { TrainingOptions } from "../options/trainingConfig.js";

export interface Due {
  readonly log: boolean;
  readonly evaluate: boolean;
  readonly save: boolean;
}

/** Whether a number of steps is due; a number below 1 is a share of all steps, rounded up, as transformers does. */
export function absoluteSteps(steps: number, total: number): number {
  return steps < 1 ? Math.ceil(steps * total) : steps;
}

/** @param step optimizer steps done, from 1 @param epoch position in epochs @param epochEnds whether an epoch, or the run, ends with this step */
export function dueAfter(args: TrainingOptions, total: number, step: number, epoch: number, epochEnds: boolean): Due {
  const every = (steps: number): boolean => step % absoluteSteps(steps, total) === 0;
  const matches = (strategy: string, steps: number): boolean =>
    (strategy === "steps" && every(steps)) || (strategy === "epoch" && epochEnds);
  const { logging_strategy, logging_steps, eval_strategy, save_strategy } = args;
  const delayed = args.eval_delay > (eval_strategy === "epoch" ? epoch : step);
  const last = step === total;
  return {
    log: matches(logging_strategy, logging_steps) || (step === 1 && args.logging_first_step),
    evaluate: !delayed && matches(eval_strategy, args.eval_steps ?? logging_steps),
    save: matches(save_strategy, args.save_steps) || (last && (save_strategy === "steps" || save_strategy === "epoch")),
  };
}
