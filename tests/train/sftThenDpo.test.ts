/**
 * From a LoRA trained with SFT to DPO, the three ways PEFT allows: merged, copied and frozen, stacked. Each starts at a loss of
 * ln 2 with margins of 0, and its reference is the SFT model.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  AutoModelForCausalLM,
  AutoPeftModelForCausalLM,
  type CausalLM,
  LoraConfig,
  PeftModel,
  type Qwen2ForCausalLM,
  get_peft_model,
} from "../../src/model/index.js";
import { DPOTrainer } from "../../src/train/index.js";
import { distance, tokenLogps } from "../model/goldenVariants.js";
import { GOLDEN, TINY, goldenPairs, goldenTokenizer, newFolder, quiet, trainedTensors } from "./tinyModel.js";

/** The golden adapter, naming its base model by a path that does not depend on where the tests run. */
const SFT = newFolder();
beforeAll(async () => {
  const golden = await PeftModel.from_pretrained(
    kept(await AutoModelForCausalLM.from_pretrained(TINY, { threads: 1 })),
    `${GOLDEN}/lora_init`,
  );
  await golden.save_pretrained(SFT);
  const file = join(SFT, "adapter_config.json");
  const config = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  expect(config["base_model_name_or_path"]).toBe("tiny-qwen2");
  writeFileSync(file, JSON.stringify({ ...config, base_model_name_or_path: resolve(TINY) }));
});
const opened: CausalLM[] = [];
afterEach(async () => {
  for (const model of opened.splice(0)) await model.base.dispose();
});
function kept<M extends CausalLM>(model: M): M {
  opened.push(model);
  return model;
}
const openBase = async (): Promise<Qwen2ForCausalLM> => kept(await AutoModelForCausalLM.from_pretrained(TINY, { threads: 1 }));
const fresh = (more: ConstructorParameters<typeof LoraConfig>[0] = {}): LoraConfig =>
  new LoraConfig({ r: 2, target_modules: ["k_proj", "v_proj", "down_proj"], ...more });

/** Two steps of DPO; checks the first against the SFT model's log-probs. */
async function train(model: CausalLM, sft: Step0, ref_model?: CausalLM): Promise<DPOTrainer> {
  const trainer = new DPOTrainer({
    model,
    ref_model,
    train_dataset: await goldenPairs(4),
    processing_class: await goldenTokenizer(),
    args: quiet({ per_device_train_batch_size: 4, max_steps: 2, learning_rate: 5e-3 }),
  });
  await trainer.train();
  const [first, second] = trainer.state.log_history;
  expect(first!["loss"]).toBeCloseTo(Math.log(2), 5);
  expect(first!["rewards/margins"]).toBeCloseTo(0, 4);
  expect(first!["logps/chosen"]).toBeCloseTo(sft["logps/chosen"], 3);
  expect(first!["logps/rejected"]).toBeCloseTo(sft["logps/rejected"], 3);
  // The reference stays while the policy moves: margin = beta (policy - reference).
  const margin = second!["logps/chosen"]! - sft["logps/chosen"] - (second!["logps/rejected"]! - sft["logps/rejected"]);
  expect(second!["rewards/margins"]).toBeCloseTo(0.1 * margin, 3);
  expect(Math.abs(second!["rewards/margins"]!)).toBeGreaterThan(1e-3);
  return trainer;
}

interface Step0 {
  "logps/chosen": number;
  "logps/rejected": number;
}

/** The SFT model's log-probs of the same pairs, from an evaluation of its own. */
async function sftLogps(): Promise<Step0> {
  const model = await PeftModel.from_pretrained(await openBase(), SFT);
  const trainer = new DPOTrainer({
    model,
    train_dataset: await goldenPairs(4),
    eval_dataset: await goldenPairs(4),
    processing_class: await goldenTokenizer(),
    args: quiet({ per_device_eval_batch_size: 4 }),
  });
  const entry = await trainer.evaluate();
  await trainer.dispose();
  return { "logps/chosen": entry["eval_logps/chosen"]!, "logps/rejected": entry["eval_logps/rejected"]! };
}

