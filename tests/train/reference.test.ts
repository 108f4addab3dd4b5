/** The reference: whose log-probs they are, when they are computed, and their cache. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AutoModelForCausalLM, type CausalLM, PeftModel, get_peft_model } from "../../src/model/index.js";
import { type DPOConfigInput, DPOTrainer, type LogEntry } from "../../src/train/index.js";
import { preparedPairs, referenceLogps } from "./microBatches.js";
import {
  type TrainerInput,
  goldenPairs,
  goldenTokenizer,
  newFolder,
  quiet,
  smallLora,
  smallModel,
  withTrainer,
  writeModel,
} from "./tinyModel.js";

/** Runs one trainer. @returns how many reference log-probs were computed, and the log */
async function run({ args, ...input }: TrainerInput): Promise<{ computed: number; log: LogEntry[] }> {
  let computed = 0;
  return withTrainer({ ...input, callbacks: [{ on_reference: () => void computed++ }], args }, async (trainer) => {
    await trainer.train();
    return { computed, log: trainer.state.log_history.slice(0, -1) };
  });
}

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

describe("whose log-probs", () => {
  it("only the rows that the run meets are computed", async () => {
    const train_dataset = await goldenPairs();
    expect((await run({ train_dataset, args: { max_steps: 3 } })).computed).toBe(6);
    expect((await run({ train_dataset, args: { max_steps: 9 } })).computed).toBe(16);
    expect((await run({ train_dataset, eval_dataset: await goldenPairs([1, 2]), args: { max_steps: 1 } })).computed).toBe(4);
  });

  it("of another model, given as ref_model, even of another shape", async () => {
    const ref_model = await smallModel({ hidden_size: 24, num_attention_heads: 1, num_hidden_layers: 1, rope_theta: 500 });
    models.push(ref_model);
    const model = await smallModel();
    const pairs = await preparedPairs(await goldenPairs(2), model);
    const [policy, reference] = [await referenceLogps(model, pairs), await referenceLogps(ref_model, pairs)];
    const { log } = await run({ model, ref_model, train_dataset: await goldenPairs(2), args: { max_steps: 1, beta: 0.1 } });
    const chosen = policy.map(({ chosen }, i) => 0.1 * (chosen - reference[i]!.chosen));
    expect(log[0]!["rewards/chosen"]).toBeCloseTo((chosen[0]! + chosen[1]!) / 2, 4);
    expect(Math.abs(log[0]!["rewards/chosen"]!)).toBeGreaterThan(0.1);
  });

  it("a ref_model with a smaller vocabulary than the tokenizer needs is refused", async () => {
    const [model, ref_model] = [await smallModel(), await smallModel({ vocab_size: 300 })];
    await expect(run({ model, ref_model })).rejects.toMatchObject({ name: "ConfigError", code: "vocabulary" });
  });

  it("a loaded adapter is its own reference; a second trainer's is what the first one left", async () => {
    const base = await smallModel();
    models.push(base);
    const adapter = get_peft_model(base, smallLora());
    const folder = newFolder();
    const first = await runOn(adapter, { learning_rate: 0.02 });
    expect(Math.abs(first.at(-1)!["rewards/margins"]!)).toBeGreaterThan(1e-3);
    await adapter.save_pretrained(folder);
    const loaded = await PeftModel.from_pretrained(base, folder);
    for (const model of [adapter, loaded]) {
      const [start] = await runOn(model, { learning_rate: 0 });
      expect(start!["loss"]).toBeCloseTo(Math.log(2), 6);
      expect(start!["rewards/margins"]).toBeCloseTo(0, 5);
    }
    // Against the base model it is the first run's last state that shows.
    const [against] = await runOn(loaded, { learning_rate: 0 }, await AutoModelForCausalLM.from_pretrained(base.name_or_path));
    expect(Math.abs(against!["rewards/margins"]!)).toBeGreaterThan(1e-3);
  });

  /** Without freeing the model. */
  async function runOn(model: CausalLM, args: DPOConfigInput, ref_model?: CausalLM): Promise<LogEntry[]> {
    const options = { per_device_train_batch_size: 2, max_steps: 3, lr_scheduler_type: "constant", ...args } as const;
    const trainer = new DPOTrainer({
      model,
      ref_model,
      args: quiet(options),
      train_dataset: await goldenPairs(2),
      processing_class: await goldenTokenizer(),
    });
    await trainer.train();
    if (ref_model !== undefined) await ref_model.dispose();
    return trainer.state.log_history.slice(0, -1);
  }

  it("NaN weights are found in the reference, with the row, and never cached", async () => {
    const cache = newFolder();
    vi.stubEnv("PREFLAB_CACHE", cache);
    const broken = await writeModel({}, (name, values) => {
      if (name === "model.layers.1.mlp.up_proj.weight") values[3] = NaN;
    });
    const model = await AutoModelForCausalLM.from_pretrained(broken);
    await expect(run({ model, args: { precompute_ref_log_probs: true } })).rejects.toMatchObject({
      name: "EngineError",
      code: "reference_not_finite",
      message: expect.stringMatching(/must be finite, got NaN.*pairs\.jsonl row 0.*NaN or infinite weights/) as string,
    });
    expect(() => readdirSync(join(cache, "reference"))).toThrow("ENOENT");
    vi.unstubAllEnvs();
  });
});

