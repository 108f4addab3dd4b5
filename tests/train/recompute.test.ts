/** gradient_checkpointing changes what is kept, not what comes out. */
import { describe, expect, it } from "vitest";
import { CompiledEngine, EagerEngine } from "../../src/compile/index.js";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import { gradientsOf, preparedPairs, referenceLogps } from "./microBatches.js";
import { goldenPairs, largestDifference, smallLora, smallModel } from "./tinyModel.js";

describe.each(["compiled", "eager"] as const)("%s", (engine) => {
  it.each<[string, (base: Awaited<ReturnType<typeof smallModel>>) => CausalLM]>([
    ["all weights", (base) => base],
    ["LoRA", (base) => get_peft_model(base, smallLora())],
    ["DoRA with a trained norm", (base) => get_peft_model(base, smallLora({ use_dora: true, modules_to_save: ["input_layernorm"] }))],
  ])("the gradients of %s are those without it", async (_name, trained) => {
    const base = await smallModel();
    try {
      await base.load({ engine: engine === "eager" ? new EagerEngine("cpu") : new CompiledEngine({ threads: 1 }) });
      const model = trained(base);
      const pairs = await preparedPairs(await goldenPairs([0, 1]), model);
      const references = await referenceLogps(base, pairs);
      const plain = await gradientsOf(model, pairs, references);
      const again = await gradientsOf(model, pairs, references, { gradient_checkpointing: true });
      expect(plain.norm).toBeGreaterThan(0);
      expect(again.loss).toBeCloseTo(plain.loss, 6);
      expect(largestDifference(again.gradients, plain.gradients) / plain.norm).toBeLessThan(1e-6);
    } finally {
      await base.dispose();
    }
  });
});
