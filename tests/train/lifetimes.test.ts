/** One model through several trainers, texts and evaluations; what is left behind. */
import { readdirSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { CompiledEngine, tf } from "../../src/compile/index.js";
import { generateTokens } from "../../src/generate/index.js";
import { AutoModelForCausalLM, type CausalLM, PeftModel, type Qwen2ForCausalLM, get_peft_model } from "../../src/model/index.js";
import { type DPOConfigInput, DPOTrainer, type LogEntry } from "../../src/train/index.js";
import {
  goldenPairs,
  goldenTokenizer,
  largestDifference,
  newFolder,
  quiet,
  smallLora,
  smallModel,
  smallTrainer,
  trainedTensors,
} from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

function kept<M extends CausalLM>(model: M): M {
  models.push(model);
  return model;
}

/** Trains without freeing the model. */
async function train(
  model: CausalLM,
  args: DPOConfigInput = {},
  more: Partial<ConstructorParameters<typeof DPOTrainer>[0]> = {},
): Promise<DPOTrainer> {
  const options = {
    per_device_train_batch_size: 2,
    max_steps: 2,
    learning_rate: 0.02,
    lr_scheduler_type: "constant",
  } as const;
  const trainer = new DPOTrainer({
    model,
    args: quiet({ ...options, ...args }),
    train_dataset: await goldenPairs(4),
    processing_class: await goldenTokenizer(),
    ...more,
  });
  await trainer.train();
  return trainer;
}

const steps = ({ state }: DPOTrainer): LogEntry[] => state.log_history.filter((entry) => "loss" in entry);

async function text(model: CausalLM): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generateTokens(model, [458, 291, 494, 12], { max_new_tokens: 12, eos_token_id: null })) ids.push(id);
  return ids;
}

async function saved(model: CausalLM): Promise<string> {
  const folder = newFolder();
  await model.save_pretrained(folder);
  return folder;
}

const open = async (folder: string): Promise<Qwen2ForCausalLM> => kept(await AutoModelForCausalLM.from_pretrained(folder));

describe("one model, one thing after another", () => {
  it("texts before and after training are those of the weights at the time", async () => {
    const model = kept(await smallModel());
    const before = await text(model);
    await train(model);
    const after = await text(model);
    expect(after).not.toEqual(before);
    expect(await text(await open(await saved(model)))).toEqual(after);
    expect(await text(await open(model.name_or_path))).toEqual(before);
  });

  it("the same with an adapter; the base model keeps its text", async () => {
    const base = kept(await smallModel());
    const before = await text(base);
    const trainer = await train(base, {}, { peft_config: smallLora() });
    const after = await text(trainer.model);
    expect(after).not.toEqual(before);
    expect(await text(base)).toEqual(before);
    const loaded = await PeftModel.from_pretrained(base, await saved(trainer.model));
    expect(await text(loaded)).toEqual(after);
    expect(await text(await (trainer.model as PeftModel).merge_and_unload())).toEqual(after);
  });

  it("full weights, then an adapter: as if the model had been saved and loaded between", async () => {
    // In blocks, so that views and the stored mean of the head are met too.
    const model = kept(await smallModel({ vocab_size: 17_000 }));
    await train(model, { max_steps: 1 }, { peft_config: smallLora({ target_modules: ["v_proj"] }) });
    await train(model);
    const between = await open(await saved(model));
    const direct = await train(model, {}, { peft_config: smallLora() });
    const reloaded = await train(between, {}, { peft_config: smallLora() });
    expect(steps(direct)).toEqual(steps(reloaded));
    expect(largestDifference(await trainedTensors(direct.model), await trainedTensors(reloaded.model))).toBe(0);
  });

  it("an adapter trained further, merged, and full weights after it", async () => {
    const base = kept(await smallModel());
    const first = await train(base, {}, { peft_config: smallLora() });
    const folder = await saved(first.model);
    const direct = await train(first.model);
    const reloaded = await train(await PeftModel.from_pretrained(await open(base.name_or_path), folder));
    expect(steps(direct)).toEqual(steps(reloaded));
    expect(largestDifference(await trainedTensors(direct.model), await trainedTensors(reloaded.model))).toBe(0);

    const merged = await (direct.model as PeftModel).merge_and_unload();
    const again = await open(await saved(merged));
    expect(steps(await train(merged))).toEqual(steps(await train(again)));
  });

  it("two adapters on one base do not touch each other", async () => {
    const base = kept(await smallModel());
    const [one, two] = [get_peft_model(base, smallLora(), { seed: 1 }), get_peft_model(base, smallLora(), { seed: 1 })];
    const at = await base.load({ threads: 1 });
    await two.load();
    const untouched = await trainedTensors(two);
    await Promise.all([train(one), train(get_peft_model(base, smallLora(), { seed: 2 }), { seed: 2 })]);
    expect(largestDifference(await trainedTensors(two), untouched)).toBe(0);
    const alone = get_peft_model(kept(await smallModel()), smallLora(), { seed: 1 });
    await train(alone);
    expect(largestDifference(await trainedTensors(one), await trainedTensors(alone))).toBe(0);
    expect(at.names("gradient/").concat(at.names("adamw."))).toEqual([]);
  });

  it("train twice, at once, after dispose", async () => {
    const model = kept(await smallModel());
    const trainer = await train(model);
    await expect(trainer.train()).rejects.toMatchObject({ name: "ConfigError", code: "trained" });
    const [first, second] = [await smallTrainer({ model }), await smallTrainer({ model })];
    const running = first.train();
    await expect(second.train()).rejects.toMatchObject({ name: "ConfigError", code: "in_training" });
    await running;
    await second.train();
    await second.dispose();
    const unused = await smallTrainer({ model });
    await unused.dispose();
    for (const call of [() => second.save_model(), () => second.evaluate(), () => unused.train()]) {
      await expect(call()).rejects.toMatchObject({ name: "ConfigError", code: "disposed" });
    }
  });

  it("a fresh adapter is put upon an adapter, which stays as it is", async () => {
    const below = get_peft_model(kept(await smallModel()), smallLora());
    const trainer = await smallTrainer({ model: below, peft_config: smallLora({ r: 2 }), args: { max_steps: 1 } });
    const before = await trainedTensors(below);
    await trainer.train();
    expect(await trainedTensors(below)).toEqual(before);
    expect([...trainer.model.trainable().values()].every((shape) => shape.includes(2))).toBe(true);
  });

  it("a model without anything to train is refused", async () => {
    const model = get_peft_model(kept(await smallModel()), smallLora());
    model.set_requires_grad("default", false);
    await expect(smallTrainer({ model })).rejects.toMatchObject({ name: "ConfigError", code: "nothing_to_train" });
  });
});

