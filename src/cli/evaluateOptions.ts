import { defineOptions } from "../config/index.js";

export const EVALUATE_OPTIONS = defineOptions("Task and data", {
  task: {
    type: "string",
    choices: ["preference", "classification", "perplexity"],
    required: true,
    help: "preference: how often the chosen answer is likelier than the rejected one. classification: labels predicted for prompts, beside the true ones. perplexity: how surprised the model is by texts",
  },
  dataset_name: {
    type: "string",
    required: true,
    aliases: ["dataset"],
    placeholder: "FILE_OR_DIR_OR_HUB_ID",
    help: "Rows of the task: a .jsonl, .json, .csv, .parquet or .xlsx file, a folder of them, or an id on the Hugging Face Hub. Preference takes the rows of preflab dpo, perplexity those of preflab sft, classification a prompt and a label",
  },
  dataset_config: { type: "string", default: null, nullable: true, help: "Configuration of a Hub data set that has several" },
  dataset_split: {
    type: "string",
    default: null,
    nullable: true,
    help: "Split, or a part of one such as test[:100]; null is test for a folder or Hub id, and all of a file",
  },
  adapter: { type: "string", default: null, nullable: true, placeholder: "DIR", help: "Folder or Hub id of a LoRA adapter for that model" },
  max_length: {
    type: "integer",
    default: 1024,
    nullable: true,
    min: 1,
    unit: "tokens",
    help: "Longer rows are cut, in preference and perplexity; null for no limit",
  },
  seed: { type: "integer", default: 42, help: "Seed of the bootstrap intervals" },
  json: { type: "boolean", default: false, help: "Print one JSON object: task, model, dataset, summary, metrics" },
  output_dir: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Write evaluation.json (what --json prints) and rows.csv (every row with its numbers) here",
  },
});

export const PREFERENCE_OPTIONS = defineOptions("With --task preference", {
  reference_model_name_or_path: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Folder or Hub id of a model whose log-probs are subtracted, as in DPO",
  },
  against_base: { type: "boolean", default: false, help: "Take the model without its adapter as the reference" },
  truncation_mode: { type: "string", choices: ["keep_start", "keep_end"], default: "keep_start", help: "Which end of a longer row stays" },
});

export const CLASSIFICATION_OPTIONS = defineOptions("With --task classification", {
  labels: {
    type: "string",
    list: true,
    default: null,
    nullable: true,
    help: "Labels that are their own words, in the order of the report; null for the values of the label column",
  },
  label_words: {
    type: "json",
    default: null,
    nullable: true,
    help: 'Words that stand for each label in an answer, e.g. {"sensitive": ["yes", "Yes"], "harmless": "no"}; in place of labels',
  },
  prompt_column: { type: "string", default: "prompt", help: "Column of prompts: text, or message lists" },
  label_column: { type: "string", default: "label", help: "Column of true labels; numbers and booleans are read as text" },
  chat: { type: "boolean", default: false, help: "Put each text prompt into the chat template as a user's message" },
  method: {
    type: "string",
    choices: ["likelihood", "generation"],
    default: "likelihood",
    help: "likelihood: the label whose word is the likeliest completion. generation: the first label word in the greedy answer",
  },
  length_normalised: { type: "boolean", default: false, help: "With likelihood: log-probs per token instead of summed" },
  end_token: { type: "boolean", default: false, help: "With likelihood: score the end token behind the word too" },
  max_new_tokens: { type: "integer", default: 16, min: 1, unit: "tokens", help: "With generation: most tokens of an answer" },
  pos_label: {
    type: "string",
    default: null,
    nullable: true,
    help: "The label that precision, recall and F1 are of, when there are two",
  },
});

export const PERPLEXITY_OPTIONS = defineOptions("With --task perplexity", {
  completion_only_loss: {
    type: "boolean",
    default: null,
    nullable: true,
    help: "Score completions only; null: only where rows have prompts, as SFTTrainer learns",
  },
  assistant_only_loss: { type: "boolean", default: false, help: "Score the assistant's turns of conversations only" },
  dataset_text_field: { type: "string", default: "text", help: "Column of plain-text rows" },
});
