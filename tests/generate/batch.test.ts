/** Several sequences at once. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import "../../src/generate/index.js";
import { AutoModelForCausalLM, type Qwen2ForCausalLM } from "../../src/model/index.js";

const golden = JSON.parse(readFileSync("tests/golden/generate.json", "utf8")) as {
  max_new_tokens: number;
  prompts: { ids: number[]; runs: { repetition_penalty: number; eos_token_id: number | number[] | null; new_ids: number[] }[] }[];
};
let model: Qwen2ForCausalLM;
beforeAll(async () => void (model = await AutoModelForCausalLM.from_pretrained("tests/golden/tiny-qwen2", { threads: 1 })));
afterAll(() => model.dispose());

it("a list gives what each prompt gives alone, transformers' texts, whenever each ends", async () => {
  const prompts = golden.prompts.map(({ ids }) => ids);
  for (const [i, { repetition_penalty, eos_token_id }] of golden.prompts[0]!.runs.entries()) {
    const options = { max_new_tokens: golden.max_new_tokens, repetition_penalty, eos_token_id };
    const texts = await model.generate(prompts, options);
    expect(texts[0]).toEqual([...prompts[0]!, ...golden.prompts[0]!.runs[i]!.new_ids]);
    for (const [at, prompt] of prompts.entries()) expect(texts[at]).toEqual(await model.generate(prompt, options));
    // Each prompt has end ids of its own, and none in one of its runs.
    if (eos_token_id === null) expect(texts).toEqual(golden.prompts.map(({ ids, runs }) => [...ids, ...runs[i]!.new_ids]));
  }
});

it("more prompts than go at once, of several lengths, with limits of their own", async () => {
  const prompts = Array.from({ length: 11 }, (_, i) => Array.from({ length: 3 + i }, (_, j) => (i * 31 + j * 7) % 700));
  const options = { max_length: 16, eos_token_id: null, do_sample: true, temperature: 1.3 };
  const texts = await model.generate(prompts, options);
  for (const [i, prompt] of prompts.entries()) expect(texts[i]).toEqual(await model.generate(prompt, options));
});

it("num_return_sequences: samples that differ, the first as alone, in transformers' order", async () => {
  const [a, b] = golden.prompts.map(({ ids }) => ids) as [number[], number[]];
  const options = { max_new_tokens: 8, do_sample: true, temperature: 2, eos_token_id: null, seed: 7 };
  const samples = await model.generate([a, b], { ...options, num_return_sequences: 3 });
  expect(samples.map((ids) => ids.slice(0, 3))).toEqual([a, a, a, b, b, b].map((ids) => ids.slice(0, 3)));
  expect(samples[0]).toEqual(await model.generate(a, options));
  expect(samples[3]).toEqual(await model.generate(b, options));
  expect(new Set(samples.slice(0, 3).map(String)).size).toBe(3);
  expect(await model.generate(a, { ...options, num_return_sequences: 3 })).toEqual(samples.slice(0, 3));
});

it("a signal ends all; what cannot be is said", async () => {
  const prompts = golden.prompts.slice(0, 2).map(({ ids }) => ids);
  const stopped = new AbortController();
  stopped.abort();
  expect(await model.generate(prompts, { signal: stopped.signal })).toEqual(prompts);
  const streamer = { put: () => undefined, end: () => undefined };
  const many = { num_return_sequences: 2 };
  await expect(model.generate(prompts, many)).rejects.toMatchObject({ code: "option_conflict" });
  await expect(model.generate(prompts, many)).rejects.toThrow("num_return_sequences must be 1 without do_sample, got 2");
  await expect(model.generate(prompts, { ...many, do_sample: true, streamer })).rejects.toThrow("a streamer must get one text at a time");
  await expect(model.generate(prompts, { num_return_sequences: 0 })).rejects.toThrow("num_return_sequences must be an integer >= 1, got 0");
});
