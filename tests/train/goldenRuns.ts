/** Runs our trainer as tests/golden/train_dpo_*.json says and measures the largest difference of every logged value. */
import { readFileSync } from "node:fs";
import { load_dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM, PeftModel } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { DPOConfig, type DPOConfigInput, DPOTrainer } from "../../src/train/index.js";
import { newFolder, trainedTensors } from "./tinyModel.js";

export interface GoldenVariant {
  config: Record<string, unknown>;
  steps: Record<string, number>[];
  final_parameter_l2: Record<string, number>;
  update_l2: Record<string, number>;
  final_logps: { chosen: number[]; rejected: number[] };
  parameters_with_weight_decay: string[];
  final_adapter?: string;
  start_adapter?: string;
  reference?: string;
}

export function goldenVariants(file: string): Record<string, GoldenVariant> {
  return (JSON.parse(readFileSync(`tests/golden/${file}`, "utf8")) as { variants: Record<string, GoldenVariant> }).variants;
}

export interface GoldenRun {
  trainer: DPOTrainer;
  model: CausalLM;
  /** The trainable tensors before training. */
  start: Map<string, Float32Array>;
  dispose(): Promise<void>;
}

/** @param more options beside the golden ones, e.g. the engine @param most steps after which it is stopped */
export async function goldenRun(variant: GoldenVariant, more: DPOConfigInput = {}, most = Infinity): Promise<GoldenRun> {
  const { optimizer: _adamw, ...config } = variant.config;
  const base = await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2");
  const model = variant.start_adapter === undefined ? base : await PeftModel.from_pretrained(base, `tests/golden/${variant.start_adapter}`);
  const explicit = variant.reference?.includes("passed as ref_model") === true;
  const ref_model = explicit ? await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2") : undefined;
  const args = new DPOConfig({
    ...(config as DPOConfigInput),
    logging_steps: 1,
    shuffle_dataset: false,
    save_strategy: "no",
    disable_tqdm: true,
    output_dir: newFolder(),
    ...(more.engine === "eager" ? {} : { threads: 1 }),
    ...more,
  });
  const trainer: DPOTrainer = new DPOTrainer({
    callbacks: [{ on_step_end: ({ global_step }) => void (global_step === most && trainer.stop()) }],
    model,
    ref_model,
    args,
    train_dataset: await load_dataset("tests/golden/pairs.jsonl"),
    processing_class: await AutoTokenizer.from_pretrained("tests/golden/tiny-qwen2"),
  });
  await model.load(args);
  return { trainer, model, start: await trainedTensors(model), dispose: () => trainer.dispose() };
}

/** Largest differences from the golden steps: absolute, except grad_norm and learning_rate, which are relative. */
export function differences(log: Record<string, number>[], golden: Record<string, number>[]): Record<string, number> {
  const worst: Record<string, number> = {};
  golden.forEach((step, i) => {
    for (const [name, value] of Object.entries(step)) {
      if (typeof value !== "number" || name === "step") continue;
      const got = log[i]?.[name] ?? NaN;
      const relative = name === "grad_norm" || name === "learning_rate";
      const difference = Math.abs(got - value) / (relative && value !== 0 ? Math.abs(value) : 1);
      worst[name] = Number.isNaN(difference) ? NaN : Math.max(worst[name] ?? 0, difference);
    }
  });
  return worst;
}
