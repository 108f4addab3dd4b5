import { KTO_OPTIONS, KTOConfig } from "../train/options/ktoConfig.js";
import { trainingCommand } from "./trainingCommand.js";

export const kto = trainingCommand({
  name: "kto",
  summary:
    "Fine-tunes a model on completions labelled good or bad with Kahneman-Tversky Optimization. Flags are TRL's; the model, its tokenizer and trainer_state.json go to output_dir.",
  rows: "rows",
  data: "Rows of prompt, completion and label, or preference pairs",
  table: KTO_OPTIONS,
  config: KTOConfig,
  trainer: async () => (await import("../train/index.js")).KTOTrainer,
});
