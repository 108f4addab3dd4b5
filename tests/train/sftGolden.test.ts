/** Whole SFT runs against TRL, number by number. Tolerances are ten times what a float64 replay of the reference shows (golden/README.md). */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { AutoModelForCausalLM } from "../../src/model/index.js";
import { type SFTConfigInput, SFTTrainer } from "../../src/train/index.js";
import { differences } from "./goldenRuns.js";
import { type Group, goldenTexts, labelLogps, preparedTexts, quietSft } from "./sftTexts.js";
import { GOLDEN, TINY, goldenTokenizer, trainedTensors } from "./tinyModel.js";

interface Row {
  label_logp_sum: number;
  label_count: number;
}

interface Variant {
  group: Group;
  config: Record<string, unknown>;
  start: Row[];
  steps: Record<string, number>[];
  final: Row[];
  final_parameter_l2: Record<string, number>;
  update_l2: Record<string, number>;
}

const { variants } = JSON.parse(readFileSync(`${GOLDEN}/train_sft.json`, "utf8")) as { variants: Record<string, Variant> };
const TOLERANCE: Record<string, number> = { learning_rate: 1e-12, grad_norm: 2e-4, num_tokens: 0 };
const OTHERS = 5e-4;

/** @param most steps to run; all by default */
async function check(name: string, variant: Variant, engine: "compiled" | "eager", most = Infinity): Promise<void> {
  const { optimizer: _adamw, completion_only_loss_resolved: _resolved, ...config } = variant.config;
  const model = await AutoModelForCausalLM.from_pretrained(TINY);
  const args = quietSft({ ...(config as SFTConfigInput), engine });
  const trainer: SFTTrainer = new SFTTrainer({
    callbacks: [{ on_step_end: ({ global_step }) => void (global_step === most && trainer.stop()) }],
    model,
    args,
    train_dataset: await goldenTexts(variant.group),
    processing_class: await goldenTokenizer(),
  });
  try {
    await model.load(args);
    const texts = await preparedTexts(await goldenTexts(variant.group), model, config as SFTConfigInput);
    const far = async (rows: Row[]): Promise<number> => {
      const logps = await labelLogps(model, texts);
      expect(texts.map(({ scored }) => scored)).toEqual(rows.map(({ label_count }) => label_count));
      return Math.max(...logps.map((logp, i) => Math.abs(logp - rows[i]!.label_logp_sum)));
    };
    expect(await far(variant.start)).toBeLessThan(5e-4);
    const start = await trainedTensors(model);
    await trainer.train();
    const golden = variant.steps.slice(0, most);
    const steps = trainer.state.log_history.slice(0, -1);
    expect(steps.length).toBe(golden.length);
    const worst = differences(steps, golden);
    console.log(
      `${name} (${engine}): ${Object.entries(worst)
        .map(([key, value]) => `${key} ${value.toExponential(1)}`)
        .join(", ")}`,
    );
    expect(Object.keys(worst).sort()).toEqual(["entropy", "grad_norm", "learning_rate", "loss", "mean_token_accuracy", "num_tokens"]);
    for (const [key, value] of Object.entries(worst)) expect(value, key).toBeLessThanOrEqual(TOLERANCE[key] ?? OTHERS);
    if (golden.length < variant.steps.length) return;

    const end = await far(variant.final);
    expect(end).toBeLessThan(4e-3);
    const tensors = await trainedTensors(model);
    expect([...tensors.keys()].sort()).toEqual(Object.keys(variant.update_l2).sort());
    let norms = 0;
    for (const [key, update] of Object.entries(variant.update_l2)) {
      const [first, last] = [start.get(key)!, tensors.get(key)!];
      const moved = Math.hypot(...last.map((value, i) => value - first[i]!));
      const difference = Math.max(Math.abs(Math.hypot(...last) / variant.final_parameter_l2[key]! - 1), Math.abs(moved / update - 1));
      // A key's bias hardly changes the attention: its gradient is mostly rounding, which Adam blows up.
      const rounding = key.endsWith("k_proj.bias");
      expect(difference, key).toBeLessThan(rounding ? 5e-3 : 2e-5);
      if (!rounding) norms = Math.max(norms, difference);
    }
    console.log(`${name} at the end: log-probs ${end.toExponential(1)}, norms (relative) ${norms.toExponential(1)}`);
  } finally {
    await trainer.dispose();
  }
}

describe("SFT of all weights equals TRL", () => {
  it("there are as many runs as expected", () => expect(Object.keys(variants).length).toBe(9));
  it.each(Object.entries(variants))("%s", (name, variant) => check(name, variant, "compiled"));
});

describe("the eager engine gives the same run", () => {
  it("accumulation 2", () => check("dft_accumulate2", variants["dft_accumulate2"]!, "eager", 2));
});
