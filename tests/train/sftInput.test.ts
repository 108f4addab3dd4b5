/** What SFT is given: rows of every kind, formatting functions, templates, mistakes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM, PeftModel } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import type { SFTConfigInput } from "../../src/train/index.js";
import { type SftInput, goldenTexts, preparedTexts, smallSft, withSft } from "./sftTexts.js";
import { TINY, newFolder, smallLora, smallModel, writeModel } from "./tinyModel.js";

const containing = (text: RegExp): string => expect.stringMatching(text) as string;

const models: CausalLM[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const model of models.splice(0)) await model.base.dispose();
});
async function model(): Promise<CausalLM> {
  models.push(await smallModel());
  return models.at(-1)!;
}

/** What making a trainer throws. */
async function refused(input: SftInput): Promise<unknown> {
  return smallSft({ model: await model(), ...input }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

const rows = (...given: Record<string, unknown>[]): Dataset => Dataset.from_rows(given, { file: "rows.jsonl" });

describe("rows", () => {
  it("of the wrong type are named by file and row", async () => {
    const train_dataset = rows({ prompt: "a", completion: " b" }, { prompt: "a", completion: 4 });
    expect(await refused({ train_dataset })).toMatchObject({
      name: "DataError",
      code: "data_type",
      row: 1,
      message: containing(/^rows\.jsonl row 1: completion must be/),
    });
  });

  it("of token ids are taken as they are", async () => {
    const policy = await model();
    const prepared = await preparedTexts(await goldenTexts("prompt_completion", 2), policy);
    const given = prepared.map(({ layout }) => ({
      input_ids: [...layout.ids],
      completion_mask: layout.ids.map((_, i) => (layout.sources.includes(i - 1) ? 1 : 0)),
    }));
    const own = await preparedTexts(rows(...given), policy);
    expect(own.map(({ layout }) => layout)).toEqual(prepared.map(({ layout }) => layout));
    const all = await preparedTexts(rows(...given), policy, { completion_only_loss: false });
    expect(all.map(({ scored }) => scored)).toEqual(prepared.map(({ tokens }) => tokens - 1));
    const [labelled] = await preparedTexts(rows({ input_ids: [5, 6n, 7], labels: [-100, -100, 9] }), policy);
    expect(labelled!.layout).toMatchObject({ ids: [5, 6, 7], sources: [1], targets: [9] });
  });

  it.each([
    [{ input_ids: "5 6" }, "data_type", /^rows\.jsonl row 0: input_ids must be a list of token ids, integers >= 0, got text/],
    [{ input_ids: [5, -1] }, "data_type", /row 0: input_ids must be a list of token ids, integers >= 0, got a number \(-1\) in it/],
    [{ input_ids: [] }, "data_empty", /row 0: input_ids must hold at least one token id, got none; drop the row/],
    [{ input_ids: [5, 6], labels: [5] }, "data_type", /row 0: labels must be as long as input_ids, 2, got 1/],
    [
      { input_ids: [5, 6], completion_mask: [0, 2] },
      "data_type",
      /row 0: completion_mask must be a list of 0 and 1, got a number \(2\) in it/,
    ],
  ])("of bad token ids %j", async (row, code, message) => {
    expect(await refused({ train_dataset: rows(row) })).toMatchObject({ name: "DataError", code, message: containing(message) });
  });

  it("of token ids without what a loss on a part needs", async () => {
    const train_dataset = rows({ input_ids: [5, 6] });
    expect(await refused({ train_dataset, args: { completion_only_loss: true } })).toMatchObject({
      code: "option_conflict",
      message: containing(/completion_only_loss needs rows of token ids to have completion_mask or labels, got neither/),
    });
    expect(await refused({ train_dataset, args: { assistant_only_loss: true } })).toMatchObject({
      message: containing(/assistant_only_loss needs rows of token ids to have assistant_masks or labels/),
    });
  });

  it("with ids that the model does not have", async () => {
    expect(await refused({ train_dataset: rows({ input_ids: [5, 736] }) })).toMatchObject({
      name: "ConfigError",
      code: "vocabulary",
      message: containing(/^rows\.jsonl row 0: token ids must be below the model's vocab_size 736, got 736/),
    });
  });

  it("without a token to predict are left out with a warning; all of them, an error", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const train_dataset = rows({ input_ids: [5] }, { input_ids: [5, 6] });
    await withSft({ train_dataset, args: { max_steps: 1 } }, (trainer) => trainer.train());
    expect(log.mock.calls.map(String)).toContainEqual(
      "SFTTrainer: train_dataset: 1 of 2 rows are left out because no token of theirs is to be predicted",
    );
    expect(await refused({ train_dataset: rows({ input_ids: [5] }) })).toMatchObject({
      name: "DataError",
      code: "no_rows",
      message: containing(/^SFTTrainer: train_dataset needs at least one row, but of 1 none has a token to predict; check/),
    });
  });

  it("whose prompt fills max_length are dropped", async () => {
    vi.spyOn(console, "log").mockImplementation(() => undefined);
    expect(await refused({ args: { max_length: 2 } })).toMatchObject({
      code: "no_rows",
      message: containing(/all were dropped, the first because/),
    });
  });

  it("of conversations: all tokens, or the assistant's only", async () => {
    const policy = await model();
    const data = await goldenTexts("messages");
    const [whole, turns] = [await preparedTexts(data, policy), await preparedTexts(data, policy, { assistant_only_loss: true })];
    const tokenizer = await AutoTokenizer.from_pretrained(TINY);
    const learnt = (text: (typeof turns)[number]): string => tokenizer.decode(text.layout.targets);
    expect(whole.every(({ scored, tokens }) => scored === tokens - 1)).toBe(true);
    expect(learnt(turns[3]!)).toMatch(/^\s*Two\.<\|im_end\|>\s*Four\.<\|im_end\|>\s*$/);
  });
});

describe("a number that leaves the range", () => {
  it("is named with step and the rows that ran together", async () => {
    const bad = await AutoModelForCausalLM.from_pretrained(
      await writeModel({}, (name, values) => void (name === "model.norm.weight" && values.fill(NaN))),
    );
    models.push(bad);
    const trainer = await smallSft({ model: bad, train_dataset: rows({ text: "One." }, { text: "Two." }) });
    await expect(trainer.train()).rejects.toMatchObject({
      name: "EngineError",
      code: "loss_not_finite",
      message: containing(
        /^SFTTrainer: step 1: the loss must be finite, got NaN at rows\.jsonl row 0, rows\.jsonl row 1; lower learning_rate/,
      ),
    });
  });

  it("names all rows of a packed one", async () => {
    const packed = await preparedTexts(rows({ text: "One." }, { text: "Two and three, then four and five." }), await model(), {
      packing: true,
      max_length: 32,
    });
    expect(packed.map(({ origin }) => origin)).toEqual(["rows.jsonl row 1 + rows.jsonl row 0"]);
  });
});

describe("formatting_func", () => {
  const data = rows({ question: "One?", answer: "Two.", prompt: "x" });

  it("makes a text or a conversation of a row, for evaluation too", async () => {
    const asText = (row: Record<string, unknown>): string => `${String(row["question"])} ${String(row["answer"])}`;
    await withSft({ train_dataset: data, eval_dataset: data, formatting_func: asText, args: { max_steps: 1 } }, async (trainer) => {
      await trainer.train();
      const policy = await model();
      const [expected] = await preparedTexts(rows({ text: "One? Two." }), policy);
      expect(trainer.state.num_input_tokens_seen).toBe(expected!.tokens);
      expect(await trainer.evaluate()).toHaveProperty("eval_loss");
    });
    const messages = [
      { role: "user", content: "One?" },
      { role: "assistant", content: "Two." },
    ];
    await withSft(
      { train_dataset: data, formatting_func: () => messages, args: { max_steps: 1, assistant_only_loss: true } },
      async (trainer) => {
        await trainer.train();
        const [expected] = await preparedTexts(rows({ messages }), await model());
        expect(trainer.state.num_input_tokens_seen).toBe(expected!.tokens);
      },
    );
  });

  it("of something else, or beside completion_only_loss, is refused", async () => {
    expect(await refused({ train_dataset: data, formatting_func: () => 4 as never })).toMatchObject({
      name: "DataError",
      code: "data_type",
      row: 0,
      message: containing(/^rows\.jsonl row 0: formatting_func must return text or a list of messages, got number/),
    });
    expect(await refused({ train_dataset: data, formatting_func: () => "a", args: { completion_only_loss: true } })).toMatchObject({
      name: "ConfigError",
      code: "option_conflict",
      message: containing(/^SFTTrainer: completion_only_loss needs rows of prompt and completion, got a formatting_func/),
    });
  });
});

describe("the tokenizer", () => {
  const TEMPLATE = "{% for message in messages %}[{{ message.content }}]{% endfor %}";

  async function templateOf(args: SFTConfigInput): Promise<[string | null, string | null]> {
    const processing_class = await AutoTokenizer.from_pretrained(TINY);
    return withSft({ processing_class, args }, () => Promise.resolve([processing_class.chat_template, processing_class.eos_token]));
  }

  it("takes a template from a file, or with its end token from a tokenizer's folder", async () => {
    const folder = newFolder();
    mkdirSync(folder);
    const file = join(folder, "own.jinja");
    writeFileSync(file, TEMPLATE);
    expect(await templateOf({ chat_template_path: file })).toEqual([TEMPLATE, "<|im_end|>"]);
    const other = await AutoTokenizer.from_pretrained(TINY);
    other.chat_template = TEMPLATE;
    other.eos_token = "<|endoftext|>";
    const saved = newFolder();
    await other.save_pretrained(saved);
    expect(await templateOf({ chat_template_path: saved })).toEqual([TEMPLATE, "<|endoftext|>"]);
  });

  it("takes another end token, which the saved tokenizer has", async () => {
    const output_dir = newFolder();
    const processing_class = await AutoTokenizer.from_pretrained(TINY);
    await withSft({ processing_class, args: { eos_token: "<|endoftext|>", output_dir } }, (trainer) => trainer.save_model());
    expect((await AutoTokenizer.from_pretrained(output_dir)).eos_token).toBe("<|endoftext|>");
  });

  it("refuses a template that is not there, is no template, or needs more tokens", async () => {
    const refusal = async (chat_template_path: string): Promise<unknown> =>
      refused({ processing_class: await AutoTokenizer.from_pretrained(TINY), args: { chat_template_path } });
    const error = (message: RegExp) => ({ name: "ConfigError", code: "chat_template_path", message: containing(message) });
    expect(await refusal("nowhere.jinja")).toMatchObject(
      error(/^chat_template_path: must be a .* got nowhere\.jinja, which is not there; for one on the Hub/),
    );
    expect(await refusal("package.json")).toMatchObject(error(/got package\.json; rename the file/));
    const folder = newFolder();
    mkdirSync(folder);
    expect(await refusal(folder)).toMatchObject(error(/must hold a chat template/));
    writeFileSync(join(folder, "chat_template.jinja"), TEMPLATE);
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ added_tokens: [{ content: "<|im_end|>" }, { content: "<|new|>" }] }));
    expect(await refusal(folder)).toMatchObject(error(/must need no tokens that the model lacks, got <\|new\|> in/));
  });
});

describe("peft_config", () => {
  it("trains a fresh adapter and leaves the model as it was", async () => {
    await withSft({ peft_config: smallLora(), args: { max_steps: 2 } }, async (trainer) => {
      expect(trainer.method).toBe("sft");
      expect(trainer.model).toBeInstanceOf(PeftModel);
      const engine = await trainer.model.load();
      const name = "model.layers.0.self_attn.q_proj.weight";
      const before = (await engine.fetch(name)).data as Float32Array;
      const output = await trainer.train();
      expect(output.training_loss).toBeGreaterThan(0);
      expect((await engine.fetch(name)).data).toEqual(before);
    });
  });
});
