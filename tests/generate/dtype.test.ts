/** Models in 8 and 4 bits, for inference. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import "../../src/generate/index.js";
import { Decoder } from "../../src/generate/decoder.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel, type Qwen2ForCausalLM, get_peft_model } from "../../src/model/index.js";
import { smallSft } from "../train/sftTexts.js";

const TINY = "tests/golden/tiny-qwen2";
const prompt = Array.from({ length: 24 }, (_, i) => (i * 37) % 700);

/** Logits behind a prompt, and behind a token more. */
async function logitsOf(model: Qwen2ForCausalLM): Promise<Float32Array[]> {
  const decoder = new Decoder(model, await model.load());
  const sequence = await decoder.start(prompt, 64);
  const behindPrompt = sequence.logits;
  await decoder.push([sequence], [7]);
  return [behindPrompt, sequence.logits];
}

/** Root mean square of the differences, by that of the numbers. */
function relativeError(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value * value, 0);
  const [x, y] = [a, b].map((rows) => rows.flatMap((row) => [...row])) as [number[], number[]];
  return Math.sqrt(squares(x.map((value, i) => value - y[i]!)) / squares(x));
}

/** Trained, as the golden one is not: rounding matters less. */
const TRAINED = "datasets/tiny-qwen2-chat";

it.each([
  ["q8", 0.03, 0.29],
  ["q4", 0.2, 0.25],
] as const)("%s predicts nearly what float32 does, the same on both engines, in fewer bytes", async (dtype, most, share) => {
  const load = (options: object) => AutoModelForCausalLM.from_pretrained(TRAINED, options);
  const models = await Promise.all([load({ threads: 1 }), load({ threads: 1, dtype }), load({ engine: "eager", backend: "cpu", dtype })]);
  const [exact, rounded, eager] = [await logitsOf(models[0]!), await logitsOf(models[1]!), await logitsOf(models[2]!)];
  const error = relativeError(exact, rounded);
  expect(error).toBeLessThan(most);
  expect(error).toBeGreaterThan(1e-3);
  // The eager engine does not round the activations.
  expect(relativeError(eager, rounded)).toBeLessThan(0.03);
  expect(models[1]!.get_memory_footprint() / models[0]!.get_memory_footprint()).toBeLessThan(share);
  for (const model of models) await model.dispose();
});

describe.each(["q8", "q4"] as const)("dtype %s", (dtype) => {
  let rounded: Qwen2ForCausalLM;
  beforeAll(async () => void (rounded = await AutoModelForCausalLM.from_pretrained(TINY, { threads: 1, dtype })));
  afterAll(() => rounded.dispose());

  it("generates, alone and in a batch, with an adapter beside it", async () => {
    const options = { max_new_tokens: 6, eos_token_id: null };
    const one = await rounded.generate(prompt, options);
    expect(one).toHaveLength(30);
    expect(await rounded.generate([prompt, prompt.slice(3)], options)).toEqual([one, await rounded.generate(prompt.slice(3), options)]);
    const tuned = await PeftModel.from_pretrained(rounded, "tests/golden/lora_final", { is_trainable: false });
    expect(await tuned.generate(prompt, options)).toHaveLength(30);
    await expect(tuned.merge_and_unload()).rejects.toMatchObject({ code: "inference_only" });
  });

  it("is not trained and not saved", async () => {
    const message = `the model must be loaded with dtype "fp32", got "${dtype}", which is for generation alone; load it without dtype`;
    const training = async (model: Parameters<typeof smallSft>[0]): Promise<unknown> => (await smallSft(model)).train();
    await expect(training({ model: rounded })).rejects.toThrow(message);
    await expect(training({ model: get_peft_model(rounded, new LoraConfig({ r: 2 })) })).rejects.toMatchObject({ code: "inference_only" });
    await expect(training({ model: rounded, peft_config: new LoraConfig({ r: 2 }) })).rejects.toThrow(message);
    await expect(rounded.save_pretrained("runs/never")).rejects.toThrow(`save_pretrained: ${message}`);
  });
});

it("names formats that are not there, and two at once", async () => {
  const load = (options: object) => AutoModelForCausalLM.from_pretrained(TINY, options);
  await expect(load({ dtype: "q4f16" })).rejects.toMatchObject({ code: "dtype" });
  await expect(load({ dtype: "q4f16" })).rejects.toThrow('dtype must be one of fp32, q8, q4, got "q4f16"');
  const quantization_config = { load_in_4bit: true, bnb_4bit_quant_type: "nf4" };
  await expect(load({ dtype: "q8", quantization_config })).rejects.toMatchObject({ code: "two_quantizations" });
});
