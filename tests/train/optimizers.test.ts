/** Every optimizer that `optim` names: against torch, what it stores, and its state in a file. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Engine, hostTensor } from "../../src/compile/index.js";
import { ModelError } from "../../src/errors.js";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { createOptimizer } from "../../src/train/optimizer/createOptimizer.js";
import { gradientName } from "../../src/train/optimizer/gradientSums.js";
import { type Optimizer, stateBytes } from "../../src/train/optimizer/optimizer.js";
import { loadOptimizer, saveOptimizer } from "../../src/train/optimizer/optimizerFile.js";
import { DPOConfig, type DPOConfigInput } from "../../src/train/index.js";
import { largestDifference, newFolder, smallLora, smallModel, trainedTensors } from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});

async function kept(model: Promise<CausalLM>): Promise<CausalLM> {
  models.push(await model);
  return model;
}

/** Tensors of 4,624 and 6,528 elements: coded, and not a whole number of blocks. */
const CODED_SHAPE = { hidden_size: 68, intermediate_size: 96 };

interface Golden {
  start: number[];
  gradients: number[][];
  rates: number[];
  cases: { optim: "sgd" | "adamw_torch"; optim_args: string; weight_decay: number; values: number[][] }[];
}
// scripts/golden/optimizers.py: torch 2.13 in float64.
const golden = JSON.parse(readFileSync("tests/golden/optimizers.json", "utf8")) as Golden;

async function putGradients(model: CausalLM, engine: Engine, values: (name: string, length: number) => Float32Array): Promise<void> {
  for (const [name, shape] of model.trainable()) {
    const length = shape.reduce((product, size) => product * size, 1);
    await engine.put(gradientName(model.storeName(name)), hostTensor(values(name, length), shape));
  }
}

describe("against torch", () => {
  it.each(golden.cases.map((one) => [`${one.optim} ${one.optim_args} weight decay ${one.weight_decay}`, one] as const))(
    "%s",
    async (_title, { optim, optim_args, weight_decay, values }) => {
      const model = await kept(smallModel());
      const engine = await model.load({ threads: 1 });
      const name = "model.layers.0.self_attn.q_proj.weight";
      const bias = "model.layers.0.self_attn.q_proj.bias";
      const filled = (length: number, numbers: number[]): Float32Array => {
        const array = new Float32Array(length);
        array.set(numbers);
        return array;
      };
      await engine.put(name, hostTensor(filled(256, golden.start), [16, 16]));
      await engine.put(bias, hostTensor(filled(16, [1]), [16]));
      const optimizer = await createOptimizer(engine, model, new DPOConfig({ optim, optim_args, weight_decay }));
      for (const [step, expected] of values.entries()) {
        await putGradients(model, engine, (of, length) => filled(length, of === name ? golden.gradients[step]! : []));
        await optimizer.step(golden.rates[step]!, 1);
        const got = (await engine.fetch(name)).data;
        expected.forEach((value, i) =>
          expect(Math.abs(got[i]! - value), `step ${step} [${i}]`).toBeLessThan(3e-6 * Math.max(1, Math.abs(value))),
        );
      }
      // A bias does not decay.
      expect((await engine.fetch(bias)).data[0]).toBe(1);
      await optimizer.dispose();
    },
  );
});

