/** Gradients against two oracles: the plain model (autodiff of whole logits, one causal sequence a side) and central differences. */
import { afterEach, describe, expect, it } from "vitest";
import { hostTensor } from "../../src/compile/index.js";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { DPO_LOSSES, type DPOConfigInput } from "../../src/train/index.js";
import { scorePairs } from "../../src/train/dpo/pairBatch.js";
import { scoringProgram } from "../../src/train/dpo/pairProgram.js";
import { blocksOf } from "../../src/train/sequence/blocks.js";
import { type Gradients, gradientsOf, preparedPairs } from "./microBatches.js";
import { plainGradients } from "./plainModel.js";
import { EVERY_PROJECTION, goldenPairs, largestDifference, smallLora, smallModel } from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

/** A small model; with `lora` behind an adapter on every projection whose B is not zero. */
async function newModel(kind: "full" | "lora", shape: Parameters<typeof smallModel>[0] = {}): Promise<CausalLM> {
  const base = await smallModel(shape);
  const model = kind === "full" ? base : get_peft_model(base, smallLora());
  models.push(model);
  return model;
}

/** Loads the model and gives a fresh adapter's B numbers. */
async function fill(model: CausalLM, engine?: "eager"): Promise<void> {
  const store = await model.load({ engine, threads: engine === undefined ? 1 : null });
  for (const [name, shape] of model.trainable()) {
    if (!name.endsWith(".lora_B.weight")) continue;
    const random = new Random(11).fork(name);
    await store.put(
      model.storeName(name),
      hostTensor(
        Float32Array.from({ length: shape[0]! * shape[1]! }, () => 0.2 * random.normal()),
        shape,
      ),
    );
  }
}

const FIXED = [
  { chosen: -60, rejected: -75 },
  { chosen: -90, rejected: -70 },
  { chosen: -80, rejected: -80 },
];

async function withPlain(
  model: CausalLM,
  options: DPOConfigInput = {},
  rows = [0, 6, 13],
): Promise<{ result: Gradients; relative: number }> {
  await fill(model, options.engine === "eager" ? "eager" : undefined);
  const pairs = await preparedPairs(await goldenPairs(rows), model, options);
  const references = FIXED.slice(0, pairs.length);
  const plain = await plainGradients(model, pairs, references, DPO_LOSSES.sigmoid, 0.1);
  const result = await gradientsOf(model, pairs, references, options);
  result.scores.forEach(({ chosenLogps, rejectedLogps }, i) => {
    expect(Math.abs(chosenLogps - plain.chosen[i]!), `chosen ${i}`).toBeLessThan(1e-4);
    expect(Math.abs(rejectedLogps - plain.rejected[i]!), `rejected ${i}`).toBeLessThan(1e-4);
  });
  expect(Math.abs(result.loss - plain.loss)).toBeLessThan(1e-5);
  expect(
    Math.hypot(...[...plain.gradients.values()].map((values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)))),
  ).toBeGreaterThan(0.1);
  return { result, relative: largestDifference(result.gradients, plain.gradients) / result.norm };
}

// More than two blocks of the head.
const BLOCKS = { vocab_size: 17_000 };
const SHAPES = { "tied head": {}, "tied head in blocks": BLOCKS, "untied head in blocks": { ...BLOCKS, tie_word_embeddings: false } };
const CASES = Object.entries(SHAPES).flatMap(([name, shape]) =>
  (["full", "lora"] as const).flatMap((kind) => (["compiled", "eager"] as const).map((engine) => ({ name, shape, kind, engine }))),
);
// Eagerly, the gradient of an embedding visits the vocabulary row by row: such a case takes seconds, so there is one, on one pair.
const slow = ({ name, kind, engine }: (typeof CASES)[number]): boolean => name.endsWith("blocks") && kind === "full" && engine === "eager";

describe("gradients equal those of two plain sequences with whole logits", () => {
  it.each(CASES.filter((item) => !slow(item) || item.name.startsWith("untied")))("$name, $kind, $engine", async (item) => {
    const model = await newModel(item.kind, item.shape);
    expect(model.base.headBlocks().length).toBe("vocab_size" in item.shape ? 3 : 0);
    const { relative } = await withPlain(model, item.engine === "eager" ? { engine: "eager" } : {}, slow(item) ? [6] : [0, 6, 13]);
    expect(relative).toBeLessThan(5e-6);
  });

  it("when truncation gives the two sides different prompts, which cannot be shared", async () => {
    const model = await newModel("full");
    const options = { max_length: 12, truncation_mode: "keep_end" } as const;
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model, options);
    expect(pairs.some(({ layout }) => layout.segments.includes(3))).toBe(true);
    expect((await withPlain(model, options)).relative).toBeLessThan(5e-6);
  });
});

