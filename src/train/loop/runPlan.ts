/** Which pairs make which micro-batch, step and epoch. */
import { Random } from "../../random.js";
import type { DPOOptions } from "../options/dpoConfig.js";

export interface RunPlan {
  /** Optimizer steps of the run. */
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  readonly microBatchesPerEpoch: number;
  /** The micro-batches of one epoch as indices of pairs; the last may be smaller. */
  epoch(number: number): number[][];
}

type PlanOptions = Pick<
  DPOOptions,
  "per_device_train_batch_size" | "gradient_accumulation_steps" | "num_train_epochs" | "max_steps" | "shuffle_dataset" | "seed"
>;

/** Step counts follow transformers' Trainer: the last step of an epoch may accumulate fewer micro-batches. */
export function planRun(rows: number, options: PlanOptions): RunPlan {
  const { per_device_train_batch_size: size, gradient_accumulation_steps, num_train_epochs, max_steps, shuffle_dataset, seed } = options;
  const microBatchesPerEpoch = Math.ceil(rows / size);
  const stepsPerEpoch = Math.ceil(microBatchesPerEpoch / gradient_accumulation_steps);
  const totalSteps = max_steps > 0 ? max_steps : Math.ceil(num_train_epochs * stepsPerEpoch);
  const random = new Random(seed).fork("shuffle");
  return {
    totalSteps,
    stepsPerEpoch,
    microBatchesPerEpoch,
    epoch(number) {
      const fileOrder = Array.from({ length: rows }, (_, i) => i);
      const order = shuffle_dataset ? random.fork(`epoch ${number}`).shuffle(fileOrder) : fileOrder;
      return Array.from({ length: microBatchesPerEpoch }, (_, i) => order.slice(i * size, (i + 1) * size));
    },
  };
}

/** The pairs that a run of this plan will meet, in file order: a short run on a long file needs few reference log-probs. */
export function visitedPairs(plan: RunPlan, options: PlanOptions): number[] {
  const visited = new Set<number>();
  let steps = 0;
  for (let epoch = 0; steps < plan.totalSteps; epoch++) {
    const batches = plan.epoch(epoch);
    for (let i = 0; i < batches.length && steps < plan.totalSteps; i += options.gradient_accumulation_steps, steps++) {
      for (const batch of batches.slice(i, i + options.gradient_accumulation_steps)) batch.forEach((pair) => visited.add(pair));
    }
    // After one whole epoch every pair was met.
    if (steps >= plan.stepsPerEpoch) break;
  }
  return [...visited].sort((a, b) => a - b);
}
