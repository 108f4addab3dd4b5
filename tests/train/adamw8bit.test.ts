/** 8-bit AdamW: each step against float64 and a search over the map's numbers; whole runs beside 32-bit AdamW. */
import { afterEach, describe, expect, it } from "vitest";
import { type Engine, hostTensor } from "../../src/compile/index.js";
import { dynamicMap } from "../../src/compile/fused/dynamicMap.js";
import type { CausalLM } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { AdamW } from "../../src/train/optimizer/adamw.js";
import { AdamW8bit } from "../../src/train/optimizer/adamw8bit.js";
import { gradientName } from "../../src/train/optimizer/gradientSums.js";
import { type Optimizer, decays, sizeOf } from "../../src/train/optimizer/optimizer.js";
import { goldenRun, goldenVariants } from "./goldenRuns.js";
import { smallModel } from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});

/** Two coded shapes that are no whole number of blocks: 68·68 = 18 blocks + 16, 96·68 = 25 blocks + 128. */
async function codedModel(kind: "compiled" | "eager"): Promise<{ model: CausalLM; engine: Engine }> {
  const model = await smallModel({ hidden_size: 68, intermediate_size: 96, num_hidden_layers: 1, vocab_size: 703 });
  models.push(model);
  return { model, engine: await model.load(kind === "eager" ? { engine: kind, backend: "cpu" } : { threads: 1 }) };
}

const OPTIONS = { adam_beta1: 0.8, adam_beta2: 0.95, adam_epsilon: 1e-6, weight_decay: 0.1 };

async function fetched(engine: Engine, name: string): Promise<Float64Array> {
  return Float64Array.from((await engine.fetch(name)).data);
}

describe.each(["compiled", "eager"] as const)("%s", (kind) => {
  it("each step is AdamW's on the decoded means, which are coded as the nearest numbers", async () => {
    const { model, engine } = await codedModel(kind);
    const optimizer = await AdamW8bit.create(engine, model, OPTIONS);
    const names = [...model.trainable().keys()].filter((name) => /q_proj\.weight|down_proj|input_layernorm/.test(name));
    const maps = { mean: dynamicMap(true), square: dynamicMap(false) };
    const random = new Random(4);
    const { adam_beta1: b1, adam_beta2: b2, adam_epsilon, weight_decay } = OPTIONS;
    let coded = 0;
    const worst = { weight: 0, absmax: 0, code: 0 };
    for (let step = 1; step <= 4; step++) {
      const before = new Map<string, Record<string, Float64Array>>();
      for (const name of names) {
        const shape = model.trainable().get(name)!;
        // From 1e-5 to 1, and exact zeros, whole blocks of them too.
        const gradient = Float32Array.from({ length: sizeOf(shape) }, (_, i) =>
          i % 1024 < 256 || random.uniform() < 0.1 ? 0 : 10 ** (-5 * random.uniform()) * (random.uniform() < 0.5 ? -1 : 1),
        );
        await engine.put(gradientName(name), hostTensor(gradient.slice(), shape));
        const states = optimizer.states().filter((state) => state.name.endsWith(`/${name}`));
        const entry: Record<string, Float64Array> = { gradient: Float64Array.from(gradient), weight: await fetched(engine, name) };
        for (const state of states) entry[state.name.split("/")[0]!] = await fetched(engine, state.store);
        before.set(name, entry);
      }
      await optimizer.step(0.01, 0.5);
      for (const [name, old] of before) {
        const weight = await fetched(engine, name);
        const isCoded = old["mean_codes"] !== undefined;
        expect(isCoded).toBe(!name.includes("norm"));
        const stored = async (slot: string): Promise<Float64Array> =>
          fetched(engine, optimizer.states().find((state) => state.name === `${slot}/${name}`)!.store);
        const decoded = (slot: "mean" | "square", i: number): number =>
          isCoded ? maps[slot][old[`${slot}_codes`]![i]!]! * old[`${slot}_absmax`]![Math.floor(i / 256)]! : old[slot]![i]!;
        const fresh = { mean: new Float64Array(weight.length), square: new Float64Array(weight.length) };
        weight.forEach((value, i) => {
          const g = old["gradient"]![i]! * 0.5;
          fresh.mean[i] = b1 * decoded("mean", i) + (1 - b1) * g;
          fresh.square[i] = b2 * decoded("square", i) + (1 - b2) * g * g;
          const change = fresh.mean[i] / (1 - b1 ** step) / (Math.sqrt(fresh.square[i] / (1 - b2 ** step)) + adam_epsilon);
          const expected = old["weight"]![i]! * (decays(name) ? 1 - 0.01 * weight_decay : 1) - 0.01 * change;
          worst.weight = Math.max(worst.weight, Math.abs(value - expected));
        });
        if (!isCoded) continue;
        for (const slot of ["mean", "square"] as const) {
          const [codes, absmax, map] = [await stored(`${slot}_codes`), await stored(`${slot}_absmax`), maps[slot]];
          for (let block = 0; block < absmax.length; block++) {
            const values = fresh[slot].subarray(block * 256, (block + 1) * 256);
            const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
            worst.absmax = Math.max(worst.absmax, Math.abs(absmax[block]! - largest) / (largest || 1));
            values.forEach((value, i) => {
              const share = largest === 0 ? 0 : value / largest;
              const got = Math.abs(map[codes[block * 256 + i]!]! - share);
              const best = map.reduce((least, number) => Math.min(least, Math.abs(number - share)), Infinity);
              worst.code = Math.max(worst.code, (got - best) / (Math.abs(share) || 1));
              coded++;
            });
          }
        }
      }
    }
    expect(coded).toBeGreaterThan(80_000);
    expect(worst.weight).toBeLessThan(2e-6);
    expect(worst.absmax).toBeLessThan(2e-6);
    // Float32 may round a share across a midpoint.
    expect(worst.code).toBeLessThan(1e-5);
    await optimizer.dispose();
  });
});