describe("LoRA on all seven projections", () => {
  it("every matrix's gradient equals central differences", async () => {
    const model = await newModel("lora");
    await fill(model);
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const { gradients } = await gradientsOf(model, pairs, FIXED);
    expect(gradients.size).toBe(2 * 2 * EVERY_PROJECTION.length);
    const store = await model.load();
    const program = scoringProgram(store, model);
    const lossAt = async (): Promise<number> => {
      const scores = await scorePairs(program, pairs, { config: model.config, tokens_per_run: 0 });
      const losses = scores.map(({ chosenLogps, rejectedLogps }, i) =>
        Math.log1p(Math.exp(-0.1 * (chosenLogps - FIXED[i]!.chosen - rejectedLogps + FIXED[i]!.rejected))),
      );
      return losses.reduce((sum, loss) => sum + loss / losses.length, 0);
    };
    for (const [name, gradient] of gradients) {
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
      expect(norm, name).toBeGreaterThan(1e-3);
      // Along the gradient the loss changes by norm · step; about 4e-3 is far above rounding and still nearly linear.
      const step = Math.min(2e-3 / norm, 0.02);
      const { data, shape } = await store.fetch(model.storeName(name));
      const moved = async (by: number): Promise<number> => {
        await store.put(
          model.storeName(name),
          hostTensor(
            (data as Float32Array).map((value, i) => value + (by * gradient[i]!) / norm),
            shape,
          ),
        );
        return lossAt();
      };
      const difference = ((await moved(step)) - (await moved(-step))) / (2 * step);
      await store.put(model.storeName(name), hostTensor(data.slice(), shape));
      expect(Math.abs(difference / norm - 1), name).toBeLessThan(0.02);
    }
  });
});

describe("accumulation and padding", () => {
  it("one batch of 4 and 4 batches of 1 have the same gradient, also 2 of 2", async () => {
    const model = await newModel("full");
    const pairs = await preparedPairs(await goldenPairs(4), model);
    const references = [...FIXED, FIXED[0]!];
    const whole = await gradientsOf(model, pairs, references, {}, [4]);
    for (const sizes of [
      [1, 1, 1, 1],
      [2, 2],
    ]) {
      const parts = await gradientsOf(model, pairs, references, {}, sizes);
      expect(largestDifference(parts.gradients, whole.gradients) / whole.norm).toBeLessThan(1e-6);
      expect(Math.abs(parts.loss - whole.loss)).toBeLessThan(1e-6);
    }
  });

  it("unequal micro-batches weigh each micro-batch alike, as TRL", async () => {
    const model = await newModel("full");
    const pairs = await preparedPairs(await goldenPairs(3), model);
    const joined = await gradientsOf(model, pairs, FIXED, {}, [2, 1]);
    const first = await gradientsOf(model, pairs.slice(0, 2), FIXED);
    const second = await gradientsOf(model, pairs.slice(2), FIXED.slice(2));
    const mean = new Map(
      [...first.gradients].map(([name, values]) => [name, values.map((value, i) => (value + second.gradients.get(name)![i]!) / 2)]),
    );
    expect(largestDifference(joined.gradients, mean) / joined.norm).toBeLessThan(1e-6);
  });

  it.each(["full", "lora"] as const)("blocks and a mask over all tokens give the same gradients (%s)", async (kind) => {
    const model = await newModel(kind);
    const blocks = await preparedPairs(await goldenPairs(), model);
    const references = Array.from({ length: 16 }, (_, i) => FIXED[i % 3]!);
    expect(blocks.every(({ layout }) => blocksOf(layout) !== undefined)).toBe(true);
    // A first segment that continues an absent one sees the same, and is taken for something else than blocks.
    const masked = blocks.map(({ layout, origin }) => {
      const parents = layout.parents.map((parent) => (parent === -1 ? -9 : parent));
      return { origin, layout: { ...layout, parents } };
    });
    expect(masked.some(({ layout }) => blocksOf(layout) !== undefined)).toBe(false);
    const [first, second] = [await gradientsOf(model, blocks, references), await gradientsOf(model, masked, references)];
    expect(largestDifference(first.gradients, second.gradients) / first.norm).toBeLessThan(1e-6);
    expect(Math.abs(first.loss - second.loss)).toBeLessThan(1e-6);
  });
});
