/** QLoRA: a base in NF4 trains an adapter, generates, merges and is saved as the numbers its codes stand for. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { dequantiseNf4, quantiseNf4 } from "../../src/compile/index.js";
import * as preflab from "../../src/index.js";
import {
  BitsAndBytesConfig,
  type BitsAndBytesConfigInput,
  type PeftModel,
  type Qwen2ForCausalLM,
  get_peft_model,
  openCheckpoint,
  saveCheckpoint,
} from "../../src/model/index.js";
import { gradientsOf, preparedPairs } from "./microBatches.js";
import {
  TINY,
  goldenPairs,
  goldenTokenizer,
  largestDifference,
  newFolder,
  smallLora,
  smallTrainer,
  trainedTensors,
  withTrainer,
  writeModel,
} from "./tinyModel.js";
import { farthest, fill, isProjection, logps, numbers, open, text } from "./quantisedModels.js";

const NF4 = { load_in_4bit: true, bnb_4bit_quant_type: "nf4" } as const;

/** The checkpoint with every projection replaced by what its codes stand for, computed by the pure functions. */
async function dequantisedCopy(dir: string, doubleQuant: boolean): Promise<string> {
  const { config, generationConfig, tensors } = await openCheckpoint(dir);
  const copy = newFolder();
  const rounded = [...tensors].map(([name, entry]) => {
    const values = readFileTensor(entry);
    const numbers = isProjection(name) ? dequantiseNf4(quantiseNf4(values, doubleQuant), values.length) : values;
    return [name, entry.shape, numbers] as const;
  });
  await saveCheckpoint(copy, config, generationConfig, rounded);
  await (await goldenTokenizer()).save_pretrained(copy);
  return copy;
}

describe.each([false, true])("double quantisation %s", (double) => {
  const quantization: BitsAndBytesConfigInput = { ...NF4, bnb_4bit_use_double_quant: double };

  it.each(["compiled", "eager"] as const)("%s: log-probs, text and LoRA gradients are those of the dequantised weights", async (engine) => {
    const quantised = await open(TINY, quantization, engine);
    const plain = await open(await dequantisedCopy(TINY, double), undefined, engine);
    const exact = await open(TINY, undefined, engine);
    expect(farthest(await logps(quantised), await logps(plain))).toBeLessThan(1e-4);
    // The quantisation itself is far above that.
    expect(farthest(await logps(quantised), await logps(exact))).toBeGreaterThan(0.1);
    expect(await text(quantised)).toEqual(await text(plain));

    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), quantised);
    const references = pairs.map(() => ({ chosen: -60, rejected: -75 }));
    const gradients = async (base: Qwen2ForCausalLM) => {
      const adapted = get_peft_model(base, smallLora());
      await fill(adapted, 0.2);
      return gradientsOf(adapted, pairs, references, engine === "eager" ? { engine } : {});
    };
    const [mine, wanted] = [await gradients(quantised), await gradients(plain)];
    expect(Math.abs(mine.loss - wanted.loss)).toBeLessThan(1e-5);
    expect(wanted.norm).toBeGreaterThan(0.1);
    expect(largestDifference(mine.gradients, wanted.gradients) / wanted.norm).toBeLessThan(1e-4);
  });

  it("what is saved are the numbers the codes stand for, and nothing else changed", async () => {
    const quantised = await open(TINY, quantization);
    const folder = newFolder();
    await quantised.save_pretrained(folder);
    const saved = (await openCheckpoint(folder)).tensors;
    for (const [name, entry] of (await openCheckpoint(await dequantisedCopy(TINY, double))).tensors)
      expect(readFileTensor(saved.get(name)!), name).toEqual(readFileTensor(entry));
  });
});

/** A projection's weight plus the adapter's share, in double precision. */
async function summed(model: PeftModel, path: string): Promise<number[]> {
  const engine = await model.load();
  const [a, b] = await Promise.all(["A", "B"].map((side) => engine.fetch(model.storeName(`base_model.model.${path}.lora_${side}.weight`))));
  const [rank, inputs] = a!.shape as [number, number];
  const weight = (await numbers(model.base)).get(`${path}.weight`)!;
  return Array.from(weight, (value, i) => {
    const [row, column] = [Math.floor(i / inputs), i % inputs];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += b!.data[row * rank + r]! * a!.data[r * inputs + column]!;
    return value + model.peft_config.scaling * sum;
  });
}

