import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  InferenceMeasurement,
  type MethodEntry,
  TrainingMeasurement,
  compareMethods,
  measureInference,
  measureTraining,
  preferenceAccuracy,
} from "../../src/evaluate/index.js";
import { AutoModelForCausalLM, type Qwen2ForCausalLM } from "../../src/model/index.js";
import type { PreTrainedTokenizer } from "../../src/text/index.js";
import { goldenPairs, goldenTokenizer, TINY, withTrainer } from "../train/tinyModel.js";

let model: Qwen2ForCausalLM;
let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  model = await AutoModelForCausalLM.from_pretrained(TINY, { threads: 1 });
  tokenizer = await goldenTokenizer();
});
afterAll(() => model.dispose());

describe("measureTraining", () => {
  test("takes what the trainer measured, and runs it once", async () => {
    await withTrainer({}, async (trainer) => {
      const measured = await measureTraining(trainer);
      const entry = trainer.state.log_history.find(({ train_runtime }) => train_runtime !== undefined)!;
      const losses = trainer.state.log_history.flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
      expect(measured).toMatchObject({
        method: "dpo",
        seconds: entry["train_runtime"],
        samples_per_second: entry["train_samples_per_second"],
        steps: 3,
        first_loss: losses[0],
        final_loss: losses[2],
      });
      const reduction = (losses[0]! - losses[2]!) / losses[0]!;
      expect(measured.loss_reduction).toBeCloseTo(reduction, 12);
      expect(measured.efficiency_score).toBeCloseTo(reduction * measured.samples_per_second, 12);
      // A second call reads the same run.
      expect(await measureTraining(trainer)).toEqual(measured);
      const rows = compareMethods([{ name: "dpo", training: measured }]).rows();
      expect(rows[0]).toMatchObject({
        training_seconds: measured.seconds,
        latency_mean_ms: "not measured",
        tokens_per_second: "not measured",
      });
      expect(rows[0]).not.toHaveProperty("perplexity");
    });
  });

  test("a run that logged no loss has none", async () => {
    await withTrainer({ args: { logging_strategy: "no" } }, async (trainer) => {
      const measured = await measureTraining(trainer);
      expect(measured).toMatchObject({ final_loss: null, loss_reduction: null, efficiency_score: null });
      expect(compareMethods([{ name: "dpo", training: measured }]).rows()[0]).toMatchObject({
        final_loss: "not measured",
        efficiency_score: "not measured",
      });
    });
  });
});

describe("measureInference", () => {
  test("times every run", async () => {
    const started = performance.now();
    const measured = await measureInference({ model, tokenizer, prompts: ["The garden", "A soup of"], runs: 20, max_new_tokens: 4 });
    const elapsed = performance.now() - started;
    const { latencies_ms } = measured;
    expect(latencies_ms).toHaveLength(20);
    expect(latencies_ms.every((ms) => ms > 0)).toBe(true);
    const total = latencies_ms.reduce((a, b) => a + b);
    expect(total).toBeLessThan(elapsed);
    expect(measured.mean_ms).toBeCloseTo(total / 20, 9);
    const sorted = [...latencies_ms].sort((a, b) => a - b);
    expect(measured.median_ms).toBeCloseTo((sorted[9]! + sorted[10]!) / 2, 9);
    // numpy's rule: position 0.95 · 19 = 18.05.
    expect(measured.p95_ms).toBeCloseTo(sorted[18]! + 0.05 * (sorted[19]! - sorted[18]!), 9);
    expect(measured.inferences_per_second).toBeCloseTo(20_000 / total, 9);
    expect(measured.tokens_per_second).toBeCloseTo(80_000 / total, 9);
    expect(measured).toMatchObject({ runs: 20, prompts: 2, max_new_tokens: 4 });
  });

  test.each<[object, string, string]>([
    [{ runs: 0 }, "option_range", "measureInference: runs must be an integer >= 1, got 0"],
    [{ prompts: [] }, "rows", "measureInference: there must be at least one prompt, got none"],
  ])("refuses %j", async (more, code, message) => {
    await expect(measureInference({ model, tokenizer, prompts: ["a"], ...more })).rejects.toMatchObject({ code, message });
  });
});

