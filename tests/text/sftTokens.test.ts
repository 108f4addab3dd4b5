import { beforeAll, describe, expect, it } from "vitest";
import { Dataset, load_dataset, sftExamples, type SftExample } from "../../src/data/index.js";
import { AutoTokenizer, IGNORED_LABEL, tokenizeSft, type PreTrainedTokenizer, type TokenizedText } from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

interface GoldenCase {
  group: string;
  completion_only_loss: boolean | null;
  completion_only_loss_resolved: boolean;
  max_length: number | null;
  rows: { row: number; input_ids: number[]; labels: number[] }[];
  dropped_rows: number[];
  first_batch: { input_ids: number[][]; labels: number[][]; attention_mask: number[][] };
}
const file = readGolden<{ source: string; pad_token_id: number; cases: GoldenCase[] }>("tokenized_sft.json");

let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
});

/** TRL's collation: padded on the right. */
function collate(rows: readonly TokenizedText[], padId: number): GoldenCase["first_batch"] {
  const width = Math.max(...rows.map(({ input_ids }) => input_ids.length));
  const pad = (values: readonly number[], value: number): number[] => [...values, ...Array<number>(width - values.length).fill(value)];
  return {
    input_ids: rows.map(({ input_ids }) => pad(input_ids, padId)),
    labels: rows.map(({ labels }) => pad(labels, IGNORED_LABEL)),
    attention_mask: rows.map(({ labels }) =>
      pad(
        labels.map(() => 1),
        0,
      ),
    ),
  };
}

/** Each group of the source file is a data set with the columns of that group. */
async function groupRows(group: string): Promise<Dataset> {
  const all = await load_dataset(goldenPath(file.source));
  const rows = all.rows().filter((row) => row["group"] === group);
  return Dataset.from_rows(
    rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name, value]) => name !== "group" && value !== null))),
    { file: file.source },
  );
}

describe("tokenised SFT rows equal TRL's", () => {
  it("covers 12 cases", () => expect(file.cases).toHaveLength(12));

  it.each(file.cases)(
    "$group, completion_only_loss $completion_only_loss, max_length $max_length",
    async ({ group, completion_only_loss, completion_only_loss_resolved, max_length, rows: expected, dropped_rows, first_batch }) => {
      const examples = sftExamples(await groupRows(group));
      const { rows, dropped } = tokenizeSft(examples, tokenizer, { completion_only_loss, max_length });
      expect(expected.length).toBeGreaterThan(0);
      expect(rows.map(({ row, input_ids, labels }) => ({ row, input_ids, labels }))).toEqual(expected);
      expect(dropped.map(({ row }) => row)).toEqual(dropped_rows);
      expect(collate(rows.slice(0, first_batch.input_ids.length), file.pad_token_id)).toEqual(first_batch);
      expect(
        tokenizeSft(examples, tokenizer, { completion_only_loss: completion_only_loss_resolved ? null : false, max_length }).rows,
      ).toEqual(rows);
    },
  );
});

