/** Preference training. */
export { DPO_OPTIONS, DPOConfig, type DPOConfigInput, type DPOLossName } from "./options/dpoConfig.js";
export { CPO_OPTIONS, CPOConfig, type CPOConfigInput } from "./options/cpoConfig.js";
export { ORPO_OPTIONS, ORPOConfig, type ORPOConfigInput } from "./options/orpoConfig.js";
export type { DPOLossFunction, DPOLossOptions, PairLogps, PolicyLogps } from "./options/preferenceLoss.js";
export { DPOTrainer, type DPOTrainerOptions, type TrainOutput } from "./dpo/dpoTrainer.js";
export { type BuiltInLoss, DPO_LOSSES } from "./dpo/losses.js";
export type { TrainerCallback } from "./loop/progress.js";
export type { LogEntry, TrainerState } from "./loop/trainerState.js";