describe("compareMethods", () => {
  test("a table, sentences and bars of measured values", async () => {
    const inference = await measureInference({ model, tokenizer, prompts: ["The garden"], runs: 3, max_new_tokens: 2 });
    const other = await measureInference({ model, tokenizer, prompts: ["The garden"], runs: 2, max_new_tokens: 2 });
    const preference = await preferenceAccuracy({ model, tokenizer, dataset: await goldenPairs(3) });
    const comparison = compareMethods([{ name: "dpo", inference, preference }, { name: "sft", inference: other }, { name: "kto" }]);
    expect(comparison.rows().map((row) => [row["method"], row["latency_median_ms"], row["preference_accuracy"]])).toEqual([
      ["dpo", inference.median_ms, preference.margin("summed").accuracy.value],
      ["sft", other.median_ms, "not measured"],
      ["kto", "not measured", "not measured"],
    ]);
    expect(comparison.summary()[0]).toContain("efficiency_score = samples_per_second · (first loss − final loss) / |first loss|");
    expect(comparison.summary()[1]).toContain("Latencies were measured in different ways and cannot be compared: 3 runs over 1 prompt");
    expect(comparison.chart("latency_p95_ms").data[0]).toMatchObject({ y: [inference.p95_ms, other.p95_ms, null] });
    expect(() => comparison.chart()).toThrow("MethodComparison: the column must be a measured one of training_seconds");
    const frame = await comparison.to_dataframe();
    expect(frame.shape[0]).toBe(3);
    expect(String(comparison)).toContain("not measured");
  });

  test("what was not measured cannot be printed", () => {
    const numbers = { seconds: 0.005, samples_per_second: 1198.77, steps: 2, first_loss: 1, final_loss: 0 };
    // @ts-expect-error numbers are no measurement
    const typed: MethodEntry = { name: "dpo", training: { method: "dpo", ...numbers, loss_reduction: 1, efficiency_score: 1198.77 } };
    const refused = expect.objectContaining({
      code: "not_measured",
      message:
        "compareMethods: training of dpo must be measured, got numbers of another origin; pass the result of measureTraining(trainer)",
    }) as Error;
    const thrown = (make: () => unknown): unknown => {
      try {
        return make();
      } catch (error) {
        return error;
      }
    };
    expect(thrown(() => compareMethods([typed]))).toEqual(refused);
    // Not even with the prototype of a measurement.
    const disguised = Object.assign(Object.create(TrainingMeasurement.prototype) as object, numbers) as TrainingMeasurement;
    expect(disguised instanceof TrainingMeasurement).toBe(true);
    expect(thrown(() => compareMethods([{ name: "dpo", training: disguised }]))).toEqual(refused);
    const inference = { latencies_ms: [0.16], max_new_tokens: 1, prompts: 1, prompt_tokens: 1 };
    const key = Symbol("measured");
    // @ts-expect-error the key is not to be had
    expect(thrown(() => new TrainingMeasurement(key, "dpo", numbers))).toMatchObject({ code: "not_measured" });
    // @ts-expect-error the key is not to be had
    expect(thrown(() => new InferenceMeasurement(key, inference))).toMatchObject({ code: "not_measured" });
    expect(thrown(() => compareMethods([{ name: "a" }, { name: "a" }]))).toMatchObject({ code: "names" });
  });

  test("a measurement cannot be changed afterwards", async () => {
    const measured = await measureInference({ model, tokenizer, prompts: ["a b"], runs: 1, warmup_runs: 0, max_new_tokens: 1 });
    expect(() => Object.assign(measured, { mean_ms: 0.16 })).toThrow(TypeError);
  });
});
