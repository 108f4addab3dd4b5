/** SFT beyond the golden numbers: what must be equal to what, and what is drawn at random. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { tf } from "../../src/compile/index.js";
import { Dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM, type Qwen2ForCausalLM, get_peft_model } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { IGNORED_LABEL } from "../../src/text/index.js";
import type { LogEntry, SFTConfigInput } from "../../src/train/index.js";
import { embeddingNoise } from "../../src/train/sequence/embeddingNoise.js";
import { layoutText } from "../../src/train/sequence/textLayout.js";
import { type SftInput, goldenTexts, labelLogps, preparedTexts, smallSft, textGradients, withSft } from "./sftTexts.js";
import { largestDifference, newFolder, smallLora, smallModel, trainedTensors, writeModel } from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});
async function model(): Promise<CausalLM> {
  models.push(await smallModel());
  return models.at(-1)!;
}

describe("layout", () => {
  it("each segment counts from 0, and its first token is not predicted", () => {
    expect(layoutText([5, 6, 7, 8, 9], [5, 6, IGNORED_LABEL, 8, 9], [2, 3])).toEqual({
      ids: [5, 6, 7, 8, 9],
      positions: [0, 1, 0, 1, 2],
      segments: [0, 0, 1, 1, 1],
      parents: [-1, -1, -1, -1, -1],
      sources: [0, 2, 3],
      targets: [6, 8, 9],
    });
  });
});

describe("the gradient of a step", () => {
  it("does not depend on how its rows are cut into micro-batches", async () => {
    const policy = await model();
    const texts = await preparedTexts(await goldenTexts("prompt_completion", 4), policy);
    const [whole, single] = [await textGradients(policy, texts), await textGradients(policy, texts, {}, [1, 1, 1, 1])];
    expect(largestDifference(whole.gradients, single.gradients) / whole.norm).toBeLessThan(1e-6);
    expect(single.loss).toBeCloseTo(whole.loss, 6);
  });

  it.each(["nll", "dft"] as const)("packed rows (bfd) have that of the same rows by themselves (%s)", async (loss_type) => {
    const policy = await model();
    const data = await goldenTexts("text");
    const apart = await preparedTexts(data, policy);
    const packed = await preparedTexts(data, policy, { packing: true, max_length: 128 });
    expect(packed.length).toBe(1);
    expect(packed[0]!.scored).toBe(apart.reduce((sum, { scored }) => sum + scored, 0));
    const [a, b] = [await textGradients(policy, apart, { loss_type }), await textGradients(policy, packed, { loss_type })];
    expect(Math.abs(b.loss - a.loss)).toBeLessThan(1e-5);
    expect(Math.abs(b.entropy - a.entropy)).toBeLessThan(1e-3);
    expect(b.correct).toBe(a.correct);
    expect(largestDifference(a.gradients, b.gradients) / a.norm).toBeLessThan(1e-5);
  });

  it.each(["all weights", "LoRA with dropout"])("is the same with gradient_checkpointing (%s)", async (what) => {
    const full = await model();
    const policy = what === "all weights" ? full : get_peft_model(full as Qwen2ForCausalLM, smallLora({ lora_dropout: 0.2 }), { seed: 1 });
    const texts = await preparedTexts(await goldenTexts("prompt_completion", 2), policy);
    const [kept, again] = [await textGradients(policy, texts), await textGradients(policy, texts, { gradient_checkpointing: true })];
    expect(kept.norm).toBeGreaterThan(1e-3);
    expect(largestDifference(kept.gradients, again.gradients) / kept.norm).toBeLessThan(1e-5);
    expect(again.loss).toBeCloseTo(kept.loss, 6);
  });

  it("wrapped rows see those before them", async () => {
    const policy = await model();
    const data = await goldenTexts("text");
    const packed = await preparedTexts(data, policy, { packing: true, max_length: 128 });
    const wrapped = await preparedTexts(data, policy, { packing: true, max_length: 128, packing_strategy: "wrapped" });
    expect(wrapped.length).toBe(1);
    // Each row but the first has its first token predicted, too.
    expect(wrapped[0]!.scored).toBe(packed[0]!.scored + data.length - 1);
    expect(wrapped[0]!.layout.positions).toEqual(wrapped[0]!.layout.ids.map((_, i) => i));
    const [a, b] = [await textGradients(policy, packed), await textGradients(policy, wrapped)];
    expect(Math.abs(b.loss - a.loss)).toBeGreaterThan(1e-3);
  });

  it("of dft is p times that of nll, by central differences of one weight", async () => {
    const folder = await writeModel();
    const step = 2 ** -7;
    const name = "model.norm.weight";
    const moved = async (by: number): Promise<CausalLM> => {
      const changed = await AutoModelForCausalLM.from_pretrained(
        await writeModel({}, (tensor, values) => void (tensor === name && (values[3]! += by))),
      );
      models.push(changed);
      return changed;
    };
    const policy = await AutoModelForCausalLM.from_pretrained(folder);
    models.push(policy);
    const row = Dataset.from_rows([{ input_ids: [5, 6, 7], labels: [-100, -100, 7] }]);
    const texts = await preparedTexts(row, policy);
    const [logp] = await labelLogps(policy, texts);
    const [low] = await labelLogps(await moved(-step), texts);
    const [high] = await labelLogps(await moved(step), texts);
    const { gradients, loss } = await textGradients(policy, texts, { loss_type: "dft" });
    const p = Math.exp(logp!);
    expect(loss).toBeCloseTo(-p * logp!, 6);
    const slope = (-p * (high! - low!)) / (2 * step);
    expect(Math.abs(gradients.get(name)![3]! - slope)).toBeLessThan(1e-3 * Math.abs(slope) + 1e-6);
  });
});

describe("NEFTune", () => {
  it("is uniform in ±alpha/√(L·D)", () => {
    const noise = embeddingNoise([{ tokens: 50, random: new Random(1) }], 40, 100, 5)["noise"]!;
    const values = noise.data as Float32Array;
    const bound = 5 / Math.sqrt(100 * 40);
    expect(noise.shape).toEqual([50, 40]);
    expect(values.every((value) => Math.abs(value) <= bound)).toBe(true);
    const mean = values.reduce((sum, value) => sum + value, 0) / 2000;
    const square = values.reduce((sum, value) => sum + value * value, 0) / 2000;
    expect(Math.abs(mean)).toBeLessThan(0.05 * bound);
    expect(Math.abs(square / (bound * bound) - 1 / 3)).toBeLessThan(0.03);
  });

  it("adds it to the embeddings: a model with those embeddings has the same loss and gradients", async () => {
    // Untied and every token different, so that each row of the embedding gets the noise of one position.
    const ids = [11, 12, 13, 14, 15, 16];
    const options: SFTConfigInput = { neftune_noise_alpha: 20 };
    const width = 16;
    // The last token predicts nothing and is not computed.
    const computed = ids.length - 1;
    const random = new Random(3).fork("batch 0").fork("row 0").fork("noise");
    const noise = embeddingNoise([{ tokens: computed, random }], width, ids.length, 20)["noise"]!.data as Float32Array;
    const load = async (change?: (name: string, values: Float32Array) => void): Promise<CausalLM> => {
      models.push(await AutoModelForCausalLM.from_pretrained(await writeModel({ tie_word_embeddings: false }, change)));
      return models.at(-1)!;
    };
    const plain = await load();
    const noisy = await load((name, values) => {
      if (name !== "model.embed_tokens.weight") return;
      ids.slice(0, computed).forEach((id, t) => {
        for (let d = 0; d < width; d++) values[id * width + d]! += noise[t * width + d]!;
      });
    });
    const texts = await preparedTexts(Dataset.from_rows([{ input_ids: ids }]), plain);
    const [a, b, without] = [
      await textGradients(plain, texts, options),
      await textGradients(noisy, texts),
      await textGradients(plain, texts),
    ];
    expect(Math.abs(a.loss - b.loss)).toBeLessThan(1e-6);
    expect(largestDifference(a.gradients, b.gradients) / b.norm).toBeLessThan(1e-6);
    expect(Math.abs(a.loss - without.loss)).toBeGreaterThan(1e-2);
  });

  it("is for training only", async () => {
    const input = async (args: SFTConfigInput): Promise<SftInput> => ({ eval_dataset: await goldenTexts("text", 3), args });
    const loss = async (args: SFTConfigInput): Promise<number> =>
      withSft(await input(args), async (trainer) => (await trainer.evaluate())["eval_loss"]!);
    expect(await loss({ neftune_noise_alpha: 15 })).toBe(await loss({}));
  });
});

describe("a run", () => {
  const RANDOM: SFTConfigInput = {
    neftune_noise_alpha: 5,
    shuffle_dataset: true,
    gradient_accumulation_steps: 2,
    max_steps: 4,
    per_device_train_batch_size: 1,
  };
  const losses = (history: readonly LogEntry[]): LogEntry[] => history.filter((entry) => "loss" in entry);

  it("gives the same bytes for the same seed, others for another, with dropout and noise", async () => {
    const run = async (args: SFTConfigInput): Promise<Buffer[]> => {
      const output_dir = newFolder();
      const given: SftInput = { peft_config: smallLora({ lora_dropout: 0.2 }), args: { ...RANDOM, output_dir, ...args } };
      await withSft(given, async (trainer) => {
        await trainer.train();
        await trainer.save_model();
      });
      return ["adapter_model.safetensors", "trainer_state.json"].map((name) => readFileSync(join(output_dir, name)));
    };
    const [first, second, other] = [await run({ seed: 5 }), await run({ seed: 5 }), await run({ seed: 6 })];
    for (const i of [0, 1]) {
      expect(second[i]!.equals(first[i]!)).toBe(true);
      expect(other[i]!.equals(first[i]!)).toBe(false);
    }
    const plain = await run({ seed: 5, neftune_noise_alpha: null });
    expect(plain[0]!.equals(first[0]!)).toBe(false);
  });

  it("that was resumed equals an uninterrupted one bit for bit, with dropout, noise and packing", async () => {
    const folder = await writeModel();
    const run = async (output_dir: string, args: SFTConfigInput) => {
      const base = await AutoModelForCausalLM.from_pretrained(folder);
      const lora = get_peft_model(base, smallLora({ lora_dropout: 0.2 }), { seed: 9 });
      const options: SFTConfigInput = {
        ...RANDOM,
        packing: true,
        max_length: 20,
        save_strategy: "steps",
        save_steps: 1,
        output_dir,
        ...args,
      };
      const trainer = await smallSft({ model: lora, train_dataset: await goldenTexts("text"), args: options });
      try {
        await trainer.train();
        return { tensors: await trainedTensors(lora), log: losses(trainer.state.log_history) };
      } finally {
        await trainer.dispose();
      }
    };
    const whole = await run(newFolder(), {});
    const output_dir = newFolder();
    await run(output_dir, {});
    const resumed = await run(output_dir, { resume_from_checkpoint: join(output_dir, "checkpoint-2") });
    await expect(run(output_dir, { packing: false, resume_from_checkpoint: join(output_dir, "checkpoint-2") })).rejects.toThrow(
      /^SFTTrainer: cannot resume from .*checkpoint-2: packing must be as in the run it belongs to, true, got false/,
    );
    expect(resumed.log.length).toBe(4);
    expect(JSON.stringify(resumed.log)).toBe(JSON.stringify(whole.log));
    for (const [name, values] of whole.tensors)
      expect(Buffer.from(resumed.tensors.get(name)!.buffer).equals(Buffer.from(values.buffer)), name).toBe(true);
  });

  it("is the same in the eager engine", async () => {
    const run = (engine: "compiled" | "eager") =>
      withSft({ peft_config: smallLora({ lora_dropout: 0.2 }), args: { ...RANDOM, max_steps: 2, engine } }, async (trainer) => {
        await trainer.train();
        return { log: losses(trainer.state.log_history), tensors: await trainedTensors(trainer.model) };
      });
    const [compiled, eager] = [await run("compiled"), await run("eager")];
    expect(eager.log.length).toBe(2);
    eager.log.forEach((entry, i) => {
      for (const [name, value] of Object.entries(entry)) expect(Math.abs(value - compiled.log[i]![name]!), name).toBeLessThan(1e-4);
    });
    expect(largestDifference(eager.tensors, compiled.tensors)).toBeLessThan(1e-4);
  });

  it("leaves no tensor behind in the eager engine", async () => {
    const before = tf.memory().numTensors;
    const given: SftInput = {
      peft_config: smallLora({ lora_dropout: 0.2 }),
      eval_dataset: await goldenTexts("text", 3),
      args: { ...RANDOM, loss_type: "dft", eval_strategy: "steps", max_steps: 2, engine: "eager" },
    };
    await withSft(given, (trainer) => trainer.train());
    expect(tf.memory().numTensors).toBe(before);
  });
});
