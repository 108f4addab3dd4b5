/** Preference training. */
export { DPO_OPTIONS, DPOConfig, type DPOConfigInput, type DPOLossName } from "./options/dpoConfig.js";
export { CPO_OPTIONS, CPOConfig, type CPOConfigInput } from "./options/cpoConfig.js";
export { ORPO_OPTIONS, ORPOConfig, type ORPOConfigInput } from "./options/orpoConfig.js";
export type { DPOLossFunction, DPOLossOptions, PairLogps, PolicyLogps } from "./options/preferenceLoss.js";
export { KTO_OPTIONS, KTOConfig, type KTOConfigInput, type KTOLossFunction, type KTOLossName, type RowLogps } from "./options/ktoConfig.js";
export { DPOTrainer, type DPOTrainerOptions } from "./dpo/dpoTrainer.js";
export { CPOTrainer, type CPOTrainerOptions } from "./dpo/cpoTrainer.js";
export { ORPOTrainer, type ORPOTrainerOptions } from "./dpo/orpoTrainer.js";
export { KTOTrainer, type KTOTrainerOptions } from "./kto/ktoTrainer.js";
export { Trainer, type TrainOptions, type TrainOutput } from "./loop/trainer.js";
export { EarlyStoppingCallback } from "./loop/earlyStopping.js";
export { type BuiltInLoss, DPO_LOSSES } from "./dpo/losses.js";
export { KTO_LOSSES } from "./kto/losses.js";
export type { TrainerCallback, TrainerControl } from "./loop/callbacks.js";
export { diagnose } from "./diagnosis/diagnose.js";
export { Diagnosis, formatDiagnosis } from "./diagnosis/diagnosis.js";
export type { DiagnosisFacts, Finding, Severity } from "./diagnosis/finding.js";
export type { LogEntry, TrainerState } from "./loop/trainerState.js";
