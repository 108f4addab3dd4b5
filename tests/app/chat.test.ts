/** Chats with the tiny model, over HTTP. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@gradio/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AppServer, ChatInterface } from "../../src/app/index.js";
import { load_dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel, type Qwen2ForCausalLM } from "../../src/model/index.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { DPOConfig, DPOTrainer } from "../../src/train/index.js";
import "../../src/generate/index.js";
import { type Json, callEvents, eventsOf, pause, postJson, serve } from "./apps.js";

const MODEL = "datasets/tiny-qwen2-chat";
const QUESTION = "Are you human?";
let folder: string;
let base: Qwen2ForCausalLM;
let tuned: PeftModel;
let tokenizer: PreTrainedTokenizer;
let alone: AppServer;
let both: AppServer;
let expected: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "preflab-chat-"));
  tokenizer = await AutoTokenizer.from_pretrained(MODEL);
  base = (await AutoModelForCausalLM.from_pretrained(MODEL)) as Qwen2ForCausalLM;
  // An adapter of random numbers, so that the two models differ.
  tuned = new PeftModel(base, new LoraConfig({ r: 4, init_lora_weights: false }), { seed: 3 });
  const chat = { tokenizer, title: "Tiny", preferences_file: join(folder, "pairs.jsonl") };
  alone = await serve(new ChatInterface({ ...chat, model: base, time_limit: 30 }));
  both = await serve(new ChatInterface({ ...chat, model: tuned, compare_with: "base" }));
  const ids = tokenizer.apply_chat_template([{ role: "user", content: QUESTION }], { add_generation_prompt: true });
  const all = await base.generate(ids, { max_new_tokens: 24, do_sample: false });
  expected = tokenizer.decode(all.slice(ids.length), { skip_special_tokens: true });
});
afterAll(async () => {
  await tuned?.dispose();
  await base?.dispose();
  rmSync(folder, { recursive: true });
});

describe("a model's chat", () => {
  test("streams the answer that generate gives, in growing parts", async () => {
    const events = await callEvents(alone.url, "chat", { message: QUESTION, max_new_tokens: 24 });
    const texts = events.filter(({ event }) => event === "generating").map(({ data }) => data[0] as string);
    expect(texts.length).toBeGreaterThan(3);
    texts.slice(1).forEach((text, i) => expect(text.startsWith(texts[i]!)).toBe(true));
    expect(events.at(-1)).toEqual({ event: "complete", data: [expected] });
  });

  test("the settings matter, and equal seeds give equal answers", async () => {
    const ask = async (more: object): Promise<string> =>
      (await callEvents(alone.url, "chat", { message: QUESTION, max_new_tokens: 16, ...more })).at(-1)!.data[0];
    const drawn = await ask({ temperature: 1.5, seed: 1 });
    expect(await ask({ temperature: 1.5, seed: 1 })).toBe(drawn);
    expect(await ask({ temperature: 1.5, seed: 2 })).not.toBe(drawn);
    expect(await ask({ repetition_penalty: 2 })).not.toBe(await ask({}));
    expect((await ask({ max_new_tokens: 2 })).length).toBeLessThan(drawn.length);
    expect(
      await ask({
        history: [
          { role: "user", content: "Good morning!" },
          { role: "assistant", content: "Hello." },
        ],
      }),
    ).toBeTypeOf("string");
  });

  test("@gradio/client chats, and stops in the middle", async () => {
    const client = await Client.connect(alone.url, { events: ["data", "status"] });
    expect((await client.predict("/chat", { message: QUESTION, max_new_tokens: 24 })).data).toEqual([expected]);
    const job = client.submit("/chat", { message: QUESTION, temperature: 2, max_new_tokens: 900 });
    let [text, updates] = ["", 0];
    for await (const event of job) {
      if (event.type !== "data") continue;
      text = (event.data as string[])[0]!;
      if (++updates === 5) await job.cancel();
    }
    expect(updates).toBeLessThan(300);
    expect(text).not.toBe("");
    client.close();
  });

  test("two users chat at once while a third call runs, each with its own answer", async () => {
    const ask = (message: string, max_new_tokens: number): ReturnType<typeof callEvents> =>
      callEvents(alone.url, "chat", { message, max_new_tokens });
    const single = [await ask(QUESTION, 40), await ask("How far is the Sun?", 40), await ask("What is the red planet?", 40)].map(
      (events) => events.at(-1)!.data[0],
    );
    const order: number[] = [];
    const asked = ["Are you human?", "How far is the Sun?", "What is the red planet?"].map(async (message, i) => {
      const { body } = await postJson(`${alone.url}/gradio_api/call/chat`, { data: { message, max_new_tokens: 40 } });
      let last: unknown;
      for await (const { event, data } of eventsOf(await fetch(`${alone.url}/gradio_api/call/chat/${body.event_id}`))) {
        if (event === "generating") order.push(i);
        last = data;
      }
      return (last as string[])[0];
    });
    expect(await Promise.all(asked)).toEqual(single);
    // Their tokens come in turns.
    const changes = order.slice(1).filter((each, i) => each !== order[i]).length;
    expect(changes).toBeGreaterThan(6);
  });

  test("a conversation that is too long says so", async () => {
    const events = await callEvents(alone.url, "chat", { message: "word ".repeat(1100) });
    expect(events.at(-1)).toMatchObject({
      event: "error",
      data: expect.stringMatching(/must be below the model's 1024 tokens, got \d+; begin a new one/),
    });
  });
});

describe("side by side", () => {
  test("tuned and base answer together; likes become pairs that DPOTrainer takes as they are", async () => {
    const config = await (await fetch(`${both.url}/config`)).json();
    expect(config.components.filter((each: Json) => ["tuned", "base"].includes(each.props.label))).toHaveLength(2);
    const events = await callEvents(both.url, "chat", { message: QUESTION, max_new_tokens: 24 });
    const [ours, theirs] = events.at(-1)!.data as [string, string];
    expect(theirs).toBe(expected);
    expect(ours).not.toBe(theirs);
    const vote = await callEvents(both.url, "vote", {
      prompt: [{ role: "user", content: QUESTION }],
      answer: theirs,
      liked: false,
      other: ours,
    });
    expect(vote.at(-1)).toMatchObject({ event: "complete", data: [{ added: 1, pairs: 1 }] });
    const path = join(folder, "pairs.jsonl");
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ chosen: [{ content: ours }], rejected: [{ content: theirs }] });
    const trainer = new DPOTrainer({
      model: await AutoModelForCausalLM.from_pretrained(MODEL),
      args: new DPOConfig({
        output_dir: join(folder, "run"),
        max_steps: 1,
        per_device_train_batch_size: 1,
        save_strategy: "no",
        report_to: "none",
        disable_tqdm: true,
        learning_rate: 1e-4,
      }),
      train_dataset: await load_dataset(path),
      processing_class: tokenizer,
    });
    const { training_loss } = await trainer.train();
    expect(training_loss).toBeCloseTo(Math.log(2), 3);
    await trainer.dispose();
  });
});

describe("OpenAI's protocol", () => {
  const messages = [{ role: "user", content: [{ type: "text", text: QUESTION }] }];

  test("models and an answer with its usage", async () => {
    expect(await (await fetch(`${both.url}/v1/models`)).json()).toMatchObject({ object: "list", data: [{ id: "tuned" }, { id: "base" }] });
    const { body } = await postJson(`${both.url}/v1/chat/completions`, { model: "base", messages, max_tokens: 24, temperature: 0 });
    expect(body).toMatchObject({
      object: "chat.completion",
      model: "base",
      choices: [{ index: 0, message: { role: "assistant", content: expected } }],
    });
    expect(body.id).toMatch(/^chatcmpl-/);
    const { prompt_tokens, completion_tokens, total_tokens } = body.usage;
    expect(completion_tokens).toBeLessThanOrEqual(24);
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    expect(["stop", "length"]).toContain(body.choices[0].finish_reason);
    const short = await postJson(`${both.url}/v1/chat/completions`, { messages, max_completion_tokens: 2 });
    expect(short.body).toMatchObject({ model: "tuned", choices: [{ finish_reason: "length" }], usage: { completion_tokens: 2 } });
  });

  test("stream: role, deltas, reason, usage, [DONE]", async () => {
    const response = await fetch(`${alone.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ messages, max_tokens: 24, stream: true, stream_options: { include_usage: true } }),
    });
    const chunks: Json[] = [];
    for await (const { data } of eventsOf(response)) chunks.push(data);
    expect(chunks[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.map((chunk) => chunk.choices?.[0]?.delta?.content ?? "").join("")).toBe(expected);
    expect(chunks.at(-3).choices[0].finish_reason).toMatch(/stop|length/);
    expect(chunks.at(-2).usage.completion_tokens).toBeGreaterThan(0);
    expect(chunks.at(-1)).toBe("[DONE]");
  });

  test("a stop text ends the answer before it, also in the stream", async () => {
    const word = expected.trim().split(" ")[3]!;
    const { body } = await postJson(`${alone.url}/v1/chat/completions`, { messages, max_tokens: 24, stop: [word, "never"] });
    expect(body.choices[0]).toMatchObject({ message: { content: expected.slice(0, expected.indexOf(word)) }, finish_reason: "stop" });
  });

  test("what is not supported is refused in OpenAI's form", async () => {
    const cases: [object, number, RegExp][] = [
      [{ messages, n: 2 }, 400, /^n is not supported/],
      [{ messages, tools: [{ type: "function" }] }, 400, /^tools is not supported/],
      [{ messages, frobnicate: 1 }, 400, /^Unknown field "frobnicate"/],
      [{ messages, model: "gpt" }, 404, /^model must be one of tuned, base/],
      [{ messages, temperature: 3 }, 400, /^temperature must be a number from 0 to 2/],
      [{ messages: [] }, 400, /must end with a message of the user/],
      [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, 400, /content must be text/],
      [{}, 400, /^messages must be a list of messages/],
    ];
    for (const [request, status, message] of cases)
      expect(await postJson(`${both.url}/v1/chat/completions`, request), JSON.stringify(request)).toMatchObject({
        status,
        body: { error: { message: expect.stringMatching(message), type: "invalid_request_error" } },
      });
    expect(
      (await postJson(`${both.url}/v1/chat/completions`, { messages, n: 1, user: "u", presence_penalty: 0, tools: [], max_tokens: 1 }))
        .status,
    ).toBe(200);
  });

  test("who goes away stops the model", async () => {
    const gone = new AbortController();
    const response = await fetch(`${alone.url}/v1/chat/completions`, {
      method: "POST",
      signal: gone.signal,
      body: JSON.stringify({ messages, max_tokens: 900, temperature: 2, stream: true }),
    });
    await eventsOf(response).next();
    gone.abort();
    await pause(200);
    const started = performance.now();
    await postJson(`${alone.url}/v1/chat/completions`, { messages, max_tokens: 1 });
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
