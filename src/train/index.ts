/** Preference training. */
export { DPO_OPTIONS, DPOConfig, type DPOConfigInput, type DPOLossFunction, type DPOLossName, type PairLogps } from "./dpoConfig.js";
export { DPOTrainer, type DPOTrainerOptions, type TrainOutput } from "./dpoTrainer.js";
export { DPO_LOSSES } from "./losses.js";
export type { TrainerCallback } from "./progress.js";
export type { LogEntry, TrainerState } from "./trainerState.js";