describe("merging an adapter into a 4-bit base", () => {
  async function adapted(): Promise<PeftModel> {
    const model = get_peft_model(await open(TINY, { ...NF4, bnb_4bit_use_double_quant: true }), smallLora());
    await fill(model, 0.05);
    return model;
  }

  it("dequantize: true keeps the sum exactly; the merged weights are float32 and the others stay packed", async () => {
    const model = get_peft_model(await open(TINY, NF4), smallLora({ target_modules: ["q_proj", "down_proj"] }));
    await fill(model, 0.05);
    const before = await logps(model);
    expect(farthest(before, await logps(model.base))).toBeGreaterThan(1e-2);
    const wanted = await summed(model, "model.layers.1.mlp.down_proj");
    const merged = await model.merge_and_unload({ dequantize: true });
    const got = (await numbers(merged)).get("model.layers.1.mlp.down_proj.weight")!;
    expect(farthest([...got], wanted)).toBeLessThan(1e-6);
    const engine = await merged.load();
    expect(engine.has("model.layers.0.self_attn.q_proj.weight")).toBe(true);
    expect(engine.has("model.layers.0.self_attn.q_proj.weight.quant")).toBe(false);
    expect(engine.has("model.layers.0.self_attn.k_proj.weight.quant")).toBe(true);
    // Sums of up to 200 nats.
    expect(farthest(await logps(merged), before) / Math.max(...before.map(Math.abs))).toBeLessThan(1e-6);
    expect(engine.bytes()).toBe(merged.get_memory_footprint());
    expect(merged.files()).toBeUndefined();
  });

  it("by default the sum is rounded to 4 bits again: off by no more than half a step of its block", async () => {
    const exact = await numbers(await (await adapted()).merge_and_unload({ dequantize: true }));
    const model = await adapted();
    const merged = await model.merge_and_unload();
    expect((await merged.load()).bytes()).toBe(merged.get_memory_footprint());
    expect((await merged.load()).has("model.layers.0.self_attn.q_proj.weight")).toBe(false);
    const rounded = await numbers(merged);
    let changed = 0;
    for (const [name, values] of exact) {
      const got = rounded.get(name)!;
      if (!isProjection(name)) {
        expect(got, name).toEqual(values);
        continue;
      }
      expect(got, name).toEqual(dequantiseNf4(quantiseNf4(values, true), values.length));
      for (let start = 0; start < values.length; start += 64) {
        const block = values.subarray(start, start + 64);
        const scale = Math.max(...block.map(Math.abs));
        // The widest gap between two levels is 0.304; double quantisation moves the scale by some 1 % of the scales' spread.
        block.forEach((value, i) => expect(Math.abs(got[start + i]! - value)).toBeLessThan((0.304 / 2 + 0.02) * scale));
      }
      changed += largestDifference(new Map([[name, got]]), new Map([[name, values]])) > 1e-4 ? 1 : 0;
    }
    expect(changed).toBe(21);
  });
});

describe("training", () => {
  it("DPO starts at ln 2, lowers the loss, leaves the base as it was, and the adapter fits on the reloaded base", async () => {
    const dir = await writeModel();
    const quantization = { ...NF4, bnb_4bit_use_double_quant: true };
    const base = await open(dir, quantization);
    const before = await logps(base);
    const trainer = await smallTrainer({ model: base, peft_config: smallLora(), args: { learning_rate: 0.02, max_steps: 3 } });
    await trainer.train();
    const losses = trainer.state.log_history.filter((entry) => "loss" in entry).map((entry) => entry["loss"] as number);
    expect(losses[0]!).toBeCloseTo(Math.LN2, 5);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.01);
    expect(await logps(base)).toEqual(before);
    const folder = newFolder();
    await trainer.save_model(folder);
    const again = await preflab.PeftModel.from_pretrained(await open(dir, quantization), folder);
    expect(await logps(again)).toEqual(await logps(trainer.model));
  });

  it("the same seed gives the same adapter bytes", async () => {
    const dir = await writeModel();
    const train = async (seed: number): Promise<Buffer> => {
      const folder = newFolder();
      const model = await open(dir, { ...NF4, bnb_4bit_use_double_quant: true });
      await withTrainer({ model, peft_config: smallLora(), args: { seed } }, async (trainer) => {
        await trainer.train();
        await trainer.save_model(folder);
      });
      return readFileSync(join(folder, "adapter_model.safetensors"));
    };
    const [first, second, other] = [await train(5), await train(5), await train(6)];
    expect(second.equals(first)).toBe(true);
    expect(other.equals(first)).toBe(false);
  });

  it("without an adapter it is refused", async () => {
    const model = await open(TINY, NF4);
    await expect(smallTrainer({ model })).rejects.toMatchObject({
      code: "quantized_training",
      message: `DPOTrainer: a quantised model must be trained through an adapter, got ${TINY} without one; pass peft_config: new LoraConfig({ … }), or load the model without quantization_config`,
    });
    expect((await trainedTensors(model)).size).toBe(0);
  });

  it("a quantised reference is told from the plain one in the cache, which has the same files", async () => {
    const cache = process.env["PREFLAB_CACHE"];
    process.env["PREFLAB_CACHE"] = newFolder();
    try {
      const first = async (quantization?: BitsAndBytesConfigInput): Promise<unknown> => {
        const model = await open(TINY, quantization);
        const trainer = await smallTrainer({ model, peft_config: smallLora(), args: { precompute_ref_log_probs: true, max_steps: 1 } });
        await trainer.train();
        return trainer.state.log_history[0]!["loss"];
      };
      expect(await first()).toBeCloseTo(Math.LN2, 5);
      expect(await first(NF4)).toBeCloseTo(Math.LN2, 5);
      expect(await first({ ...NF4, bnb_4bit_use_double_quant: true })).toBeCloseTo(Math.LN2, 5);
      expect(await first(NF4)).toBeCloseTo(Math.LN2, 5);
    } finally {
      if (cache === undefined) delete process.env["PREFLAB_CACHE"];
      else process.env["PREFLAB_CACHE"] = cache;
    }
  });
});

it("the public package offers the config", () => {
  expect(preflab.BitsAndBytesConfig).toBe(BitsAndBytesConfig);
});