describe("SFT, then DPO with the SFT model as the reference", () => {
  test("merged", async () => {
    const sft = await sftLogps();
    const merged = await (await PeftModel.from_pretrained(await openBase(), SFT)).merge_and_unload();
    const before = await tokenLogps(merged);
    const trainer = await train(get_peft_model(merged, fresh()), sft);
    // The adapter was trained, the merged weights were not.
    expect(distance(await tokenLogps(merged), before)).toBe(0);
    expect(distance(await tokenLogps(trainer.model), before)).toBeGreaterThan(1e-2);
  });

  test("copied and frozen: the loaded adapter goes on", async () => {
    const sft = await sftLogps();
    const model = await PeftModel.from_pretrained(await openBase(), SFT, { is_trainable: true });
    const before = await trainedTensors(model);
    const trainer = await train(model, sft);
    expect(trainer.model).toBe(model);
    expect([...(await trainedTensors(model)).keys()]).toEqual([...before.keys()]);
    expect(model.files()).toBeUndefined();
  });

  test("stacked: a fresh adapter upon the frozen one", async () => {
    const sft = await sftLogps();
    const below = await PeftModel.from_pretrained(await openBase(), SFT);
    const sftBefore = await tokenLogps(below);
    const model = get_peft_model(below, fresh());
    expect(model.disable_adapter()).toBe(below);
    const trainer = await train(model, sft, below);
    const after = await tokenLogps(model);
    // The SFT adapter stayed as it was.
    expect(distance(await tokenLogps(below), sftBefore)).toBe(0);
    expect(distance(after, sftBefore)).toBeGreaterThan(1e-2);

    // Saved: the new adapter alone, which names the one beneath; one call loads both.
    const dir = newFolder();
    await trainer.save_model(dir);
    const config = JSON.parse(readFileSync(join(dir, "adapter_config.json"), "utf8")) as Record<string, unknown>;
    expect(config["base_model_name_or_path"]).toBe(SFT);
    expect(existsSync(join(dir, "beneath-1"))).toBe(false);
    const again = kept(await AutoPeftModelForCausalLM.from_pretrained(dir, { threads: 1 }));
    expect(again.disable_adapter()).toBeInstanceOf(PeftModel);
    expect(distance(await tokenLogps(again), after)).toBeLessThan(1e-5);
    expect(distance(await tokenLogps(await model.merge_and_unload()), after)).toBeLessThan(1e-4);
  });

  test("stacked by PEFT's verbs, with the reference taken from the policy before the first step", async () => {
    const sft = await sftLogps();
    const model = await PeftModel.from_pretrained(await openBase(), SFT, { is_trainable: false });
    const frozen = await tokenLogps(model);
    model.add_adapter("dpo", fresh({ use_dora: true }));
    expect(model.active_adapters).toEqual(["default"]);
    model.set_adapter(["default", "dpo"]);
    model.set_requires_grad("default", false);
    expect(model.peft_config.use_dora).toBe(true);
    expect(distance(await tokenLogps(model), frozen)).toBeLessThan(2e-5);
    await train(model, sft);
    const after = await tokenLogps(model);
    const dir = newFolder();
    await model.save_pretrained(dir);
    // The trained one alone, in the sub-folder of its name, as PEFT has it.
    expect(existsSync(join(dir, "adapter_config.json"))).toBe(false);
    const again = await PeftModel.from_pretrained(await openBase(), SFT);
    await again.load_adapter(join(dir, "dpo"), "dpo");
    again.set_adapter(["default", "dpo"], { inference_mode: true });
    expect(again.trainable().size).toBe(0);
    expect(distance(await tokenLogps(again), after)).toBeLessThan(1e-5);
    model.set_adapter("default");
    expect(distance(await tokenLogps(model), frozen)).toBe(0);
  });
});
