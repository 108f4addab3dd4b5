/** Training a head that belongs to an adapter, also where it is read in blocks. */
import { afterEach, expect, test } from "vitest";
import { type CausalLM, LoraConfig, get_peft_model } from "../../src/model/index.js";
import { headIsFrozen } from "../../src/train/optimizer/gradientSums.js";
import { DPOTrainer } from "../../src/train/index.js";
import { distance, tokenLogps } from "../model/goldenVariants.js";
import { goldenPairs, goldenTokenizer, quiet, smallModel, trainedTensors } from "./tinyModel.js";

const opened: CausalLM[] = [];
afterEach(async () => {
  for (const model of opened.splice(0)) await model.base.dispose();
});

test.each([
  ["untied by the adapter", { modules_to_save: ["lm_head"] }, "lm_head.weight"],
  ["kept tied", { modules_to_save: ["embed_tokens"], ensure_weight_tying: true }, "model.embed_tokens.weight"],
] as const)("a head in blocks, %s", async (_name, { modules_to_save, ...more }, head) => {
  const base = await smallModel({ vocab_size: 16_400 });
  opened.push(base);
  expect(base.headBlocks()).toHaveLength(3);
  const model = get_peft_model(base, new LoraConfig({ r: 2, ...more, modules_to_save: [...modules_to_save] }));
  expect(headIsFrozen(model)).toBe(false);
  const ids = [700, 17, 203, 5, 88, 350, 41];
  const before = await tokenLogps(base, ids);
  expect(distance(await tokenLogps(model, ids), before)).toBeLessThan(2e-5);
  const start = await trainedTensors(model);
  const trainer = new DPOTrainer({
    model,
    train_dataset: await goldenPairs(2),
    processing_class: await goldenTokenizer(),
    args: quiet({ per_device_train_batch_size: 2, max_steps: 2, learning_rate: 1e-2 }),
  });
  await trainer.train();
  const [first, second] = trainer.state.log_history;
  expect(first!["loss"]).toBeCloseTo(Math.log(2), 5);
  expect(second!["loss"]).toBeLessThan(first!["loss"]!);
  // Tokens of the pairs move in the head: rows of its first block, and by the softmax all others.
  const [was, is] = [start.get(head)!, (await trainedTensors(model)).get(head)!];
  for (const row of [0, 8192, 16_399])
    expect(distance(was.subarray(row * 16, row * 16 + 16), is.subarray(row * 16, row * 16 + 16))).toBeGreaterThan(0);
  // The base model's head is its own.
  expect(distance(await tokenLogps(base, ids), before)).toBe(0);
  const after = await tokenLogps(model, ids);
  expect(distance(after, before)).toBeGreaterThan(1e-2);
  expect(distance(await tokenLogps(await model.merge_and_unload(), ids), after)).toBeLessThan(1e-4);
});