describe("tokenizeSft", () => {
  const at = { file: "sft.jsonl" };
  const text = (words: string, row = 0): SftExample => ({ kind: "text", text: words, row, ...at });
  const answer = (prompt: string, completion: string, row = 0): SftExample => ({ kind: "text_completion", prompt, completion, row, ...at });
  const long = "The moon is bright tonight and the road is easy to see.";

  it("keeps the end under keep_end", () => {
    const whole = tokenizeSft([answer(long, " Yes.")], tokenizer, { max_length: null }).rows[0]!;
    const { rows, dropped } = tokenizeSft([answer(long, " Yes.", 2)], tokenizer, { max_length: 8, truncation_mode: "keep_end" });
    expect(rows).toEqual([{ row: 2, ...at, input_ids: whole.input_ids.slice(-8), labels: whole.labels.slice(-8) }]);
    expect(dropped).toEqual([]);
    expect(tokenizeSft([text("Short.")], tokenizer, { max_length: 100, truncation_mode: "keep_end" }).rows[0]!.input_ids).toHaveLength(6);
  });

  it("reports dropped, cut and torn rows with their place", () => {
    const examples = [answer(long, " Yes.", 4), answer("Is it?", long, 5), answer("The clock is ", "late", 9)];
    const { rows, dropped, warnings } = tokenizeSft(examples, tokenizer, { max_length: 10 });
    expect(rows.map(({ row }) => row)).toEqual([5, 9]);
    const length = tokenizer.encode(`${long} Yes.`).length + 1;
    expect(dropped).toEqual([{ ...at, row: 4, reason: `none of the 10 tokens that max_length keeps of ${length} is to be learnt` }]);
    expect(warnings).toEqual([
      "1 of 3 rows are dropped because no token to learn is left (sft.jsonl row 4); raise max_length to keep them",
      "1 of 2 rows are cut to max_length 10; raise max_length to train on whole texts",
      expect.stringContaining("in 1 of 2 rows the prompt's tokens do not begin the tokens of prompt + completion") as string,
    ]);
    expect(warnings[2]).toContain("(sft.jsonl row 9)");
    expect(tokenizeSft([text("Short.")], tokenizer).warnings).toEqual([]);
  });

  it("drops a row whose completion merges into the prompt", () => {
    const joined: Pick<PreTrainedTokenizer, "encode" | "eos_token" | "name_or_path"> = {
      eos_token: "",
      name_or_path: "joined",
      encode: () => [1, 2],
    };
    const { rows, dropped, warnings } = tokenizeSft([answer("a b", "c", 3)], joined as PreTrainedTokenizer, { max_length: null });
    expect(rows).toEqual([]);
    expect(dropped).toEqual([{ ...at, row: 3, reason: "prompt and completion merge into fewer tokens, so none is left to learn" }]);
    expect(warnings[0]).toContain("end prompts without a space or half a word");
  });

  it("closes text with the given end token, which the tokenizer keeps", async () => {
    const own = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    const ids = (words: string): number[] => tokenizeSft([text(words)], own, { eos_token: "<|endoftext|>" }).rows[0]!.input_ids;
    expect(ids("Short.").at(-1)).toBe(own.convert_tokens_to_ids("<|endoftext|>"));
    expect(ids("Short.<|endoftext|>")).toEqual(ids("Short."));
    expect(own.eos_token).toBe("<|endoftext|>");
    expect(() => tokenizeSft([], own, { eos_token: "<|stop|>" })).toThrow(
      expect.objectContaining({ code: "tokenizer_input", message: expect.stringContaining('got "<|stop|>"') as string }),
    );
  });

  it("hands tools and template variables to the template, and names the row it refuses", async () => {
    const own = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    own.chat_template = "{{ tools[0].name }}{{ mood }}{% for m in messages %}{{ m.content }}{% endfor %}";
    const turns: SftExample = {
      kind: "messages",
      messages: [{ role: "user", content: "a" }],
      tools: [{ name: "F" }],
      chat_template_kwargs: { mood: "G" },
      row: 7,
      ...at,
    };
    expect(own.decode(tokenizeSft([turns], own).rows[0]!.input_ids)).toBe("FGa");
    own.chat_template = "{{ raise_exception('no') }}";
    expect(() => tokenizeSft([turns], own)).toThrow(expect.objectContaining({ code: "data_template", row: 7, file: "sft.jsonl" }));
  });

  it("refuses bad options", () => {
    expect(() => tokenizeSft([], tokenizer, { max_length: 0.5 })).toThrow("max_length must be an integer >= 1 or null, got 0.5");
    expect(() => tokenizeSft([], tokenizer, { truncation_mode: "keep_middle" as "keep_end" })).toThrow(
      "tokenizeSft: truncation_mode must be keep_start or keep_end, got keep_middle",
    );
    expect(() => tokenizeSft([text("a")], tokenizer, { completion_only_loss: true })).toThrow(
      expect.objectContaining({
        name: "ConfigError",
        code: "option_conflict",
        message: "tokenizeSft: completion_only_loss needs rows of prompt and completion, got rows of text; leave it out",
      }),
    );
  });
});
