/** TR-DPO: the reference that follows the policy, against TRL's run (golden/train_dpo_full.json, variant sync_ref) and by itself. */
import { afterEach, describe, expect, it } from "vitest";
import { hostTensor } from "../../src/compile/index.js";
import { AutoModelForCausalLM, type CausalLM, get_peft_model } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { MicroBatchRunner } from "../../src/train/dpo/microBatch.js";
import type { PreparedPair, ReferenceLogps } from "../../src/train/dpo/pairBatch.js";
import { dpoPreference } from "../../src/train/dpo/preference.js";
import { pairScoring } from "../../src/train/dpo/references.js";
import { learningRateSchedule } from "../../src/train/loop/schedule.js";
import { AdamW } from "../../src/train/optimizer/adamw.js";
import { MovingReference } from "../../src/train/sequence/movingReference.js";
import type { DPOConfig, DPOConfigInput } from "../../src/train/index.js";
import { differences, goldenVariants } from "./goldenRuns.js";
import { preparedPairs, referenceLogps } from "./microBatches.js";
import { TINY, goldenPairs, quiet, smallLora, smallModel } from "./tinyModel.js";

type Reference = MovingReference<PreparedPair, ReferenceLogps>;

function movingReference(model: CausalLM, args: DPOConfig, ref_model?: CausalLM, groupElements?: number): Reference {
  return new MovingReference(pairScoring(args), model, args, ref_model, groupElements);
}

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

async function newModel(load: () => Promise<CausalLM>): Promise<CausalLM> {
  const model = await load();
  models.push(model);
  await model.load({ threads: 1 });
  return model;
}

/** Runs `steps` steps of batches of two rows in file order. @returns what a trainer logs */
async function train(model: CausalLM, reference: Reference, pairs: PreparedPair[], args: DPOConfig, steps: readonly number[]) {
  const engine = await model.load();
  const preference = dpoPreference(args);
  const runner = await MicroBatchRunner.create(engine, model, args, preference);
  const optimizer = await AdamW.create(engine, model, args);
  const schedule = learningRateSchedule(args.lr_scheduler_type, args.learning_rate, args.get_warmup_steps(args.max_steps), args.max_steps);
  const log: Record<string, number>[] = [];
  let tokens = 0;
  try {
    for (const step of steps) {
      const batch = [0, 1].map((i) => pairs[(2 * step + i) % pairs.length]!);
      const references = await reference.of(batch);
      const { loss, scores } = await runner.run(batch, references, { of: 1, index: 0, random: new Random(1) });
      tokens += batch.reduce((sum, { layout }) => sum + layout.attended, 0);
      const grad_norm = await optimizer.gradientNorm();
      const learning_rate = schedule.rate(step);
      await optimizer.step(learning_rate, Math.min(1, args.max_grad_norm / (grad_norm + 1e-6)));
      await reference.afterStep(step + 1);
      log.push({ loss, grad_norm, learning_rate, num_tokens: tokens, ...preference.metrics(batch, scores, references) });
    }
  } finally {
    await runner.dispose();
    await optimizer.dispose();
  }
  return log;
}

describe("against TRL", () => {
  it.each([
    ["a copy of the policy", false],
    ["a ref_model in an engine of its own", true],
  ])("a run whose reference starts as %s", async (_name, explicit) => {
    const variant = goldenVariants("train_dpo_full.json")["sync_ref"]!;
    const { optimizer: _adamw, ...config } = variant.config;
    const args = quiet(config as DPOConfigInput);
    const model = await newModel(() => AutoModelForCausalLM.from_pretrained(TINY));
    const ref_model = explicit ? await newModel(() => AutoModelForCausalLM.from_pretrained(TINY)) : undefined;
    const pairs = await preparedPairs(await goldenPairs(), model);
    // More than one group.
    const reference = movingReference(model, args, ref_model, 60_000);
    await reference.compute();
    const log = await train(model, reference, pairs, args, [0, 1, 2, 3, 4, 5]);
    const worst = differences(log, variant.steps);
    console.log(
      Object.entries(worst)
        .map(([key, value]) => `${key} ${value.toExponential(1)}`)
        .join(", "),
    );
    const tolerance: Record<string, number> = { learning_rate: 1e-12, grad_norm: 2e-4, num_tokens: 0, "rewards/accuracies": 0 };
    for (const [key, value] of Object.entries(worst)) expect(value, key).toBeLessThanOrEqual(tolerance[key] ?? 5e-4);
    expect(Object.keys(worst)).toContain("rewards/margins");
    const end = await referenceLogps(model, pairs);
    end.forEach(({ chosen, rejected }, i) => {
      expect(Math.abs(chosen - variant.final_logps.chosen[i]!)).toBeLessThan(1e-3);
      expect(Math.abs(rejected - variant.final_logps.rejected[i]!)).toBeLessThan(1e-3);
    });
    await reference.dispose();
  });
});

