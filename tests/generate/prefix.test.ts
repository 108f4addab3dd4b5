/** What was read once is not read again, and never outlives the weights it was read with. */
import { afterAll, beforeAll, expect, it } from "vitest";
import "../../src/generate/index.js";
import { CompiledEngine, EagerEngine, type Engine, hostTensor } from "../../src/compile/index.js";
import {
  AutoModelForCausalLM,
  AutoPeftModelForCausalLM,
  LoraConfig,
  type Qwen2ForCausalLM,
  get_peft_model,
} from "../../src/model/index.js";
import { smallSft } from "../train/sftTexts.js";
import { newFolder, smallLora, smallModel } from "../train/tinyModel.js";

const TINY = "tests/golden/tiny-qwen2";
const ids = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + seed * 101) % 700);

/** Notes how many tokens each run of a decoder's programs reads. */
function counting(engine: Engine): { engine: Engine; runs: number[] } {
  const runs: number[] = [];
  const compile = engine.compile.bind(engine);
  engine.compile = (fn, signature, options) => {
    const program = compile(fn, signature, options);
    const run = program.run.bind(program);
    program.run = (inputs, runOptions) => {
      if (inputs["ids"] !== undefined) runs.push(inputs["ids"].data.length);
      return run(inputs, runOptions);
    };
    return program;
  };
  return { engine, runs };
}

let fresh: Qwen2ForCausalLM;
beforeAll(async () => void (fresh = await AutoModelForCausalLM.from_pretrained(TINY, { threads: 1 })));
afterAll(() => fresh.dispose());
const greedy = { max_new_tokens: 5, eos_token_id: null } as const;

it.each(["compiled", "eager"] as const)("a chat's next turn reads what is new alone, engine %s", async (kind) => {
  const { engine, runs } = counting(kind === "compiled" ? new CompiledEngine({ threads: 1 }) : new EagerEngine("cpu"));
  const model = await AutoModelForCausalLM.from_pretrained(TINY, { engine });
  const first = await model.generate(ids(20, 0), greedy);
  expect(runs).toEqual([20, 1, 1, 1, 1]);
  runs.length = 0;
  const turn = [...first, ...ids(7, 1)];
  const second = await model.generate(turn, greedy);
  // The last token of the answer was chosen and not read.
  expect(runs).toEqual([8, 1, 1, 1, 1]);
  expect(second).toEqual(await fresh.generate(turn, greedy));
  runs.length = 0;
  // The same prompt once more: its last token is read again, for the logits behind it.
  expect(await model.generate(turn, greedy)).toEqual(second);
  expect(runs).toEqual([1, 1, 1, 1, 1]);
  await model.dispose();
  await engine.dispose();
});

it("prompts with a common beginning read it once, also at once and beyond the size of a cache", async () => {
  const { engine, runs } = counting(new CompiledEngine({ threads: 1 }));
  const model = await AutoModelForCausalLM.from_pretrained(TINY, { engine });
  const system = ids(250, 3);
  const prompts = [1, 2, 3].map((seed) => [...system, ...ids(4 + seed, 10 + seed)]);
  const texts = await model.generate(prompts, greedy);
  // Three prompts, then four lanes a token: a power of two.
  expect(runs).toEqual([255, 6, 7, 4, 4, 4, 4]);
  for (const [i, prompt] of prompts.entries()) expect(texts[i]).toEqual(await fresh.generate(prompt, greedy));
  // Longer than any cache that is there: its rows are copied to a larger one.
  const long = [...texts[0]!, ...ids(100, 4)];
  runs.length = 0;
  expect(await model.generate(long, greedy)).toEqual(await fresh.generate(long, greedy));
  expect(runs[0]).toBe(101);
  // Few caches are kept.
  for (let seed = 20; seed < 30; seed++) await model.generate(ids(3, seed), { max_new_tokens: 1 });
  expect(new Set(engine.names("cache.").map((name) => name.split("/")[0])).size).toBe(4);
  await model.dispose();
  await engine.dispose();
});

