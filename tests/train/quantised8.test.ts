/** A base in 8 bits trains an adapter, generates, merges and is saved as the numbers its codes stand for. */
import { describe, expect, it, vi } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { CompiledEngine, tf } from "../../src/compile/index.js";
import { dequantiseInt8 } from "../../src/compile/quantise/int8.js";
import { encodeTensor } from "../../src/compile/quantise/tensorFormat.js";
import { AutoModelForCausalLM, type PeftModel, type Qwen2ForCausalLM, get_peft_model, openCheckpoint } from "../../src/model/index.js";
import { gradientsOf, preparedPairs } from "./microBatches.js";
import { TINY, goldenPairs, newFolder, smallLora, smallTrainer, writeModel } from "./tinyModel.js";
import { farthest, fill, isProjection, logps, models, numbers, open, text } from "./quantisedModels.js";

const INT8 = { load_in_8bit: true } as const;

/** What the codes of a weight stand for, by the pure functions. */
function rounded(values: Float32Array, shape: readonly number[]): Float32Array {
  const parts = encodeTensor("w", shape, { kind: "int8", threshold: 0, backward: "float32" }, () => [values]);
  return dequantiseInt8(parts["w.codes"]!.data as Int8Array, parts["w.SCB"]!.data as Float32Array);
}

/** Gradients of the adapter, in one list. */
async function gradients(base: Qwen2ForCausalLM, engine: "compiled" | "eager" = "compiled"): Promise<{ loss: number; values: number[] }> {
  const adapted = get_peft_model(base, smallLora());
  await fill(adapted, 0.2);
  const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), base);
  const references = pairs.map(() => ({ chosen: -60, rejected: -75 }));
  const found = await gradientsOf(adapted, pairs, references, engine === "eager" ? { engine } : {});
  return { loss: found.loss, values: [...found.gradients.values()].flatMap((values) => [...values]) };
}

const length = (values: readonly number[]): number => Math.hypot(...values);
const apart = (got: readonly number[], wanted: readonly number[]): number =>
  length(got.map((value, i) => value - wanted[i]!)) / length(wanted);

// 1.5: of the golden model's inputs a few columns are outliers at that.
describe.each([0, 1.5])("outliers from %s", (llm_int8_threshold) => {
  it("compiled equals eager: log-probs, text and LoRA gradients", async () => {
    for (const llm_int8_backward of ["float32", "int16", "int8"] as const) {
      const quantization = { ...INT8, llm_int8_threshold, llm_int8_backward };
      const [compiled, eager] = [await open(TINY, quantization), await open(TINY, quantization, "eager")];
      if (llm_int8_backward === "int16") {
        // Where the two differ by a last digit before rounding, a code may differ by one.
        expect(farthest(await logps(compiled), await logps(eager))).toBeLessThan(0.05);
        expect(await text(compiled)).toEqual(await text(eager));
      }
      const [mine, wanted] = [await gradients(compiled), await gradients(eager, "eager")];
      expect(Math.abs(mine.loss - wanted.loss)).toBeLessThan(5e-3);
      expect(apart(mine.values, wanted.values)).toBeLessThan(1e-2);
    }
  });
});

it("is close to float32, and the closer the more bits the gradients have", async () => {
  const exact = await open(TINY);
  const wanted = await gradients(exact);
  const errors: number[] = [];
  const against: number[][] = [];
  for (const llm_int8_backward of ["float32", "int16", "int8"] as const) {
    const { values } = await gradients(await open(TINY, { ...INT8, llm_int8_backward }));
    against.push(values);
    errors.push(apart(values, wanted.values));
  }
  // Measured: 0.126 by the forward product alone; gradients in 8 bits are 0.021 off those in float32, and make it 0.129.
  expect(Math.max(...errors)).toBeLessThan(0.2);
  expect(Math.min(...errors)).toBeGreaterThan(1e-3);
  expect(apart(against[1]!, against[0]!)).toBeLessThan(1e-3);
  expect(apart(against[2]!, against[0]!)).toBeLessThan(0.05);
  const nf4 = await gradients(await open(TINY, { load_in_4bit: true, bnb_4bit_quant_type: "nf4" }));
  expect(apart(nf4.values, wanted.values)).toBeGreaterThan(2 * Math.max(...errors));
});

