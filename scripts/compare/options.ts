/** The options of compare-with-trl: the few that the two trainers share a meaning of, with TRL's names. */
import { defineOptions, type OptionValues } from "../../src/config/index.js";
import { ConfigError } from "../../src/errors.js";
import { LoraConfig } from "../../src/model/index.js";
import { LORA_OPTIONS } from "../../src/model/loraConfig.js";
import { DPOConfig, KTOConfig, SFTConfig } from "../../src/train/index.js";
import { TRAINING_ENTRIES } from "../../src/train/options/trainingOptions.js";
import type { ComparedMethod } from "./rows.js";

export const WHERE = "compare-with-trl";
const LORA = LORA_OPTIONS.entries;

export const COMPARISON_OPTIONS = defineOptions(WHERE, {
  method: { type: "string", required: true, choices: ["dpo", "sft", "kto"], help: "What is trained" },
  model: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Folder of the model; null for datasets/tiny-qwen2-chat",
  },
  dataset: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "File or folder of rows; null for datasets/truthy-dpo-mini. Of preference pairs, sft takes prompt and chosen, kto both answers as rows with labels",
  },
  steps: { type: "integer", default: 20, min: 1, aliases: ["max_steps"], help: "Steps to train", unit: "optimizer steps" },
  loss_type: { type: "string", list: true, default: null, nullable: true, help: "Loss of the method; null for its default" },
  beta: { type: "number", default: null, nullable: true, exclusiveMin: 0, help: "beta of dpo and kto; null for 0.1" },
  learning_rate: { ...TRAINING_ENTRIES.learning_rate, default: 1e-4 },
  lr_scheduler_type: { ...TRAINING_ENTRIES.lr_scheduler_type },
  warmup_steps: TRAINING_ENTRIES.warmup_steps,
  weight_decay: TRAINING_ENTRIES.weight_decay,
  max_grad_norm: TRAINING_ENTRIES.max_grad_norm,
  per_device_train_batch_size: { ...TRAINING_ENTRIES.per_device_train_batch_size, default: 4 },
  gradient_accumulation_steps: TRAINING_ENTRIES.gradient_accumulation_steps,
  max_length: { type: "integer", default: 1024, nullable: true, min: 1, unit: "tokens", help: "Longest row; null for no limit" },
  seed: TRAINING_ENTRIES.seed,
  peft: { type: "boolean", default: false, aliases: ["use_peft"], help: "Train a LoRA adapter, the same fresh one on both sides" },
  lora_r: { ...LORA.r, default: 16 },
  lora_alpha: { ...LORA.lora_alpha, default: 32 },
  lora_target_modules: { ...LORA.target_modules, placeholder: "NAME" },
  use_rslora: LORA.use_rslora,
  attn_implementation: {
    type: "string",
    choices: ["sdpa", "eager"],
    default: "sdpa",
    help: "How TRL's side computes attention; sdpa is transformers' own choice",
  },
  threads: { type: "integer", default: null, nullable: true, min: 1, help: "CPU threads of each side; null for all cores" },
  json: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write everything that was measured here" },
  html: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write a page with both curves and the tables here" },
});

export type ComparisonOptions = OptionValues<typeof COMPARISON_OPTIONS.entries>;

/** What both trainers are given, under the same names. */
export type SharedOptions = Record<string, string | string[] | number | boolean | null>;

/** @throws ConfigError for an option that the method does not have */
export function sharedOptions(options: ComparisonOptions): SharedOptions {
  const { method, steps, loss_type, beta } = options;
  if (method === "sft" && beta !== null)
    throw new ConfigError("option_conflict", `${WHERE}: --beta is for dpo and kto, got it with sft; leave it out`);
  if (method !== "dpo" && loss_type !== null && loss_type.length > 1)
    throw new ConfigError("option_conflict", `${WHERE}: --loss_type must be one loss with ${method}, got ${loss_type.join(", ")}`);
  return {
    max_steps: steps,
    ...(loss_type !== null && { loss_type: method === "dpo" ? loss_type : loss_type[0]! }),
    ...(beta !== null && { beta }),
    learning_rate: options.learning_rate,
    lr_scheduler_type: options.lr_scheduler_type,
    warmup_steps: options.warmup_steps,
    weight_decay: options.weight_decay,
    max_grad_norm: options.max_grad_norm,
    per_device_train_batch_size: options.per_device_train_batch_size,
    gradient_accumulation_steps: options.gradient_accumulation_steps,
    max_length: options.max_length,
    seed: options.seed,
    optim: "adamw_torch",
    gradient_checkpointing: false,
    logging_steps: 1,
  };
}

/** The adapter's configuration, without dropout; undefined without `peft`. @param given options that were named at all
 *  @throws ConfigError for LoRA options without `peft` */
export function loraOf(options: ComparisonOptions, given: ReadonlySet<string>): LoraConfig | undefined {
  const stray = ["lora_r", "lora_alpha", "lora_target_modules", "use_rslora"].find((name) => given.has(name));
  if (!options.peft && stray !== undefined)
    throw new ConfigError("option_conflict", `${WHERE}: --${stray} needs --peft, got it without; all weights are trained then`);
  if (!options.peft) return undefined;
  const { lora_r: r, lora_alpha, lora_target_modules: target_modules, use_rslora } = options;
  return new LoraConfig({ r, lora_alpha, target_modules, use_rslora, lora_dropout: 0, task_type: "CAUSAL_LM" });
}

/** @throws ConfigError */
export function configOf(method: ComparedMethod, options: SharedOptions, own: { output_dir: string; threads: number }) {
  const all = { ...options, ...own, shuffle_dataset: false, save_strategy: "no", disable_tqdm: true };
  switch (method) {
    case "dpo":
      return new DPOConfig(all as ConstructorParameters<typeof DPOConfig>[0]);
    case "sft":
      return new SFTConfig(all as ConstructorParameters<typeof SFTConfig>[0]);
    case "kto":
      return new KTOConfig(all as ConstructorParameters<typeof KTOConfig>[0]);
  }
}