describe("nothing is left", () => {
  it("in the store: gradients, means and adapters of finished work", async () => {
    const model = kept(await smallModel());
    const engine = await model.load({ threads: 1 });
    const before = engine.names();
    await train(model, { eval_strategy: "steps" }, { eval_dataset: await goldenPairs([8]) });
    expect(engine.names()).toEqual(before);
    const trainer = await train(model, {}, { peft_config: smallLora() });
    await trainer.model.dispose();
    expect(engine.names().filter((name) => !before.includes(name))).toEqual(["head.mean"]);
  });

  it.each(["compiled", "eager"] as const)("of tensors on the calling thread (%s)", async (engine) => {
    const counts: number[] = [];
    const callbacks = [{ on_step_end: () => void counts.push(tf.memory().numTensors) }];
    const before = tf.memory().numTensors;
    const trainer = await smallTrainer({
      model: kept(await smallModel()),
      eval_dataset: await goldenPairs([8]),
      callbacks,
      args: { engine, max_steps: 5, eval_strategy: "steps" },
    });
    await trainer.train();
    await trainer.evaluate();
    expect(new Set(counts).size).toBe(1);
    await trainer.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it("of memory: 800 steps", async () => {
    const model = kept(await smallModel());
    const rss: number[] = [];
    const callbacks = [
      {
        on_step_end: ({ global_step }: { global_step: number }) =>
          void (global_step % 200 === 0 && rss.push(process.memoryUsage().rss / 1e6)),
      },
    ];
    await train(model, { max_steps: 800, per_device_train_batch_size: 1 }, { callbacks });
    console.log(`resident after 200, 400, 600, 800 steps: ${rss.map((megabytes) => megabytes.toFixed(0)).join(", ")} MB`);
    expect(rss.at(-1)! - rss[0]!).toBeLessThan(30);
  });

  it.skipIf(process.platform !== "linux")("of threads (counted in /proc)", async () => {
    const threads = (): number => readdirSync("/proc/self/task").length;
    const once = async (): Promise<number> => {
      const trainer = await smallTrainer({ args: { threads: 2, max_steps: 1 } });
      await trainer.train();
      const during = threads();
      await trainer.dispose();
      return during;
    };
    await once();
    const before = threads();
    for (let i = 0; i < 3; i++) expect(await once()).toBeGreaterThan(before);
    expect(threads()).toBe(before);
  });

  it("when the model is freed in the middle: train() is rejected, once", async () => {
    const model = await smallModel();
    const trainer = await smallTrainer({ model, callbacks: [{ on_step_end: () => void model.dispose() }] });
    await expect(trainer.train()).rejects.toMatchObject({ name: "EngineError", code: expect.stringMatching(/disposed|aborted/) as string });
    await trainer.dispose();
  });

  it("when a callback fails: its error comes out and the model can be trained again", async () => {
    const model = kept(await smallModel());
    const engine = await model.load({ threads: 1 });
    const before = engine.names();
    const failing = { on_step_end: () => Promise.reject(new RangeError("from the callback")) };
    await expect(train(model, {}, { callbacks: [failing] })).rejects.toThrow(new RangeError("from the callback"));
    expect(engine.names()).toEqual(before);
    await train(model);
  });

  it("an engine of one's own serves as well", async () => {
    const engine = new CompiledEngine({ threads: 1 });
    const model = kept(await AutoModelForCausalLM.from_pretrained((await smallModel()).name_or_path, { engine }));
    await model.load();
    await train(model);
    expect(engine.has("model.norm.weight")).toBe(true);
  });
});