it("a prompt is read in portions of 256 tokens", async () => {
  const { engine, runs } = counting(new CompiledEngine({ threads: 1 }));
  const model = await AutoModelForCausalLM.from_pretrained(TINY, { engine });
  Object.assign(model.config, { max_position_embeddings: 1200 });
  Object.assign(fresh.config, { max_position_embeddings: 1200 });
  const prompt = ids(1100, 0);
  const all = await model.generate(prompt, greedy);
  expect(runs).toEqual([256, 256, 256, 256, 76, 1, 1, 1, 1]);
  // The same text by single tokens from its 500th on.
  const short = await fresh.generate(prompt.slice(0, 500), { ...greedy, max_new_tokens: 1 });
  expect(short).toHaveLength(501);
  expect(await fresh.generate(prompt, greedy)).toEqual(all);
  await model.dispose();
  await engine.dispose();
});

it.each(["all weights", "all weights, one by one and a head in blocks", "a lora"])(
  "after a training step of %s the new weights speak",
  async (kind) => {
    const base = await smallModel(kind.endsWith("blocks") ? { vocab_size: 17_000, hidden_size: 64, intermediate_size: 64 } : {});
    const trainer = await smallSft({
      model: base,
      args: { learning_rate: 0.05, max_steps: 1 },
      ...(kind === "a lora" ? { peft_config: smallLora() } : {}),
    });
    const { model } = trainer;
    const prompt = ids(40, 5);
    const engine = await model.load();
    const version = () => engine.version(Object.entries(model.signature()).map(([name, { store = name }]) => store));
    const [before, old] = [await model.generate(prompt, greedy), version()];
    expect(version()).toBe(old);
    await trainer.train();
    expect(version()).toBeGreaterThan(old);
    const after = await model.generate(prompt, greedy);
    expect(after).not.toEqual(before);
    // What a model without any cache says with these weights.
    const dir = newFolder();
    await model.save_pretrained(dir);
    const other = kind === "a lora" ? await AutoPeftModelForCausalLM.from_pretrained(dir) : await AutoModelForCausalLM.from_pretrained(dir);
    expect(await other.generate(prompt, greedy)).toEqual(after);
    await other.dispose();
    await trainer.dispose();
  },
);

it("after any change of a weight the new weights speak", async () => {
  const trainer = await smallSft({ args: { learning_rate: 0.05 } });
  const { model } = trainer;
  const prompt = ids(40, 5);
  await trainer.train();
  const after = await model.generate(prompt, greedy);
  const engine = await model.load();
  const name = [...model.trainable().keys()].find((candidate) => candidate.endsWith("layers.0.mlp.down_proj.weight"))!;
  const stored = model.storeName(name);
  // All rows of the cache are there. Had they been read with other weights than the present ones, an unchanged put would not matter.
  const weight = await engine.fetch(stored);
  await engine.put(stored, hostTensor(Float32Array.from(weight.data), weight.shape));
  expect(await model.generate(prompt, greedy)).toEqual(after);
  await engine.put(
    stored,
    hostTensor(
      Float32Array.from(weight.data, (value) => -3 * value),
      weight.shape,
    ),
  );
  expect(await model.generate(prompt, greedy)).not.toEqual(after);
  await trainer.dispose();
});

it("an adapter that is changed, or is another one, does not answer from the old one's cache", async () => {
  const base = await AutoModelForCausalLM.from_pretrained(TINY, { threads: 1 });
  const prompt = ids(30, 2);
  const plain = await base.generate(prompt, greedy);
  const tuned = get_peft_model(base, new LoraConfig({ r: 4 }));
  expect(await tuned.generate(prompt, greedy)).toEqual(plain);
  const engine = await tuned.load();
  for (const name of tuned.trainable().keys()) {
    const { data, shape } = await engine.fetch(tuned.storeName(name));
    await engine.put(
      tuned.storeName(name),
      hostTensor(
        Float32Array.from(data, (_, i) => Math.sin(i)),
        shape,
      ),
    );
  }
  const changed = await tuned.generate(prompt, greedy);
  expect(changed).not.toEqual(plain);
  expect(await tuned.generate(prompt, greedy)).toEqual(changed);
  expect(await base.generate(prompt, greedy)).toEqual(plain);
  await base.dispose();
});
