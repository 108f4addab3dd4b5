/** Which rows make which micro-batch, step and epoch. */
import { ConfigError } from "../../errors.js";
import { Random } from "../../random.js";
import type { TrainingOptions } from "../options/trainingConfig.js";

export interface RunPlan {
  /** Optimizer steps of the run. */
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  readonly microBatchesPerEpoch: number;
  /** The micro-batches of one epoch as indices of rows; the last may be smaller. */
  epoch(number: number): number[][];
}

type PlanOptions = Pick<
  TrainingOptions,
  | "per_device_train_batch_size"
  | "gradient_accumulation_steps"
  | "num_train_epochs"
  | "max_steps"
  | "shuffle_dataset"
  | "dataloader_drop_last"
  | "seed"
  | "data_seed"
>;

/** Step counts follow transformers' Trainer: the last step of an epoch may accumulate fewer micro-batches. */
export function planRun(rows: number, options: PlanOptions, where = "trainer"): RunPlan {
  const { per_device_train_batch_size: size, gradient_accumulation_steps, num_train_epochs, max_steps, shuffle_dataset } = options;
  const microBatchesPerEpoch = options.dataloader_drop_last ? Math.floor(rows / size) : Math.ceil(rows / size);
  if (microBatchesPerEpoch === 0)
    throw new ConfigError(
      "option_conflict",
      `${where}: dataloader_drop_last needs at least per_device_train_batch_size ${size} rows, got ${rows}; lower per_device_train_batch_size`,
    );
  const stepsPerEpoch = Math.ceil(microBatchesPerEpoch / gradient_accumulation_steps);
  const totalSteps = max_steps > 0 ? max_steps : Math.ceil(num_train_epochs * stepsPerEpoch);
  const random = new Random(options.data_seed ?? options.seed).fork("shuffle");
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

/** The rows that a run of this plan will meet, in file order: a short run on a long file needs few reference log-probs. */
export function visitedRows(plan: RunPlan, options: PlanOptions): number[] {
  const visited = new Set<number>();
  let steps = 0;
  for (let epoch = 0; steps < plan.totalSteps; epoch++) {
    const batches = plan.epoch(epoch);
    for (let i = 0; i < batches.length && steps < plan.totalSteps; i += options.gradient_accumulation_steps, steps++) {
      for (const batch of batches.slice(i, i + options.gradient_accumulation_steps)) batch.forEach((row) => visited.add(row));
    }
    // After one whole epoch every row was met.
    if (steps >= plan.stepsPerEpoch) break;
  }
  return [...visited].sort((a, b) => a - b);
}
