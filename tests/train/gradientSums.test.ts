/** How a step's gradients are summed: anew at its first row, and over the head's blocks and the embedding's rows where the vocabulary is large. */
import { expect, it } from "vitest";
import { Random } from "../../src/random.js";
import { MicroBatchRunner } from "../../src/train/dpo/microBatch.js";
import { dpoPreference } from "../../src/train/dpo/preference.js";
import { AdamW } from "../../src/train/optimizer/adamw.js";
import { headSums } from "../../src/train/optimizer/gradientSums.js";
import { preparedPairs } from "./microBatches.js";
import { goldenPairs, quiet, smallModel, storedGradients } from "./tinyModel.js";

it.each([
  { name: "tied head", shape: {}, blocks: 0 },
  { name: "tied head in blocks", shape: { vocab_size: 17_000 }, blocks: 3 },
  { name: "untied head in blocks", shape: { vocab_size: 17_000, tie_word_embeddings: false }, blocks: 3 },
])("two halves of a step make the whole, whatever was summed before: $name", async ({ shape, blocks }) => {
  const model = await smallModel(shape);
  const engine = await model.load({ threads: 1 });
  const before = engine.names();
  const args = quiet({ per_device_train_batch_size: 1 });
  const optimizer = await AdamW.create(engine, model, args);
  const runner = await MicroBatchRunner.create(engine, model, args, dpoPreference(args));
  const pairs = await preparedPairs(await goldenPairs([6]), model);
  const run = (of: number, index: number): Promise<unknown> =>
    runner.run(pairs, [{ chosen: -60, rejected: -75 }], { of, index, random: new Random(0) });
  expect(headSums(model).length).toBe(blocks);
  try {
    await run(1, 0);
    const whole = await storedGradients(model);
    expect([...whole.values()].every((values) => values.some((value) => value !== 0))).toBe(true);
    // A half is exact, so these are equal bit by bit.
    await run(2, 0);
    const half = await storedGradients(model);
    for (const [name, values] of whole) expect(half.get(name), name).toEqual(values.map((value) => value / 2));
    await run(2, 1);
    const sum = await storedGradients(model);
    // The rows of an embedding are added one after the other, so here the order of rounding differs.
    const largest = Math.max(...[...whole.values()].map((values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
    for (const [name, values] of whole) {
      const away = values.reduce((most, value, i) => Math.max(most, Math.abs(value - sum.get(name)![i]!)), 0);
      expect(away / largest, name).toBeLessThan(1e-6);
    }
  } finally {
    await runner.dispose();
    await optimizer.dispose();
  }
  expect(engine.names()).toEqual(before);
  await model.dispose();
});
