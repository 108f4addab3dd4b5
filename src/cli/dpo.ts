import { DPO_OPTIONS, DPOConfig } from "../train/options/dpoConfig.js";
import { trainingCommand } from "./trainingCommand.js";

export const dpo = trainingCommand({
  name: "dpo",
  summary:
    "Fine-tunes a model on preference pairs with Direct Preference Optimization. Flags are TRL's; the model, its tokenizer and trainer_state.json go to output_dir.",
  rows: "pairs",
  data: "Preference rows",
  table: DPO_OPTIONS,
  config: DPOConfig,
  trainer: async () => (await import("../train/index.js")).DPOTrainer,
});
