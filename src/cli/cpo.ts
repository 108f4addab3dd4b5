import { CPO_OPTIONS, CPOConfig } from "../train/options/cpoConfig.js";
import { trainingCommand } from "./trainingCommand.js";

export const cpo = trainingCommand({
  name: "cpo",
  summary:
    "Fine-tunes a model on preference pairs without a reference: CPO, SimPO or AlphaPO by loss_type. Flags are TRL's; the model, its tokenizer and trainer_state.json go to output_dir.",
  rows: "pairs",
  data: "Preference rows",
  table: CPO_OPTIONS,
  config: CPOConfig,
  trainer: async () => (await import("../train/index.js")).CPOTrainer,
});
