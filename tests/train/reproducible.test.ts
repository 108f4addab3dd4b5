/** Equal seeds give equal bytes; what is drawn at random: adapters, order, dropout. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { hostTensor } from "../../src/compile/index.js";
import { type CausalLM, PeftModel, get_peft_model } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import type { DPOConfigInput, TrainerState } from "../../src/train/index.js";
import { dropoutMasks, dropoutWidths } from "../../src/train/sequence/dropout.js";
import { planRun, visitedRows } from "../../src/train/loop/runPlan.js";
import {
  goldenPairs,
  largestDifference,
  newFolder,
  smallLora,
  smallModel,
  smallTrainer,
  trainedTensors,
  withTrainer,
} from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

describe("the same seed", () => {
  async function savedFiles(args: DPOConfigInput): Promise<Buffer[]> {
    const output_dir = newFolder();
    const given = {
      peft_config: smallLora({ lora_dropout: 0.1 }),
      train_dataset: await goldenPairs(6),
      eval_dataset: await goldenPairs([8, 9]),
    };
    const options: DPOConfigInput = {
      threads: 2,
      shuffle_dataset: true,
      disable_dropout: false,
      eval_strategy: "steps",
      gradient_accumulation_steps: 2,
    };
    await withTrainer({ ...given, args: { ...options, output_dir, ...args } }, async (trainer) => {
      await trainer.train();
      await trainer.save_model();
    });
    return ["adapter_model.safetensors", "trainer_state.json", "adapter_config.json", "tokenizer.json"].map((name) =>
      readFileSync(join(output_dir, name)),
    );
  }

  it("gives the same bytes, another seed others", async () => {
    const [first, second, other] = [await savedFiles({ seed: 5 }), await savedFiles({ seed: 5 }), await savedFiles({ seed: 6 })];
    // base_model_name_or_path is another folder in each run.
    for (const i of [0, 1, 3]) expect(second[i]!.equals(first[i]!)).toBe(true);
    expect(other[0]!.equals(first[0]!)).toBe(false);
    expect(other[1]!.equals(first[1]!)).toBe(false);
    const state = JSON.parse(first[1]!.toString()) as TrainerState;
    expect(state.global_step).toBe(3);
    expect(state.log_history.filter((entry) => "eval_loss" in entry).length).toBe(3);
    expect(JSON.stringify(state)).not.toMatch(/runtime|per_second/);
  });
});

describe("order of the rows", () => {
  const options = {
    per_device_train_batch_size: 3,
    gradient_accumulation_steps: 2,
    num_train_epochs: 3,
    max_steps: -1,
    shuffle_dataset: true,
    dataloader_drop_last: false,
    seed: 1,
    data_seed: null,
  };

  it("every epoch meets every row once, each in an order of its own", () => {
    const plan = planRun(10, options);
    const orders = [0, 1, 2].map((epoch) => plan.epoch(epoch).flat());
    for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new Set(orders.map(String)).size).toBe(3);
    expect(planRun(10, options).epoch(1)).toEqual(plan.epoch(1));
    expect(planRun(10, { ...options, seed: 2 }).epoch(1)).not.toEqual(plan.epoch(1));
    expect(plan.epoch(0).map((batch) => batch.length)).toEqual([3, 3, 3, 1]);
    expect(plan).toMatchObject({ microBatchesPerEpoch: 4, stepsPerEpoch: 2, totalSteps: 6 });
  });

  it("data_seed alone decides the order when it is given", () => {
    const plan = planRun(10, { ...options, data_seed: 5 });
    expect(planRun(10, { ...options, seed: 2, data_seed: 5 }).epoch(0)).toEqual(plan.epoch(0));
    expect(planRun(10, options).epoch(0)).not.toEqual(plan.epoch(0));
  });

  it("dataloader_drop_last leaves the short micro-batch out, and needs a full one", () => {
    const given = { ...options, dataloader_drop_last: true };
    expect(
      planRun(10, given)
        .epoch(0)
        .map((batch) => batch.length),
    ).toEqual([3, 3, 3]);
    expect(() => planRun(2, given, "DPOTrainer")).toThrow(
      "DPOTrainer: dataloader_drop_last needs at least per_device_train_batch_size 3 rows, got 2; lower per_device_train_batch_size",
    );
  });

  it("file order when it is not shuffled", () => {
    expect(planRun(4, { ...options, shuffle_dataset: false }).epoch(2)).toEqual([[0, 1, 2], [3]]);
  });

  it("a fraction of an epoch is rounded up to whole steps, as transformers", () => {
    expect(planRun(10, { ...options, num_train_epochs: 0.25 }).totalSteps).toBe(1);
    expect(planRun(10, { ...options, num_train_epochs: 1.3 }).totalSteps).toBe(3);
    expect(planRun(10, { ...options, max_steps: 7 }).totalSteps).toBe(7);
  });

  it.each([1, 2, 3, 4, 9])("%i steps visit exactly the rows of their micro-batches", (max_steps) => {
    for (const seed of [1, 2, 3]) {
      const given = { ...options, max_steps, seed };
      const plan = planRun(10, given);
      const met: number[] = [];
      for (let step = 0; step < max_steps; step++) {
        const first = (step % plan.stepsPerEpoch) * 2;
        met.push(
          ...plan
            .epoch(Math.floor(step / plan.stepsPerEpoch))
            .slice(first, first + 2)
            .flat(),
        );
      }
      expect(visitedRows(plan, given)).toEqual([...new Set(met)].sort((a, b) => a - b));
    }
  });
});

describe("dropout", () => {
  it("masks keep the mean: 1/(1-p) with probability 1-p, else 0; each module has its own", async () => {
    const base = await smallModel();
    models.push(base);
    const widths = dropoutWidths(get_peft_model(base, smallLora({ lora_dropout: 0.25 })));
    expect(widths.size).toBe(14);
    expect(widths.get("model.layers.1.mlp.down_proj")).toBe(24);
    const masks = dropoutMasks(widths, [{ tokens: 300, random: new Random(1) }], 0.25);
    const kept = Math.fround(1 / 0.75);
    for (const { data } of Object.values(masks)) {
      expect(data.every((value) => value === 0 || value === kept)).toBe(true);
      const mean = (data as Float32Array).reduce((sum, value) => sum + value, 0) / data.length;
      // Standard deviation of one element: sqrt(p/(1-p)).
      expect(Math.abs(mean - 1)).toBeLessThan((4 * Math.sqrt(1 / 3)) / Math.sqrt(data.length));
    }
    const [a, b] = ["mask/model.layers.0.self_attn.q_proj", "mask/model.layers.0.self_attn.k_proj"];
    expect(masks[a!]!.data).not.toEqual(masks[b!]!.data);
    expect(dropoutMasks(widths, [{ tokens: 300, random: new Random(1) }], 0.25)).toEqual(masks);
  });

  /** Trains one adapter with B not zero, which is the same whatever the seed. */
  async function trained(
    lora_dropout: number,
    args: DPOConfigInput,
  ): Promise<{ tensors: Map<string, Float32Array>; losses: number[]; evaluation: number }> {
    const base = await smallModel();
    models.push(base);
    const model = get_peft_model(base, smallLora({ lora_dropout }), { seed: 3 });
    const engine = await model.load({ threads: 1 });
    for (const [name, shape] of model.trainable()) {
      if (name.endsWith(".lora_B.weight"))
        await engine.put(model.storeName(name), hostTensor(new Float32Array(shape[0]! * shape[1]!).fill(0.1), shape));
    }
    const trainer = await smallTrainer({ model, eval_dataset: await goldenPairs([8, 9]), args: { max_steps: 2, ...args } });
    const evaluation = (await trainer.evaluate())["eval_loss"]!;
    await trainer.train();
    const losses = trainer.state.log_history.filter((entry) => entry["loss"] !== undefined).map((entry) => entry["loss"]!);
    return { tensors: await trainedTensors(model), losses, evaluation };
  }

  it("is drawn by the seed, acts in training only, and not at all by default", async () => {
    const one = await trained(0.5, { disable_dropout: false, seed: 1 });
    const again = await trained(0.5, { disable_dropout: false, seed: 1 });
    const other = await trained(0.5, { disable_dropout: false, seed: 2 });
    const without = await trained(0, { disable_dropout: false, seed: 1 });
    const disabled = await trained(0.5, { seed: 1 });
    expect(largestDifference(again.tensors, one.tensors)).toBe(0);
    expect(largestDifference(other.tensors, one.tensors)).toBeGreaterThan(1e-4);
    expect(largestDifference(without.tensors, one.tensors)).toBeGreaterThan(1e-4);
    expect(largestDifference(disabled.tensors, without.tensors)).toBe(0);
    // With the same weights on both sides only dropout moves the first loss away from ln 2.
    expect(without.losses[0]).toBeCloseTo(Math.log(2), 6);
    expect(Math.abs(one.losses[0]! - Math.log(2))).toBeGreaterThan(1e-4);
    for (const { evaluation } of [one, other, without, disabled]) expect(evaluation).toBeCloseTo(Math.log(2), 6);
  });
});

describe("a fresh adapter", () => {
  it.each(["compiled", "eager"] as const)("starts at the reference: loss ln 2, no rewards (%s)", async (engine) => {
    await withTrainer({ peft_config: smallLora(), args: { engine, max_steps: 1 } }, async (trainer) => {
      expect(trainer.model).toBeInstanceOf(PeftModel);
      await trainer.train();
      const [first] = trainer.state.log_history;
      expect(Math.abs(first!["loss"]! - Math.log(2))).toBeLessThan(1e-6);
      for (const name of ["rewards/chosen", "rewards/rejected", "rewards/margins"])
        expect(Math.abs(first![name]!), name).toBeLessThan(1e-5);
      expect(first!["grad_norm"]).toBeGreaterThan(0.01);
    });
  });
});
