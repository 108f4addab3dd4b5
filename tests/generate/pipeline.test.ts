/** The text-generation pipeline against transformers' (tests/golden/pipeline.json), and what it adds to `generate`. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { type TextGenerationOptions, type TextGenerationPipeline, pipeline } from "../../src/generate/index.js";
import { AutoModelForCausalLM } from "../../src/model/index.js";
import { TextStreamer } from "../../src/text/index.js";

const TINY = "tests/golden/tiny-qwen2";
const golden = JSON.parse(readFileSync("tests/golden/pipeline.json", "utf8")) as {
  options: TextGenerationOptions;
  cases: { input: string; options: TextGenerationOptions; output: unknown }[];
};
const question = [{ role: "user", content: "Is the sky green?" }];

let generator: TextGenerationPipeline;
beforeAll(async () => void (generator = await pipeline("text-generation", TINY)));
afterAll(() => generator.dispose());

describe("greedy texts equal transformers'", () => {
  it.each(golden.cases.map((one) => [JSON.stringify(one.input), JSON.stringify(one.options), one] as const))(
    "%s %s",
    async (_input, _options, { input, options, output }) => {
      expect(await generator(input, { ...golden.options, ...options })).toEqual(output);
    },
  );
});

describe("a pipeline", () => {
  it("draws by default, up to 256 tokens; the model's own settings and the call's come first", async () => {
    const long = { eos_token_id: null, return_full_text: false, seed: 3 } as const;
    const count = async (options: TextGenerationOptions): Promise<number> => {
      let tokens = 0;
      const streamer = { put: (ids: readonly number[]) => void (tokens += ids.length), end: () => undefined };
      await generator("A cat", { ...long, ...options, streamer });
      return tokens - generator.tokenizer.encode("A cat").length;
    };
    expect(await count({})).toBe(256);
    expect(await count({ max_new_tokens: 5 })).toBe(5);
    expect(await count({ max_length: 9 })).toBe(9 - generator.tokenizer.encode("A cat").length);
    const short = { ...long, max_new_tokens: 8 };
    const greedy = await generator("A cat", short); // generation_config.json says do_sample: false
    expect(await generator("A cat", { ...short, do_sample: false })).toEqual(greedy);
    const drawn = await generator("A cat", { ...short, do_sample: true });
    expect(drawn).not.toEqual(greedy);
    expect(await generator("A cat", { ...short, do_sample: true, temperature: 0.7 })).toEqual(drawn);
    expect(await generator("A cat", { ...short, do_sample: true, temperature: 2.5 })).not.toEqual(drawn);
  });

  it("gives several continuations of each prompt, in the prompts' order", async () => {
    const options = { max_new_tokens: 6, do_sample: true, temperature: 1.5, num_return_sequences: 3, eos_token_id: null };
    const batch = await generator(["The moon is", "A cat"], options);
    expect(batch.map((texts) => texts.map(({ generated_text }) => generated_text.slice(0, 5)))).toEqual([
      ["The m", "The m", "The m"],
      ["A cat", "A cat", "A cat"],
    ]);
    expect(new Set(batch.flat().map(({ generated_text }) => generated_text)).size).toBe(6);
    expect(await generator("A cat", options)).toEqual(batch[1]);
  });

  it("streams what it returns, one prompt after the other", async () => {
    let shown = "";
    const streamer = new TextStreamer(generator.tokenizer, { skip_prompt: true, callback_function: (text) => void (shown += text) });
    const options = { max_new_tokens: 8, streamer, return_full_text: false } as const;
    const results = await generator([question, [{ role: "system", content: "Be kind." }, ...question]], options);
    expect(results).toHaveLength(2);
    expect(shown).toBe(results.map(([first]) => first!.generated_text).join(""));
  });

  it("takes a model in memory, and leaves a conversation that it was given as it was", async () => {
    const model = await AutoModelForCausalLM.from_pretrained(TINY);
    const own = await pipeline("text-generation", model);
    const before = JSON.stringify(question);
    const [chat] = await own(question, { max_new_tokens: 4 });
    expect(own.model).toBe(model);
    expect(chat!.generated_text.map(({ role }) => role)).toEqual(["user", "assistant"]);
    expect(JSON.stringify(question)).toBe(before);
    await own.dispose();
    await expect(own("A cat", { max_new_tokens: 1 })).rejects.toMatchObject({ code: "disposed" });
  });
});

describe("errors", () => {
  it.each<[unknown, string, RegExp]>([
    [[], "pipeline_input", /^pipeline: the input must be a text, a conversation, or a list of either, got an empty list; /],
    [["a", question], "pipeline_input", /got a list of several kinds/],
    [7, "pipeline_input", /got number/],
    [[{ role: "human", content: "Hi" }], "data_role", /chat\[0\]\.role must be one of .*did you mean user\?/],
    [[question, [{ content: "Hi" }]], "data_type", /^row 1: chat\[0\] must have the fields role and content/],
  ])("input %j: %s", async (input, code, message) => {
    await expect(generator(input as string)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("unknown and misplaced options, other tasks and models are named", async () => {
    const model = generator.model;
    await expect(generator("A cat", { max_new_token: 3 } as never)).rejects.toThrow("max_new_token");
    await expect(pipeline("text-generation", model, { dtype: "q8" })).rejects.toThrow(
      new ConfigError(
        "option_conflict",
        "pipeline: dtype must come with the name of a model to load, got a model in memory; pass it to from_pretrained",
      ),
    );
    await expect(pipeline("text-generation", TINY, { dtyp: "q8" } as never)).rejects.toMatchObject({ code: "option_unknown" });
    await expect(pipeline("summarization" as never, model)).rejects.toThrow(
      new ConfigError("pipeline_task", 'pipeline: task must be "text-generation", got "summarization"; it is the only one'),
    );
    await expect(pipeline("text-generation", null as never)).rejects.toMatchObject({ code: "pipeline_model" });
  });
});