describe("beside 32 bits", () => {
  it("50 steps towards a target stay close", async () => {
    const run = async (create: (engine: Engine, model: CausalLM) => Promise<Optimizer>) => {
      const { model, engine } = await codedModel("compiled");
      const optimizer = await create(engine, model);
      const name = "model.layers.0.mlp.down_proj.weight";
      const shape = model.trainable().get(name)!;
      const target = Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i));
      const random = new Random(8);
      const losses: number[] = [];
      for (let step = 0; step < 50; step++) {
        const weight = (await engine.fetch(name)).data;
        // The gradient of ½(w − target)², with noise.
        const gradient = target.map((wanted, i) => weight[i]! - wanted + 0.3 * random.normal());
        losses.push(target.reduce((sum, wanted, i) => sum + (weight[i]! - wanted) ** 2 / 2, 0) / target.length);
        await engine.put(gradientName(name), hostTensor(gradient, shape));
        await optimizer.step(0.02, 1);
      }
      const weight = await fetched(engine, name);
      await optimizer.dispose();
      return { losses, weight };
    };
    const options = { adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8, weight_decay: 0 };
    const full = await run((engine, model) => AdamW.create(engine, model, options));
    const eight = await run((engine, model) => AdamW8bit.create(engine, model, options));
    expect(full.losses[49]! / full.losses[0]!).toBeLessThan(0.3);
    const far = Math.max(...eight.losses.map((loss, i) => Math.abs(loss / full.losses[i]! - 1)));
    const apart = Math.sqrt(eight.weight.reduce((sum, value, i) => sum + (value - full.weight[i]!) ** 2, 0) / full.weight.length);
    console.log(`8-bit beside 32-bit: loss within ${far.toExponential(1)}, weights ${apart.toExponential(1)} apart (rms)`);
    expect(far).toBeLessThan(0.01);
    expect(apart).toBeLessThan(0.02);
    expect(apart).toBeGreaterThan(0);
  });

  it("the loss of the golden DPO run follows TRL's 32-bit AdamW", async () => {
    const variant = goldenVariants("train_dpo_full.json")["accumulate1"]!;
    const run = await goldenRun(variant, { optim: "adamw_8bit" });
    try {
      await run.trainer.train();
      const steps = run.trainer.state.log_history.filter((entry) => "loss" in entry);
      expect(steps.length).toBe(variant.steps.length);
      const off = steps.map((step, i) => Math.abs(step["loss"]! - variant.steps[i]!["loss"]!));
      const margin = steps.map((step, i) => Math.abs(step["rewards/margins"]! - variant.steps[i]!["rewards/margins"]!));
      console.log(
        `golden DPO run: losses ${off.map((value) => value.toExponential(0)).join(" ")}, margins within ${Math.max(...margin).toExponential(1)}`,
      );
      expect(Math.max(...off)).toBeLessThan(2e-3);
      // It is not the 32-bit run.
      expect(Math.max(...off)).toBeGreaterThan(1e-6);
    } finally {
      await run.dispose();
    }
  });
});
