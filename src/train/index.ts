/** Preference training. */
export {
  DPO_OPTIONS,
  DPOConfig,
  type DPOConfigInput,
  type DPOLossFunction,
  type DPOLossName,
  type PairLogps,
} from "./options/dpoConfig.js";
export { DPOTrainer, type DPOTrainerOptions, type TrainOutput } from "./dpo/dpoTrainer.js";
export { DPO_LOSSES } from "./dpo/losses.js";
export type { TrainerCallback } from "./loop/progress.js";
export type { LogEntry, TrainerState } from "./loop/trainerState.js";
