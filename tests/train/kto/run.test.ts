/** Runs of KTOTrainer: start, adapters, engines, order, evaluation, resume. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Dataset, load_dataset } from "../../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM } from "../../../src/model/index.js";
import type { KTOConfigInput, LogEntry } from "../../../src/train/index.js";
import { planRun } from "../../../src/train/loop/runPlan.js";
import { GOLDEN, largestDifference, newFolder, smallLora, smallModel, trainedTensors, writeModel } from "../tinyModel.js";
import { type KtoInput, goldenRows, ktoTrainer, preparedRows, scoreRows, withKto } from "./ktoModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const model of models.splice(0)) await model.base.dispose();
});

async function logOf(input: KtoInput): Promise<{ log: LogEntry[]; tensors: Map<string, Float32Array> }> {
  return withKto(input, async (trainer) => {
    await trainer.train();
    return { log: trainer.state.log_history.slice(0, -1), tensors: await trainedTensors(trainer.model) };
  });
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);

describe("a fresh adapter", () => {
  it.each([
    ["kto", "compiled"],
    ["apo_zero_unpaired", "compiled"],
    ["kto", "eager"],
  ] as const)("starts at the reference: %s (%s) is half the weights, no rewards", async (loss_type, engine) => {
    // Row 1 is undesirable, the others are not: the second micro-batch has desirable rows only.
    const train_dataset = await goldenRows([0, 1, 2, 3]);
    const args: KTOConfigInput = { loss_type, engine, desirable_weight: 1.5, undesirable_weight: 0.7, max_steps: 2, learning_rate: 0 };
    const { log } = await logOf({ peft_config: smallLora(), train_dataset, args });
    expect(log[0]!["loss"]).toBeCloseTo((0.5 * (1.5 + 0.7)) / 2, 5);
    expect(log[1]!["loss"]).toBeCloseTo(0.5 * 1.5, 5);
    for (const name of ["rewards/chosen", "rewards/rejected", "rewards/margins", "kl"]) expect(log[0]![name], name).toBeCloseTo(0, 4);
    expect(Object.keys(log[1]!)).not.toContain("rewards/rejected");
    expect(Object.keys(log[1]!)).not.toContain("rewards/margins");
    expect(log[0]!["grad_norm"]).toBeGreaterThan(1e-3);
  });

  it("compiled and eager give the same run", async () => {
    const args = (engine: "compiled" | "eager"): KTOConfigInput => ({
      engine,
      max_steps: 3,
      learning_rate: 5e-3,
      gradient_accumulation_steps: 2,
    });
    const input = { peft_config: smallLora({ target_modules: ["q_proj", "v_proj"] }), train_dataset: await goldenRows([0, 1, 2, 3, 4, 5]) };
    const [compiled, eager] = [await logOf({ ...input, args: args("compiled") }), await logOf({ ...input, args: args("eager") })];
    expect(compiled.log.length).toBe(3);
    compiled.log.forEach((entry, i) => {
      expect(Object.keys(eager.log[i]!).sort()).toEqual(Object.keys(entry).sort());
      for (const [name, value] of Object.entries(entry)) expect(Math.abs(eager.log[i]![name]! - value), name).toBeLessThan(1e-3);
    });
    expect(largestDifference(compiled.tensors, eager.tensors)).toBeLessThan(1e-4);
  });
});

describe("rows", () => {
  it("preference data give the run of the rows written out", async () => {
    const pairs = [
      { prompt: "Is ice warm?", chosen: " No.", rejected: " Yes, very." },
      { prompt: "Two plus three is", chosen: " five.", rejected: " seven or so." },
    ];
    const written = [
      ...pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen, label: true })),
      ...pairs.map(({ prompt, rejected }) => ({ prompt, completion: rejected, label: false })),
    ];
    const unpaired = await logOf({ train_dataset: Dataset.from_rows(pairs) });
    const direct = await logOf({ train_dataset: Dataset.from_rows(written) });
    expect(unpaired.log.length).toBe(3);
    expect(unpaired.log).toEqual(direct.log);
    expect(largestDifference(unpaired.tensors, direct.tensors)).toBe(0);
  });

  it("an epoch counts the unpaired rows", async () => {
    await withKto(
      { train_dataset: await load_dataset(`${GOLDEN}/pairs.jsonl`), args: { per_device_train_batch_size: 10, max_steps: 1 } },
      async (trainer) => {
        await trainer.train();
        expect(trainer.state.epoch).toBe(1 / 4);
      },
    );
  });

  it("micro-batches of one half each, accumulated, give the gradient of their mean", async () => {
    // With kl clamped at 0 (the policy is the reference) the KL pairs do not matter, and two halves make the whole.
    const train_dataset = await goldenRows([0, 1, 2, 3]);
    const [whole, halves] = [
      await logOf({ train_dataset, args: { per_device_train_batch_size: 4, max_steps: 1 } }),
      await logOf({ train_dataset, args: { per_device_train_batch_size: 2, gradient_accumulation_steps: 2, max_steps: 1 } }),
    ];
    expect(halves.log[0]!["grad_norm"]! / whole.log[0]!["grad_norm"]!).toBeCloseTo(1, 4);
    expect(halves.log[0]!["loss"]).toBeCloseTo(whole.log[0]!["loss"]!, 5);
    expect(halves.log[0]!["num_tokens"]).toBe(whole.log[0]!["num_tokens"]);
  });

  it("shuffled, each row keeps the mismatched completion of its neighbour in the file", async () => {
    const [model, ref_model] = [await smallModel({ rope_theta: 300 }), await smallModel()];
    models.push(ref_model);
    const train_dataset = await goldenRows([0, 1, 2, 3, 4, 5]);
    const rows = await preparedRows(train_dataset, model, { per_device_train_batch_size: 3 });
    const [policy, reference] = [await scoreRows(model, rows), await scoreRows(ref_model, rows)];
    await withKto(
      {
        model,
        ref_model,
        train_dataset,
        args: { per_device_train_batch_size: 3, shuffle_dataset: true, learning_rate: 0, max_steps: 4, seed: 3 },
      },
      async (trainer) => {
        await trainer.train();
        const plan = planRun(6, trainer.args);
        const order = [0, 1].flatMap((epoch) => plan.epoch(epoch));
        expect(order.flat().slice(0, 6)).not.toEqual([0, 1, 2, 3, 4, 5]);
        const expected = order.map((batch) => Math.max(0, mean(batch.map((row) => policy[row]!.mismatched - reference[row]!.mismatched))));
        expect(Math.max(...expected)).toBeGreaterThan(0.01);
        expected.forEach((kl, step) => expect(trainer.state.log_history[step]!["kl"]).toBeCloseTo(kl, 3));
      },
    );
  });
});

describe("evaluation", () => {
  it("before and after training equals the losses by hand, and changes nothing", async () => {
    const model = await smallModel();
    const eval_dataset = await goldenRows([8, 9, 10, 11, 12]);
    const beta = 0.3;
    const args: KTOConfigInput = {
      beta,
      desirable_weight: 1.5,
      per_device_eval_batch_size: 3,
      learning_rate: 5e-3,
      lr_scheduler_type: "constant",
    };
    const trainer = await ktoTrainer({ model, eval_dataset, args });
    // KL pairs are of training batches, in evaluation too.
    const rows = await preparedRows(eval_dataset, model, { per_device_train_batch_size: 2 });
    const reference = await scoreRows(model, rows);
    const before = await trainer.evaluate();
    const weight = (i: number): number => (rows[i]!.label ? 1.5 : 1);
    const all = [0, 1, 2, 3, 4];
    expect(before["eval_loss"]).toBeCloseTo(mean(all.map((i) => 0.5 * weight(i))), 5);
    await trainer.train();
    const after = await trainer.evaluate();
    const now = await scoreRows(model, rows);
    const kls = [
      [0, 1, 2],
      [3, 4],
    ].map((batch) => Math.max(0, mean(batch.map((i) => now[i]!.mismatched - reference[i]!.mismatched))));
    const losses = all.map((i) => {
      const r = now[i]!.own - reference[i]!.own - kls[i < 3 ? 0 : 1]!;
      return weight(i) * (1 - sigmoid(beta * (rows[i]!.label ? r : -r)));
    });
    expect(Math.abs(mean(losses) - before["eval_loss"]!)).toBeGreaterThan(0.01);
    expect(after["eval_loss"]).toBeCloseTo(mean(losses), 5);
    expect(after["eval_kl"]).toBeCloseTo(mean(kls), 4);
    expect(after["eval_num_tokens"]).toBe(trainer.state.num_input_tokens_seen);
    await trainer.dispose();
    const { tensors } = await logOf({ eval_dataset, args: { ...args, eval_strategy: "steps", eval_steps: 1 } });
    const plain = await logOf({ args });
    expect(largestDifference(tensors, plain.tensors)).toBe(0);
  });
});

describe("the same seed", () => {
  async function savedFiles(seed: number): Promise<Buffer[]> {
    const output_dir = newFolder();
    const args: KTOConfigInput = { output_dir, seed, shuffle_dataset: true, disable_dropout: false, gradient_accumulation_steps: 2 };
    const input = { peft_config: smallLora({ lora_dropout: 0.1 }), train_dataset: await goldenRows([0, 1, 2, 3, 4, 5]), args };
    await withKto(input, async (trainer) => {
      await trainer.train();
      await trainer.save_model();
    });
    return ["adapter_model.safetensors", "trainer_state.json"].map((name) => readFileSync(join(output_dir, name)));
  }

  it("gives the same bytes, another seed others", async () => {
    const [first, second, other] = [await savedFiles(5), await savedFiles(5), await savedFiles(6)];
    for (const i of [0, 1]) {
      expect(second[i]!.equals(first[i]!)).toBe(true);
      expect(other[i]!.equals(first[i]!)).toBe(false);
    }
  });

  async function run(args: KTOConfigInput, more: Partial<KtoInput>, from?: string): Promise<Record<string, unknown>> {
    const output_dir = args.output_dir ?? newFolder();
    const input: KtoInput = {
      train_dataset: await goldenRows([0, 1, 2, 3, 4, 5]),
      ...more,
      args: { max_steps: 5, save_strategy: "steps", save_steps: 2, logging_steps: 3, learning_rate: 5e-3, ...args, output_dir },
    };
    return withKto(input, async (trainer) => {
      await trainer.train({ resume_from_checkpoint: from });
      const last = join(output_dir, "checkpoint-5");
      const files = readdirSync(last).filter((name) => name.endsWith(".safetensors") || name === "loop_state.json");
      return {
        log: trainer.state.log_history.slice(0, -1),
        ...Object.fromEntries(files.map((name) => [name, readFileSync(join(last, name)).toString("base64")])),
      };
    });
  }

  it.each<[string, KTOConfigInput, boolean, string]>([
    ["an adapter", { disable_dropout: false, shuffle_dataset: true }, true, "adapter_model.safetensors"],
    [
      "all weights, against a reference that moves",
      { sync_ref_model: true, ref_model_sync_steps: 3, ref_model_mixup_alpha: 0.3 },
      false,
      "method_state.safetensors",
    ],
  ])("a resumed run ends with the bytes of an uninterrupted one: %s", async (_name, args, lora, file) => {
    const folder = await writeModel();
    const input = async (): Promise<KtoInput> => ({
      model: await AutoModelForCausalLM.from_pretrained(folder),
      ...(lora ? { peft_config: smallLora({ lora_dropout: 0.1 }) } : {}),
    });
    const output_dir = newFolder();
    const whole = await run({ ...args, output_dir }, await input());
    expect(Object.keys(whole)).toContain(file);
    for (const step of [2, 4]) {
      const resumed = await run(args, await input(), join(output_dir, `checkpoint-${step}`));
      expect(Object.keys(resumed)).toEqual(Object.keys(whole));
      for (const [name, value] of Object.entries(whole)) expect(resumed[name], `${name} from step ${step}`).toEqual(value);
    }
  });
});

describe("a reference that moves", () => {
  const args: KTOConfigInput = { sync_ref_model: true, ref_model_mixup_alpha: 1, ref_model_sync_steps: 2, max_steps: 2 };

  /** The reward of the desirable rows, by hand, and how far the two models are apart in it. */
  async function rewardOf(model: CausalLM, ref_model: CausalLM, dataset: Dataset): Promise<number> {
    const rows = await preparedRows(dataset, model, { per_device_train_batch_size: 2 });
    const [policy, reference] = [await scoreRows(model, rows), await scoreRows(ref_model, rows)];
    const desirable = [...rows.keys()].filter((i) => rows[i]!.label);
    const reward = 0.1 * mean(desirable.map((i) => policy[i]!.own - reference[i]!.own));
    expect(Math.abs(reward)).toBeGreaterThan(1e-2);
    return reward;
  }

  it("starts at ref_model, is the policy after a move of all its weight, and is gone when the trainer is", async () => {
    const changed = await writeModel({}, (_name, values) => void values.forEach((value, i) => (values[i] = value * (1 + (i % 3) / 5))));
    const [model, ref_model] = [await smallModel(), await AutoModelForCausalLM.from_pretrained(changed)];
    const eval_dataset = await goldenRows([8, 9, 10, 11]);
    const expected = await rewardOf(model, ref_model, eval_dataset);
    const engine = await model.load();
    let left: string[] | undefined;
    await withKto({ model, ref_model, eval_dataset, args }, async (trainer) => {
      expect((await trainer.evaluate())["eval_rewards/chosen"]).toBeCloseTo(expected, 4);
      await trainer.train();
      const after = await trainer.evaluate();
      for (const name of ["eval_rewards/chosen", "eval_rewards/rejected", "eval_kl"]) expect(after[name], name).toBeCloseTo(0, 5);
      expect(engine.names("reference/").length).toBeGreaterThan(0);
      // The engine goes with the model; what the reference held must be gone before.
      const dispose = model.base.dispose.bind(model.base);
      vi.spyOn(model.base, "dispose").mockImplementation(() => {
        left ??= engine.names("reference/");
        return dispose();
      });
    });
    expect(left).toEqual([]);
  });

  it("computes with ref_model's own configuration", async () => {
    const [model, ref_model] = [await smallModel({ rope_theta: 300 }), await smallModel()];
    const eval_dataset = await goldenRows([8, 9, 10, 11]);
    const expected = await rewardOf(model, ref_model, eval_dataset);
    await withKto({ model, ref_model, eval_dataset, args }, async (trainer) => {
      expect((await trainer.evaluate())["eval_rewards/chosen"]).toBeCloseTo(expected, 4);
    });
  });

  it("is refused for an adapter", async () => {
    await expect(ktoTrainer({ peft_config: smallLora(), args: { sync_ref_model: true } })).rejects.toMatchObject({
      name: "ConfigError",
      code: "sync_ref_model",
      message:
        "KTOTrainer: sync_ref_model needs a model whose weights are trained whole, got a LoRA adapter; set sync_ref_model false or leave out peft_config",
    });
  });
});

describe("the reference's cache", () => {
  it("serves later runs of the same rows and KL pairs", async () => {
    const folder = await writeModel();
    vi.stubEnv("PREFLAB_CACHE", newFolder());
    const run = async (args: KTOConfigInput): Promise<{ computed: number; log: LogEntry[] }> => {
      let computed = 0;
      const model = await AutoModelForCausalLM.from_pretrained(folder);
      const callbacks = [{ on_reference: (done: number) => void (computed = done) }];
      const { log } = await logOf({ model, callbacks, args: { max_steps: 1, precompute_ref_log_probs: true, ...args } });
      return { computed, log };
    };
    const first = await run({});
    expect(first.computed).toBe(4);
    const again = await run({});
    expect(again).toEqual({ computed: 0, log: first.log });
    expect((await run({ precompute_ref_log_probs: false })).log).toEqual(first.log);
    expect((await run({ beta: 0.7 })).computed).toBe(0);
    // Other batches pair other completions; without KL there are none.
    expect((await run({ per_device_train_batch_size: 4 })).computed).toBe(4);
    expect((await run({ loss_type: "apo_zero_unpaired" })).computed).toBe(4);
  });
});
