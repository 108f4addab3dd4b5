/** Training: DPO and SFT. */
export {
  DPO_OPTIONS,
  DPOConfig,
  type DPOConfigInput,
  type DPOLossFunction,
  type DPOLossName,
  type PairLogps,
} from "./options/dpoConfig.js";
export { KTO_OPTIONS, KTOConfig, type KTOConfigInput, type KTOLossFunction, type KTOLossName, type RowLogps } from "./options/ktoConfig.js";
export { DPOTrainer, type DPOTrainerOptions } from "./dpo/dpoTrainer.js";
export { SFT_OPTIONS, SFTConfig, type SFTConfigInput, type SFTLossName } from "./options/sftConfig.js";
export { SFTTrainer, type FormattingFunction, type SFTTrainerOptions } from "./sft/sftTrainer.js";
export { KTOTrainer, type KTOTrainerOptions } from "./kto/ktoTrainer.js";
export { Trainer, type TrainOptions, type TrainOutput } from "./loop/trainer.js";
export { EarlyStoppingCallback } from "./loop/earlyStopping.js";
export { DPO_LOSSES } from "./dpo/losses.js";
export { KTO_LOSSES } from "./kto/losses.js";
export type { TrainerCallback, TrainerControl } from "./loop/callbacks.js";
export { diagnose } from "./diagnosis/diagnose.js";
export { Diagnosis, formatDiagnosis } from "./diagnosis/diagnosis.js";
export type { DiagnosisFacts, Finding, Severity } from "./diagnosis/finding.js";
export type { LogEntry, TrainerState } from "./loop/trainerState.js";