it("where products with int8 are wrong the codes are uint8, and nothing else is different", async () => {
  const engine = new CompiledEngine({ threads: 1 });
  const compile = engine.compile.bind(engine);
  // Stands in for a processor without VNNI: the check sees sums that were cut off.
  vi.spyOn(engine, "compile").mockImplementation((fn, signature, options) =>
    options?.name === "int8 check"
      ? compile((inputs) => ({ y: tf.mul(fn(inputs)["y"]!, 0.5) }), signature, options)
      : compile(fn, signature, options),
  );
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const model = await AutoModelForCausalLM.from_pretrained(TINY, { quantization_config: INT8, engine });
  models.push(model);
  await model.load();
  expect(warn.mock.calls).toEqual([
    [
      `model ${TINY}: this processor cannot add products of uint8 and int8 up exactly (it lacks VNNI), so load_in_8bit multiplies uint8 by uint8, exact and slower`,
    ],
  ]);
  warn.mockRestore();
  expect(engine.has("model.layers.0.mlp.up_proj.weight.codes_unsigned")).toBe(true);
  expect(engine.bytes()).toBe(model.get_memory_footprint());
  const plain = await open(TINY, INT8);
  expect(await logps(model)).toEqual(await logps(plain));
  expect(await gradients(model)).toEqual(await gradients(plain));
  expect(await numbers(model)).toEqual(await numbers(plain));
});

it("what is saved are the numbers the codes stand for, and nothing else changed", async () => {
  const folder = newFolder();
  await (await open(TINY, INT8)).save_pretrained(folder);
  const { tensors } = await openCheckpoint(folder);
  for (const [name, entry] of (await openCheckpoint(TINY)).tensors) {
    const values = readFileTensor(entry);
    expect(readFileTensor(tensors.get(name)!), name).toEqual(isProjection(name) ? rounded(values, entry.shape) : values);
  }
});

describe("merging", () => {
  async function adapted(): Promise<PeftModel> {
    const model = get_peft_model(await open(TINY, INT8), smallLora({ target_modules: ["q_proj", "down_proj"] }));
    await fill(model, 0.05);
    return model;
  }

  it("dequantize: true keeps the sum in float32; by default it is rounded to codes again", async () => {
    const exact = await (await adapted()).merge_and_unload({ dequantize: true });
    const engine = await exact.load();
    expect(engine.has("model.layers.0.self_attn.q_proj.weight")).toBe(true);
    expect(engine.has("model.layers.0.self_attn.q_proj.weight.codes")).toBe(false);
    expect(engine.has("model.layers.0.self_attn.k_proj.weight.codes")).toBe(true);
    expect(engine.bytes()).toBe(exact.get_memory_footprint());
    const wanted = await numbers(exact);
    const merged = await (await adapted()).merge_and_unload();
    expect((await merged.load()).bytes()).toBe(merged.get_memory_footprint());
    const shapes = (await openCheckpoint(TINY)).tensors;
    for (const [name, got] of await numbers(merged)) {
      const isMerged = /(q_proj|down_proj)\.weight$/.test(name);
      expect(got, name).toEqual(isMerged ? rounded(wanted.get(name)!, shapes.get(name)!.shape) : wanted.get(name));
    }
    expect(await text(merged)).toHaveLength(12);
  });
});

it("DPO starts at ln 2, lowers the loss and leaves the base as it was", async () => {
  const base = await open(await writeModel(), INT8);
  const before = await logps(base);
  const trainer = await smallTrainer({ model: base, peft_config: smallLora(), args: { learning_rate: 0.02, max_steps: 3 } });
  await trainer.train();
  const losses = trainer.state.log_history.filter((entry) => "loss" in entry).map((entry) => entry["loss"] as number);
  expect(losses[0]!).toBeCloseTo(Math.LN2, 5);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.01);
  expect(await logps(base)).toEqual(before);
});