const SYNC = { sync_ref_model: true, ref_model_sync_steps: 2 } as const;

describe("moving the reference", () => {
  it.each([
    ["one block of the head", {}, "compiled"],
    ["the head in blocks, untied", { vocab_size: 17_000, tie_word_embeddings: false }, "compiled"],
    ["the head in blocks, eager", { vocab_size: 17_000 }, "eager"],
  ] as const)("alpha 1 makes it the policy, at the step and not before: %s", async (_name, shape, engineKind) => {
    const model = await smallModel(shape);
    models.push(model);
    await model.load(engineKind === "eager" ? { engine: "eager" } : { threads: 1 });
    const pairs = await preparedPairs(await goldenPairs(2), model);
    const start = await referenceLogps(model, pairs);
    const reference = movingReference(model, quiet({ ...SYNC, ref_model_mixup_alpha: 1, engine: engineKind }));
    await reference.compute();
    const engine = await model.load();
    for (const [name, shape] of model.trainable()) {
      const { data } = await engine.fetch(model.storeName(name));
      await engine.put(
        model.storeName(name),
        hostTensor(
          (data as Float32Array).map((value, i) => value * (i % 2 === 0 ? 1.2 : 0.8)),
          shape,
        ),
      );
    }
    await reference.afterStep(1);
    expect(await reference.of(pairs)).toEqual(start);
    await reference.afterStep(2);
    const policy = await referenceLogps(model, pairs);
    expect(Math.abs(policy[0]!.chosen - start[0]!.chosen)).toBeGreaterThan(0.1);
    expect(await reference.of(pairs)).toEqual(policy);
    const stored = engine.names("reference/");
    expect(stored).toEqual(expect.arrayContaining(reference.storedNames()));
    await reference.dispose();
    expect(engine.names("reference/")).toEqual([]);
  });

  it("continues from its saved weights as if it had not stopped", async () => {
    const args = quiet({
      ...SYNC,
      ref_model_mixup_alpha: 0.3,
      max_steps: 6,
      learning_rate: 0.01,
      lr_scheduler_type: "constant",
      ld_alpha: 0.5,
    });
    const run = async (interrupted: boolean) => {
      const model = await newModel(() => smallModel());
      const engine = await model.load();
      const pairs = await preparedPairs(await goldenPairs(4), model);
      let reference = movingReference(model, args);
      await reference.compute();
      await train(model, reference, pairs, args, [0, 1, 2]);
      if (interrupted) {
        const saved = new Map(await Promise.all(reference.storedNames().map(async (name) => [name, await engine.fetch(name)] as const)));
        await reference.dispose();
        reference = movingReference(model, args);
        await reference.compute();
        for (const [name, tensor] of saved) await engine.put(name, tensor);
      }
      // A fresh optimizer in both runs.
      return train(model, reference, pairs, args, [3, 4, 5]);
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("is refused where it has no weights of its own, or others", async () => {
    const model = await newModel(() => smallModel());
    const args = quiet(SYNC);
    const code = (make: () => unknown) => {
      try {
        make();
      } catch (error) {
        return error;
      }
      throw new Error("nothing was thrown");
    };
    const adapter = get_peft_model(model.base, smallLora());
    expect(code(() => movingReference(adapter, args))).toMatchObject({
      name: "ConfigError",
      code: "sync_ref_model",
      message:
        "DPOTrainer: sync_ref_model needs a model whose weights are trained whole, got a LoRA adapter; set sync_ref_model false or leave out peft_config",
    });
    const other = await newModel(() => smallModel({ intermediate_size: 32 }));
    expect(code(() => movingReference(model, args, other))).toMatchObject({
      code: "sync_ref_model",
      message: expect.stringMatching(
        /same tensors as the model, got model\.layers\.0\.mlp\.\w+\.weight of shape \[.*32.*\] instead of \[.*24.*\]/,
      ) as string,
    });
    const deeper = await newModel(() => smallModel({ num_hidden_layers: 3 }));
    expect(code(() => movingReference(model, args, deeper))).toMatchObject({
      message: expect.stringMatching(/got \d+ tensors instead of \d+/) as string,
    });
  });
});