describe("the cache", () => {
  let cache: string;
  let dir: string;
  beforeEach(async () => {
    cache = newFolder();
    dir = await writeModel();
    vi.stubEnv("PREFLAB_CACHE", cache);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  const entries = (): string[] => readdirSync(join(cache, "reference")).map((name) => join(cache, "reference", name));
  const cached = async (input: TrainerInput = {}, from = dir): Promise<{ computed: number; log: LogEntry[] }> =>
    run({
      ...input,
      model: await AutoModelForCausalLM.from_pretrained(from),
      args: { max_steps: 1, ...input.args, precompute_ref_log_probs: true },
    });

  it("serves later runs of the same model and rows, also from other folders and under an adapter", async () => {
    const first = await cached();
    expect(first.computed).toBe(4);
    expect((await cached({ args: { beta: 0.5 } })).computed).toBe(0);
    expect((await cached({ peft_config: smallLora() })).computed).toBe(0);
    expect((await cached({}, await writeModel())).computed).toBe(0);
    expect(entries().length).toBe(1);
    expect((await cached()).log).toEqual(first.log);
    const uncached = await run({ model: await AutoModelForCausalLM.from_pretrained(dir), args: { max_steps: 1 } });
    expect(uncached.log).toEqual(first.log);
  });

  it("is not used for other rows, weights, shapes or adapters", async () => {
    await cached();
    expect((await cached({ train_dataset: await goldenPairs([3, 2, 1, 0]) })).computed).toBe(4);
    expect((await cached({ args: { max_length: 12 } })).computed).toBe(4);
    // LD-DPO weighs the reference's tokens too.
    expect((await cached({ args: { ld_alpha: 0.5 } })).computed).toBe(4);
    expect((await cached({ args: { ld_alpha: 0.5 } })).computed).toBe(0);
    expect((await cached({}, await writeModel({ rope_theta: 20_000 }))).computed).toBe(4);
    const changed = await writeModel({}, (name, values) => void (name === "model.norm.weight" && (values[0] = 1.5)));
    expect((await cached({}, changed)).computed).toBe(4);

    const base = await AutoModelForCausalLM.from_pretrained(dir);
    models.push(base);
    const folder = newFolder();
    await get_peft_model(base, smallLora({ lora_alpha: 8 })).save_pretrained(folder);
    const withAlpha = async (lora_alpha: number): Promise<number> => {
      const file = join(folder, "adapter_config.json");
      writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), lora_alpha }));
      const model = await PeftModel.from_pretrained(await AutoModelForCausalLM.from_pretrained(dir), folder);
      return (await run({ model, args: { max_steps: 1, precompute_ref_log_probs: true } })).computed;
    };
    expect([await withAlpha(8), await withAlpha(8), await withAlpha(16)]).toEqual([4, 0, 4]);
  });

  it("a model that was trained since is computed anew", async () => {
    const base = await AutoModelForCausalLM.from_pretrained(dir);
    const counts: number[] = [];
    for (let round = 0; round < 2; round++) {
      let computed = 0;
      const args = quiet({ max_steps: 1, precompute_ref_log_probs: true, learning_rate: 0.01 });
      const callbacks = [{ on_reference: () => void computed++ }];
      const trainer = new DPOTrainer({
        model: base,
        args,
        callbacks,
        train_dataset: await goldenPairs(2),
        processing_class: await goldenTokenizer(),
      });
      await trainer.train();
      expect(trainer.state.log_history[0]!["loss"]).toBeCloseTo(Math.log(2), 5);
      counts.push(computed);
    }
    await base.dispose();
    expect(counts).toEqual([2, 2]);
    expect(entries().length).toBe(1);
  });

  it.each(["", "[", "[null, null, null, null]", "[{}]", '[{"chosen":null,"rejected":1},{},{},{}]', '{"length":4}'])(
    "a damaged entry is computed again: %j",
    async (text) => {
      const good = await cached();
      const [file] = entries();
      const whole = readFileSync(file!, "utf8");
      writeFileSync(file!, text);
      const again = await cached();
      expect(again.computed).toBe(4);
      expect(again.log).toEqual(good.log);
      expect(readFileSync(file!, "utf8")).toBe(whole);
    },
  );

  it("a place that cannot be written to costs a warning, not the run", async () => {
    writeFileSync(cache, "a file");
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    expect((await cached()).computed).toBe(4);
    const told = warn.mock.calls.map(String);
    expect(told).toContainEqual(expect.stringMatching(/reference log-probs are not cached: .*set PREFLAB_CACHE/));
    expect(told).toContainEqual(expect.stringMatching(/programs are not kept for later runs: .*set PREFLAB_CACHE/));
    expect(told).toHaveLength(2);
  });
});
