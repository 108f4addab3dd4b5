/** Learning-rate schedules by Hugging Face's names; formulas as in transformers' optimization.py. */
import type { TrainingOptions } from "../options/trainingConfig.js";

/** The learning rate of optimizer step `step`, which counts from 0. */
export type Schedule = (step: number) => number;

/** @param warmup optimizer steps over which the rate rises from 0 @param total optimizer steps of the run */
export function learningRateSchedule(name: TrainingOptions["lr_scheduler_type"], peak: number, warmup: number, total: number): Schedule {
  const rising = (step: number): number => step / Math.max(1, warmup);
  switch (name) {
    case "constant":
      return () => peak;
    case "constant_with_warmup":
      return (step) => peak * (step < warmup ? rising(step) : 1);
    case "linear":
      return (step) => peak * (step < warmup ? rising(step) : Math.max(0, (total - step) / Math.max(1, total - warmup)));
    case "cosine":
      return (step) => {
        if (step < warmup) return peak * rising(step);
        const progress = (step - warmup) / Math.max(1, total - warmup);
        return peak * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
      };
  }
}
