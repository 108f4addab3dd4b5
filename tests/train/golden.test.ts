/** Whole runs against TRL, number by number. Tolerances are ten times what a float64 replay of the reference shows (golden/README.md). */
import { describe, expect, it } from "vitest";
import { differences, type GoldenVariant, goldenRun, goldenVariants } from "./goldenRuns.js";

const TOLERANCE: Record<string, number> = { learning_rate: 1e-12, grad_norm: 2e-4, num_tokens: 0, "rewards/accuracies": 0 };
const OTHERS = 5e-4;

async function check(name: string, variant: GoldenVariant, engine: "compiled" | "eager"): Promise<void> {
  const run = await goldenRun(variant, { engine });
  try {
    await run.trainer.train();
    const steps = run.trainer.state.log_history.slice(0, -1);
    expect(steps.length).toBe(variant.steps.length);
    const worst = differences(steps, variant.steps);
    console.log(`${name} (${engine}): ${Object.entries(worst).map(([key, value]) => `${key} ${value.toExponential(1)}`).join(", ")}`);
    for (const [key, value] of Object.entries(worst)) expect(value, key).toBeLessThanOrEqual(TOLERANCE[key] ?? OTHERS);
    const store = await run.model.load();
    for (const [golden, norm] of Object.entries(variant.final_parameter_l2)) {
      const tensor = await store.fetch(run.model.storeName(golden.replace(".default.", ".")));
      expect(Math.abs(Math.hypot(...tensor.data) / norm - 1), golden).toBeLessThan(2e-5);
    }
  } finally {
    await run.dispose();
  }
}

// sync_ref_model is not an option yet.
const full = Object.entries(goldenVariants("train_dpo_full.json")).filter(([name]) => name !== "sync_ref");
const lora = Object.entries(goldenVariants("train_dpo_lora.json"));

describe("DPO of all weights equals TRL", () => {
  it.each(full)("%s", (name, variant) => check(name, variant, "compiled"));
});

describe("DPO of a LoRA adapter equals TRL", () => {
  it.each(lora)("%s", (name, variant) => check(name, variant, "compiled"));
});

describe("the eager engine gives the same run", () => {
  it("all weights, accumulation 2", () => check("accumulate2", goldenVariants("train_dpo_full.json")["accumulate2"]!, "eager"));
  it("LoRA", () => check("fresh", goldenVariants("train_dpo_lora.json")["fresh"]!, "eager"));
});
