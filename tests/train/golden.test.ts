/** Whole runs against TRL, number by number. Tolerances are ten times what a float64 replay of the reference shows (golden/README.md). */
import { describe, expect, it } from "vitest";
import { differences, type GoldenVariant, goldenRun, goldenVariants } from "./goldenRuns.js";

const TOLERANCE: Record<string, number> = { learning_rate: 1e-12, grad_norm: 2e-4, num_tokens: 0, "rewards/accuracies": 0 };
const OTHERS = 5e-4;

/** @param most steps to run; all by default */
async function check(name: string, variant: GoldenVariant, engine: "compiled" | "eager", most = Infinity): Promise<void> {
  const run = await goldenRun(variant, { engine }, most);
  try {
    await run.trainer.train();
    const steps = run.trainer.state.log_history.slice(0, -1);
    const golden = variant.steps.slice(0, most);
    expect(steps.length).toBe(golden.length);
    const worst = differences(steps, golden);
    console.log(
      `${name} (${engine}): ${Object.entries(worst)
        .map(([key, value]) => `${key} ${value.toExponential(1)}`)
        .join(", ")}`,
    );
    for (const [key, value] of Object.entries(worst)) expect(value, key).toBeLessThanOrEqual(TOLERANCE[key] ?? OTHERS);
    if (golden.length < variant.steps.length) return;
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

// A few steps: the first has rate 0, then the weights move.
describe("the eager engine gives the same run", () => {
  it("all weights", () => check("no_clip", goldenVariants("train_dpo_full.json")["no_clip"]!, "eager", 3));
  it("LoRA, accumulation 2", () => check("accumulate2", goldenVariants("train_dpo_lora.json")["accumulate2"]!, "eager", 4));
});