describe("names", () => {
  it.each([
    ["adamw_torch", "adamw"],
    ["adamw_torch_fused", "adamw"],
    ["adamw_8bit", "adamw8bit"],
    ["adamw_bnb_8bit", "adamw8bit"],
    ["sgd", "sgd"],
  ] as const)("%s is %s, and leaves nothing in the store", async (optim, kind) => {
    const model = await kept(smallModel());
    const engine = await model.load();
    const before = engine.names().sort();
    const optimizer = await createOptimizer(engine, model, new DPOConfig({ optim }));
    expect(optimizer.kind).toBe(kind);
    expect(engine.names("optimizer.").length).toBe(optimizer.states().length);
    await optimizer.dispose();
    expect(engine.names().sort()).toEqual(before);
  });

  it("paging is told of once", async () => {
    const told = vi.spyOn(console, "info").mockImplementation(() => undefined);
    const model = await kept(smallModel());
    const engine = await model.load();
    for (const optim of ["paged_adamw_8bit", "paged_adamw_32bit"] as const)
      await (await createOptimizer(engine, model, new DPOConfig({ optim }))).dispose();
    expect(told.mock.calls).toEqual([
      ["optim paged_adamw_8bit: paging has no meaning here, the states lie in ordinary memory; the numbers are the same"],
    ]);
    told.mockRestore();
  });

  it("bytes: 8 a parameter in 32 bits, 2 and the blocks' scales where coded, embeddings and small tensors excepted", async () => {
    const model = await kept(smallModel(CODED_SHAPE));
    const engine = await model.load();
    const sizes = [...model.trainable()].map(([name, shape]) => [name, shape.reduce((product, size) => product * size, 1)] as const);
    const all = sizes.reduce((sum, [, size]) => sum + size, 0);
    const coded = sizes.filter(([name, size]) => size >= 4096 && !name.includes("embed_tokens"));
    const full = await createOptimizer(engine, model, new DPOConfig());
    expect(stateBytes(full)).toBe(8 * all);
    await full.dispose();
    const eight = await createOptimizer(engine, model, new DPOConfig({ optim: "adamw_8bit" }));
    const blocks = coded.reduce((sum, [, size]) => sum + Math.ceil(size / 256), 0);
    const plain = all - coded.reduce((sum, [, size]) => sum + size, 0);
    expect(stateBytes(eight)).toBe(8 * plain + 2 * blocks * 256 + 2 * blocks * 4);
    expect(coded.length).toBe(10);
    let stored = 0;
    for (const { store } of eight.states()) stored += (await engine.fetch(store)).data.byteLength;
    expect(stored).toBe(stateBytes(eight));
    await eight.dispose();
  });
});

/** Steps with gradients that depend on the step's number only. */
async function steps(optimizer: Optimizer, model: CausalLM, from: number, to: number): Promise<void> {
  for (let step = from; step < to; step++) {
    const random = new Random(step);
    await putGradients(model, optimizer.engine, (name, length) => {
      const stream = random.fork(name);
      return Float32Array.from({ length }, () => stream.normal());
    });
    const norm = await optimizer.gradientNorm();
    await optimizer.step(1e-2 / (1 + step), Math.min(1, 10 / norm));
  }
}

