import { SFT_OPTIONS, SFTConfig } from "../train/options/sftConfig.js";
import { trainingCommand } from "./trainingCommand.js";

export const sft = trainingCommand({
  name: "sft",
  summary:
    "Fine-tunes a model on texts, on prompts with completions, or on conversations (supervised fine-tuning). Flags are TRL's; the model, its tokenizer and trainer_state.json go to output_dir.",
  rows: "rows",
  data: "Rows of text, of prompt and completion, or of messages",
  table: SFT_OPTIONS,
  config: SFTConfig,
  trainer: async () => (await import("../train/index.js")).SFTTrainer,
});
