/** activation_memory_limit: as few layers as needed are computed again, and nothing else changes. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Dataset } from "../../src/data/index.js";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import { gradientProgram } from "../../src/train/dpo/pairProgram.js";
import type { PreparedPair } from "../../src/train/dpo/pairBatch.js";
import { dpoPreference } from "../../src/train/dpo/preference.js";
import { DPOConfig, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer } from "../../src/train/index.js";
import { recomputedLayers } from "../../src/train/sequence/activationMemory.js";
import { formOfRow } from "../../src/train/sequence/runs.js";
import { gradientsOf, preparedPairs } from "./microBatches.js";
import { goldenPairs, goldenTokenizer, largestDifference, quiet, quietOptions, smallLora, smallModel, withTrainer } from "./tinyModel.js";

const LAYERS = 4;
const models: CausalLM[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const model of models.splice(0)) await model.base.dispose();
});

async function deepModel(): Promise<CausalLM> {
  const model = get_peft_model(await smallModel({ num_hidden_layers: LAYERS }), smallLora());
  models.push(model);
  return model;
}

/** GB of activations of the largest of these rows, by layers computed again. */
async function activations(model: CausalLM, pairs: readonly PreparedPair[]): Promise<number[]> {
  const engine = await model.load({ threads: 1 });
  const { loss, reference, key, parts } = dpoPreference(quiet());
  return Array.from({ length: LAYERS + 1 }, (_, recompute) => {
    const program = gradientProgram(engine, model, { kind: "loss", loss, reference, key }, parts, new Map(), recompute);
    return Math.max(...pairs.map(({ layout }) => program.liveBytes([layout], formOfRow(layout))! / 1e9));
  });
}

describe("of pairs", () => {
  it("takes the fewest layers that keep within the limit, tells it, and leaves the gradient as it is", async () => {
    const log = vi.spyOn(console, "log").mockReturnValue();
    const model = await deepModel();
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const bytes = await activations(model, pairs);
    expect(bytes).toEqual([...bytes].sort((a, b) => b - a));
    const references = pairs.map(() => ({ chosen: -60, rejected: -75 }));
    const free = await gradientsOf(model, pairs, references);
    for (const recompute of [0, 1, 2, LAYERS]) {
      log.mockClear();
      const limited = await gradientsOf(model, pairs, references, { activation_memory_limit: bytes[recompute]! });
      expect(limited.loss).toBe(free.loss);
      expect(largestDifference(limited.gradients, free.gradients)).toBeLessThan(1e-6 * free.norm);
      if (recompute === 0) expect(log).not.toHaveBeenCalled();
      else
        expect(log.mock.calls[0]![0]).toContain(
          `DPOTrainer: ${recompute} of ${LAYERS} layers are computed again in the backward pass: the activations of`,
        );
    }
  });

  it("names the row for which all layers are not enough", async () => {
    const model = await deepModel();
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const least = (await activations(model, pairs)).at(-1)!;
    const refused = gradientsOf(model, pairs, [], { activation_memory_limit: least * 0.9 });
    await expect(refused).rejects.toThrow(
      /^DPOTrainer: activation_memory_limit must be at least \S+ for .*pairs\.jsonl.*, whose activations take that with all 4 layers computed again, got \S+; raise it, or shorten the rows with max_length$/,
    );
    // What is named is enough.
    const named = await refused.catch((error: Error) => Number(/at least (\S+)/.exec(error.message)![1]));
    expect(named).toBeGreaterThanOrEqual(least);
  });
});

it("counts rows that run together as one run", async () => {
  const model = await deepModel();
  const pairs = await preparedPairs(await goldenPairs(4), model);
  const asked: [rows: number, form: number][] = [];
  const args = { gradient_checkpointing: false, activation_memory_limit: 1, tokens_per_run: 4096, per_device_train_batch_size: 3 };
  const program = { liveBytes: (layouts: readonly unknown[], form: number) => (asked.push([layouts.length, form]), 1) };
  expect(recomputedLayers("DPOTrainer", model, args, pairs, () => program)).toBe(0);
  expect(asked).toEqual([
    [1, 3],
    [3, 0],
  ]);
});

describe("in a trainer", () => {
  const LIMIT = 1e-9;
  const refused = "activation_memory_limit must be at least";

  it("looks at all training rows: DPO, SFT, KTO", async () => {
    await withTrainer({ args: { activation_memory_limit: LIMIT } }, async (trainer) => {
      await expect(trainer.train()).rejects.toThrow(`DPOTrainer: ${refused}`);
    });
    const common = { processing_class: await goldenTokenizer(), train_dataset: await goldenPairs(4) };
    const options = { ...quietOptions(), activation_memory_limit: LIMIT };
    const sft = new SFTTrainer({
      ...{ ...common, train_dataset: Dataset.from_rows([{ prompt: "Did you sleep?", completion: " No." }]) },
      ...{ model: await smallModel(), args: new SFTConfig(options) },
    });
    const kto = new KTOTrainer({ ...common, model: await smallModel(), args: new KTOConfig(options) });
    models.push(sft.model, kto.model);
    await expect(sft.train()).rejects.toThrow(`SFTTrainer: ${refused}`);
    await expect(kto.train()).rejects.toThrow(`KTOTrainer: ${refused}`);
  });

  it("stands alone, and is for the compiled engine", () => {
    expect(() => new DPOConfig({ activation_memory_limit: 1, gradient_checkpointing: true })).toThrow("give one of them");
    expect(() => new DPOConfig({ activation_memory_limit: 1, engine: "eager" })).toThrow('is for engine "compiled", got engine "eager"');
    expect(() => new DPOConfig({ activation_memory_limit: 0 })).toThrow("activation_memory_limit");
  });
});