describe("state in a file", () => {
  it.each<[DPOConfigInput, "compiled" | "eager"]>([
    [{ optim: "adamw_torch", weight_decay: 0.1 }, "compiled"],
    [{ optim: "adamw_8bit", weight_decay: 0.1 }, "compiled"],
    [{ optim: "adamw_8bit" }, "eager"],
    [{ optim: "sgd", optim_args: "momentum=0.9" }, "compiled"],
    [{ optim: "sgd" }, "compiled"],
  ])("%j %s: a resumed run equals an uninterrupted one, bit by bit", async (options, kind) => {
    const args = new DPOConfig(options);
    const whole = await kept(smallModel(CODED_SHAPE));
    const optimizer = await createOptimizer(await whole.load({ engine: kind }), whole, args);
    await steps(optimizer, whole, 0, 4);

    const cut = await kept(smallModel(CODED_SHAPE));
    const engine = await cut.load({ engine: kind });
    const first = await createOptimizer(engine, cut, args);
    await steps(first, cut, 0, 2);
    const file = `${newFolder()}.safetensors`;
    await saveOptimizer(first, file);
    await first.dispose();
    const second = await createOptimizer(engine, cut, args);
    await loadOptimizer(second, file);
    expect(second.steps).toBe(2);
    const again = `${newFolder()}.safetensors`;
    await saveOptimizer(second, again);
    expect(readFileSync(again).equals(readFileSync(file))).toBe(true);
    await steps(second, cut, 2, 4);
    expect(largestDifference(await trainedTensors(cut), await trainedTensors(whole))).toBe(0);
    if (second.states().length === 0) return;
    // Without the states it goes elsewhere.
    const fresh = await kept(smallModel(CODED_SHAPE));
    const forgetful = await createOptimizer(await fresh.load({ engine: kind }), fresh, args);
    await steps(forgetful, fresh, 0, 2);
    await forgetful.dispose();
    const empty = await createOptimizer(await fresh.load(), fresh, args);
    await steps(empty, fresh, 2, 4);
    expect(largestDifference(await trainedTensors(fresh), await trainedTensors(whole))).toBeGreaterThan(1e-4);
  });

  it("an adapter's state", async () => {
    const base = await kept(smallModel());
    const adapter = get_peft_model(base.base, smallLora());
    const engine = await adapter.load();
    const optimizer = await createOptimizer(engine, adapter, new DPOConfig());
    await steps(optimizer, adapter, 0, 1);
    const file = `${newFolder()}.safetensors`;
    await saveOptimizer(optimizer, file);
    const { store, name } = optimizer.states()[0]!;
    const before = await engine.fetch(store);
    await engine.put(store, hostTensor(new Float32Array(before.data.length), before.shape));
    await loadOptimizer(optimizer, file);
    expect(await engine.fetch(store)).toEqual(before);
    expect(name).toMatch(/^mean\/.*lora_A\.weight$/);
  });

  it("files that do not fit are refused, and nothing is changed", async () => {
    const model = await kept(smallModel(CODED_SHAPE));
    const engine = await model.load();
    const save = async (options: DPOConfigInput): Promise<string> => {
      const optimizer = await createOptimizer(engine, model, new DPOConfig(options));
      const file = `${newFolder()}.safetensors`;
      await saveOptimizer(optimizer, file);
      await optimizer.dispose();
      return file;
    };
    const [adam, eight, plainSgd] = [await save({}), await save({ optim: "adamw_8bit" }), await save({ optim: "sgd" })];
    const failure = async (options: DPOConfigInput, file: string, of: CausalLM = model): Promise<string> => {
      const optimizer = await createOptimizer(await of.load(), of, new DPOConfig(options));
      try {
        await loadOptimizer(optimizer, file);
      } catch (error) {
        if (!(error instanceof ModelError)) throw error;
        expect(optimizer.steps).toBe(0);
        return `${error.code}: ${error.message.replace(file, "FILE")}`;
      } finally {
        await optimizer.dispose();
      }
      throw new Error("nothing was thrown");
    };
    expect(await failure({}, eight)).toBe(
      "optimizer_kind: FILE: must be the state of adamw, got that of adamw8bit; resume with the optim of the checkpoint",
    );
    const advice = "resume with the model, the adapter options and the optim_args of the checkpoint";
    const other = await kept(smallModel({ ...CODED_SHAPE, intermediate_size: 104 }));
    expect(await failure({ optim: "adamw_8bit" }, eight, other)).toBe(
      `optimizer_tensors: FILE: must hold mean_codes/model.layers.0.mlp.gate_proj.weight as U8 [28, 256], got U8 [26, 256]; ${advice}`,
    );
    const deeper = await kept(smallModel({ ...CODED_SHAPE, num_hidden_layers: 3 }));
    expect(await failure({}, adam, deeper)).toMatch(
      /^optimizer_tensors: FILE: must hold mean\/model\.layers\.2\..* got nothing of that name; /,
    );
    const flatter = await kept(smallModel({ ...CODED_SHAPE, num_hidden_layers: 1 }));
    expect(await failure({}, adam, flatter)).toMatch(
      /^optimizer_tensors: FILE: must hold a state that training changes, got mean\/model\.layers\.1\./,
    );
    expect(await failure({ optim: "sgd", optim_args: "momentum=0.9" }, plainSgd)).toMatch(
      /^optimizer_tensors: .* got nothing of that name/,
    );
    const weights = "tests/golden/tiny-qwen2/model.safetensors";
    expect(await failure({}, weights)).toBe(
      'optimizer_file: FILE: must be the state of an optimizer, got a file with metadata {"format":"pt"}; choose a checkpoint\'s',
    );
    const cutShort = `${newFolder()}.safetensors`;
    writeFileSync(cutShort, readFileSync(adam).subarray(0, 5000));
    expect(await failure({}, cutShort)).toMatch(/^safetensors_/);
    expect(await failure({}, "nowhere.safetensors")).toMatch(/^file_missing: /);
  });
});
