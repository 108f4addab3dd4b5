/** Training: DPO and SFT. */
export {
  DPO_OPTIONS,
  DPOConfig,
  type DPOConfigInput,
  type DPOLossFunction,
  type DPOLossName,
  type PairLogps,
} from "./options/dpoConfig.js";
export { DPOTrainer, type DPOTrainerOptions } from "./dpo/dpoTrainer.js";
export { SFT_OPTIONS, SFTConfig, type SFTConfigInput, type SFTLossName } from "./options/sftConfig.js";
export { SFTTrainer, type FormattingFunction, type SFTTrainerOptions } from "./sft/sftTrainer.js";
export { Trainer, type TrainOptions, type TrainOutput } from "./loop/trainer.js";
export { EarlyStoppingCallback } from "./loop/earlyStopping.js";
export { DPO_LOSSES } from "./dpo/losses.js";
export type { TrainerCallback, TrainerControl } from "./loop/callbacks.js";
export type { LogEntry, TrainerState } from "./loop/trainerState.js";
