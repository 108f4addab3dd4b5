/** Continuations against transformers: tests/golden/generate.json. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import "../../src/generate/index.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel, type Qwen2ForCausalLM, get_peft_model } from "../../src/model/index.js";
import { AutoTokenizer, TextStreamer } from "../../src/text/index.js";

interface GoldenRun {
  repetition_penalty: number;
  eos_token_id: number | number[] | null;
  new_ids: number[];
  text: string;
}
const golden = JSON.parse(readFileSync("tests/golden/generate.json", "utf8")) as {
  max_new_tokens: number;
  prompts: { text: string; ids: number[]; runs: GoldenRun[] }[];
};

describe.each(["compiled", "eager"] as const)("greedy generation on engine %s", (engine) => {
  let model: Qwen2ForCausalLM;
  beforeAll(async () => void (model = await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2", { engine })));
  afterAll(() => model.dispose());
  // The eager engine writes its cache through the host: one prompt shows that it agrees.
  const prompts = engine === "compiled" ? golden.prompts : golden.prompts.slice(0, 1);

  it.each(prompts.map((prompt) => [prompt.text, prompt] as const))("%s", async (_text, { ids, runs }) => {
    for (const { repetition_penalty, eos_token_id, new_ids } of runs) {
      const all = await model.generate(ids, { max_new_tokens: golden.max_new_tokens, repetition_penalty, eos_token_id });
      expect(all).toEqual([...ids, ...new_ids]);
    }
  });
});

describe("generation", () => {
  let model: Qwen2ForCausalLM;
  beforeAll(async () => void (model = await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2")));
  afterAll(() => model.dispose());
  const { ids } = golden.prompts[0]!;

  it("is the same with the same seed, and differs with another", async () => {
    const options = { max_new_tokens: 16, do_sample: true, temperature: 1.5, eos_token_id: null };
    const first = await model.generate(ids, { ...options, seed: 1 });
    expect(await model.generate(ids, { ...options, seed: 1 })).toEqual(first);
    expect(await model.generate(ids, { ...options, seed: 2 })).not.toEqual(first);
  });

  it("goes past the size of its first cache and prompt buckets", async () => {
    const long = Array.from({ length: 70 }, (_, i) => (i * 37) % 700);
    const all = await model.generate(long, { max_new_tokens: 90, eos_token_id: null });
    // A fresh reading of prompt + continuation must predict the same next tokens as the cache did.
    const again = await model.generate(all.slice(0, 140), { max_new_tokens: 20, eos_token_id: null });
    expect(again).toEqual(all);
  });

  it("streams the text it returns", async () => {
    const tokenizer = await AutoTokenizer.from_pretrained("tests/golden/tiny-qwen2");
    let streamed = "";
    const streamer = new TextStreamer(tokenizer, { skip_prompt: true, callback_function: (text) => void (streamed += text) });
    const all = await model.generate(ids, { max_new_tokens: 24, eos_token_id: null, streamer });
    expect(streamed).toBe(tokenizer.decode(all.slice(ids.length), { skip_special_tokens: true }));
  });

  it("max_length counts the prompt, a signal ends early, two at once do not disturb each other", async () => {
    expect(await model.generate(ids, { max_length: ids.length + 3, eos_token_id: null })).toHaveLength(ids.length + 3);
    const stopped = new AbortController();
    const streamer = { put: (new_ids: readonly number[]) => void (new_ids.length === 1 && stopped.abort()), end: () => undefined };
    expect(await model.generate(ids, { max_new_tokens: 20, eos_token_id: null, streamer, signal: stopped.signal })).toHaveLength(
      ids.length + 1,
    );
    const alone = await Promise.all(
      golden.prompts.slice(0, 2).map((prompt) => model.generate(prompt.ids, { max_new_tokens: 24, eos_token_id: null })),
    );
    golden.prompts.slice(0, 2).forEach((prompt, i) => expect(alone[i]!.slice(prompt.ids.length)).toEqual(prompt.runs[0]!.new_ids));
  });

  it("names impossible options", async () => {
    await expect(model.generate([], {})).rejects.toThrow("generate: the prompt must have at least one token");
    await expect(model.generate([736], {})).rejects.toThrow("below vocab_size 736, got 736");
    await expect(model.generate(ids, { max_new_tokens: 0 })).rejects.toThrow("max_new_tokens must be an integer >= 1, got 0");
    await expect(model.generate(ids, { max_length: 3 })).rejects.toThrow("max_length must be above the prompt's");
    await expect(model.generate(ids, { max_new_tokens: 600 })).rejects.toThrow("must fit max_position_embeddings 512");
  });

  it("a disposed model says so, instead of reading its old numbers again", async () => {
    const other = await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2");
    const adapted = get_peft_model(other, new LoraConfig({ r: 2 }));
    await adapted.generate(ids, { max_new_tokens: 1 });
    await other.dispose();
    for (const model of [other, adapted]) {
      await expect(model.generate(ids, { max_new_tokens: 1 })).rejects.toThrow("it was disposed; load it again with from_pretrained");
      await expect(model.save_pretrained("runs/never")).rejects.toThrow("it was disposed");
    }
  });

  it("an adapter merged into the base answers as the adapter beside it", async () => {
    const tuned = await PeftModel.from_pretrained(model, "tests/golden/lora_final");
    const beside = await tuned.generate(ids, { max_new_tokens: 24, eos_token_id: null });
    const other = await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2");
    const merged = await (await PeftModel.from_pretrained(other, "tests/golden/lora_final")).merge_and_unload();
    expect(await merged.generate(ids, { max_new_tokens: 24, eos_token_id: null })).toEqual(beside);
    await other.dispose();
    const fresh = get_peft_model(model, new LoraConfig({ r: 4 }));
    expect(await fresh.generate(ids, { max_new_tokens: 24, eos_token_id: null })).toEqual([...ids, ...golden.prompts[0]!.runs[0]!.new_ids]);
  });
});
