import { ORPO_OPTIONS, ORPOConfig } from "../train/options/orpoConfig.js";
import { trainingCommand } from "./trainingCommand.js";

export const orpo = trainingCommand({
  name: "orpo",
  summary:
    "Fine-tunes a model on preference pairs without a reference by Odds Ratio Preference Optimization. Flags are TRL's; the model, its tokenizer and trainer_state.json go to output_dir.",
  rows: "pairs",
  data: "Preference rows",
  table: ORPO_OPTIONS,
  config: ORPOConfig,
  trainer: async () => (await import("../train/index.js")).ORPOTrainer,
});
