import { beforeAll, describe, expect, it } from "vitest";
import { load_dataset, preferenceExamples, type PreferenceExample } from "../../src/data/index.js";
import { AutoTokenizer, pairSequences, tokenizePreferences, type PreTrainedTokenizer, type TokenizedPair } from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

interface GoldenRow {
  row: number;
  prompt?: unknown;
  chosen?: unknown;
  rejected?: unknown;
  prompt_ids: number[];
  chosen_ids: number[];
  rejected_ids: number[];
  prompt_is_prefix_of_chosen?: boolean;
  prompt_is_prefix_of_rejected?: boolean;
}
interface GoldenCase {
  max_length: number | null;
  truncation_mode: "keep_start" | "keep_end";
  rows: GoldenRow[];
  dropped_rows: number[];
  collated_rows: number[];
  collated: { input_ids: number[][]; attention_mask: number[][]; completion_mask: number[][] };
}
interface GoldenFile {
  source: string;
  eos_token: string;
  pad_token_id: number;
  cases: GoldenCase[];
}

let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
});

/** TRL's collation: all chosen sequences, then all rejected ones, padded on the right. */
function collate(pairs: readonly TokenizedPair[], padId: number): GoldenCase["collated"] {
  const sequences = [...pairs.map((pair) => pairSequences(pair).chosen), ...pairs.map((pair) => pairSequences(pair).rejected)];
  const width = Math.max(...sequences.map(({ input_ids }) => input_ids.length));
  const pad = (values: readonly number[], value: number): number[] => [...values, ...Array<number>(width - values.length).fill(value)];
  return {
    input_ids: sequences.map(({ input_ids }) => pad(input_ids, padId)),
    attention_mask: sequences.map(({ input_ids }) =>
      pad(
        input_ids.map(() => 1),
        0,
      ),
    ),
    completion_mask: sequences.map(({ completion_mask }) => pad(completion_mask, 0)),
  };
}

const names = [
  "tokenized_pairs",
  "tokenized_pairs_edge",
  "tokenized_pairs_conversational",
  "tokenized_pairs_implicit",
  "tokenized_pairs_implicit_text",
];
const goldenCases = names.flatMap((name) => {
  const file = readGolden<GoldenFile>(`${name}.json`);
  return file.cases.map((each) => ({ title: `${name}, max_length ${each.max_length}, ${each.truncation_mode}`, file, each }));
});

describe("tokenised pairs equal TRL's", () => {
  it("covers 10 cases", () => expect(goldenCases).toHaveLength(10));

  it.each(goldenCases)("$title", async ({ file, each }) => {
    const examples = preferenceExamples(await load_dataset(goldenPath(file.source)));
    const whole = tokenizePreferences(examples, tokenizer, { max_length: null }).pairs;
    expect(each.rows.length).toBeGreaterThan(0);
    for (const row of each.rows) {
      const pair = whole[row.row]!;
      expect(pair.row).toBe(row.row);
      expect(pair.prompt_ids).toEqual(row.prompt_ids);
      expect(pair.chosen_ids).toEqual(row.chosen_ids);
      expect(pair.rejected_ids).toEqual(row.rejected_ids);
      if (row.prompt_is_prefix_of_chosen !== undefined) expect(pair.prompt_is_prefix_of_chosen).toBe(row.prompt_is_prefix_of_chosen);
      if (row.prompt_is_prefix_of_rejected !== undefined) expect(pair.prompt_is_prefix_of_rejected).toBe(row.prompt_is_prefix_of_rejected);
      if (row.prompt !== undefined) {
        const example = examples[row.row]!;
        expect(example.prompt).toEqual(row.prompt);
        const close = (text: unknown): unknown => (typeof text === "string" ? text + file.eos_token : text);
        expect(close(example.chosen)).toEqual(row.chosen);
        expect(close(example.rejected)).toEqual(row.rejected);
      }
    }
    const { pairs, dropped } = tokenizePreferences(examples, tokenizer, {
      max_length: each.max_length,
      truncation_mode: each.truncation_mode,
    });
    expect(dropped.map(({ row }) => row)).toEqual(each.dropped_rows);
    expect(pairs.length + dropped.length).toBe(examples.length);
    const collated = each.collated_rows.map((row) => pairs.find((pair) => pair.row === row)!);
    expect(collate(collated, file.pad_token_id)).toEqual(each.collated);
  });
});

describe("tokenizePreferences", () => {
  const text = (prompt: string, chosen: string, rejected: string, row = 0): PreferenceExample => ({
    prompt,
    chosen,
    rejected,
    row,
    file: "pairs.jsonl",
  });

  it("reports dropped, cut and torn rows with their place", () => {
    const long = "The moon is bright tonight and the road is easy to see.";
    const { pairs, dropped, warnings } = tokenizePreferences(
      [text(long, " Yes.", " No.", 4), text("Is it?", long, " No.", 5), text("The clock is ", "late", "on the wall", 9)],
      tokenizer,
      { max_length: 10 },
    );
    expect(pairs.map(({ row }) => row)).toEqual([5, 9]);
    expect(pairs[0]!.prompt_ids.length + pairs[0]!.chosen_ids.length).toBe(10);
    expect(dropped).toEqual([
      { file: "pairs.jsonl", row: 4, reason: `the prompt alone has ${tokenizer.encode(long).length} tokens, max_length is 10` },
    ]);
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toContain("1 of 3 rows are dropped because their prompt alone reaches max_length 10 (pairs.jsonl row 4)");
    expect(warnings[1]).toContain("1 of 2 pairs are cut to max_length 10");
    expect(warnings[2]).toContain(
      "in 1 of 2 pairs the prompt's tokens do not begin the tokens of prompt + completion, so tokens at the seam are lost (pairs.jsonl row 9)",
    );
  });

  it("cuts nothing and warns of nothing when all fits", () => {
    const { pairs, dropped, warnings } = tokenizePreferences([text("Is ice warm?", " No.", " Yes.")], tokenizer);
    expect([pairs.length, dropped, warnings]).toEqual([1, [], []]);
  });

  it("names the row whose completion merges into the prompt", () => {
    // The seam lies in the middle of one token, so prompt and prompt + chosen have the same number of ids.
    const own = text("a b", "c", " d", 3);
    const joined: Pick<PreTrainedTokenizer, "encode" | "eos_token" | "name_or_path"> = {
      eos_token: "",
      name_or_path: "joined",
      encode: () => [1, 2],
    };
    expect(() => tokenizePreferences([own], joined as PreTrainedTokenizer)).toThrow(
      expect.objectContaining({
        name: "DataError",
        code: "data_empty",
        row: 3,
        message: expect.stringMatching(/pairs.jsonl row 3: chosen must have tokens after the prompt's 2, got none/) as string,
      }),
    );
  });

  it("names the row that the chat template refuses", async () => {
    const own = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    own.chat_template = "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}x";
    const turns: PreferenceExample = {
      prompt: [{ role: "user", content: "a" }],
      chosen: [{ role: "assistant", content: "b" }],
      rejected: [{ role: "assistant", content: "c" }],
      row: 2,
      file: "chats.json",
    };
    expect(() => tokenizePreferences([turns], own)).toThrow(
      expect.objectContaining({ code: "data_template", row: 2, message: expect.stringContaining("one turn only") as string }),
    );
    own.chat_template = null;
    expect(() => tokenizePreferences([turns], own)).toThrow(expect.objectContaining({ code: "chat_template_missing" }));
  });

  it("hands tools and template variables to the template", async () => {
    const own = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    own.chat_template = "{{ tools[0].name }}{{ mood }}{% for m in messages %}{{ m.content }}{% endfor %}";
    const turns: PreferenceExample = {
      prompt: [{ role: "user", content: "a" }],
      chosen: [{ role: "assistant", content: " b" }],
      rejected: [{ role: "assistant", content: " c" }],
      tools: [{ name: "F" }],
      chat_template_kwargs: { mood: "G" },
      row: 0,
    };
    const pair = tokenizePreferences([turns], own).pairs[0]!;
    expect(own.decode(pair.prompt_ids)).toBe("FGa");
    expect(own.decode(pair.chosen_ids)).toBe(" b");
  });

  it("refuses bad options", () => {
    expect(() => tokenizePreferences([], tokenizer, { max_length: 0 })).toThrow("max_length must be an integer >= 1 or null, got 0");
    expect(() => tokenizePreferences([], tokenizer, { truncation_mode: "keep_middle" as "keep_end" })).toThrow(
      expect.objectContaining({ code: "option_range" }),
    );
  });
});

describe("pairs of token ids", () => {
  const given = { prompt_ids: [5, 6, 7], chosen_ids: [8, 9], rejected_ids: [10], row: 3, file: "f" };

  it("stay as they are: no end token is added", () => {
    const { pairs, warnings } = tokenizePreferences([given], tokenizer);
    expect(pairs).toEqual([
      {
        ...given,
        chosen_prompt_start: 0,
        rejected_prompt_start: 0,
        prompt_is_prefix_of_chosen: true,
        prompt_is_prefix_of_rejected: true,
      },
    ]);
    expect(warnings).toEqual([]);
  });

  it("are cut and dropped like others", () => {
    const cut = tokenizePreferences([given], tokenizer, { max_length: 4 });
    expect(cut.pairs).toMatchObject([{ prompt_ids: [5, 6, 7], chosen_ids: [8], rejected_ids: [10] }]);
    const dropped = tokenizePreferences([given], tokenizer, { max_length: 3 });
    expect(dropped.dropped).toMatchObject([{ file: "f", row: 3, reason: "the prompt alone has 3 tokens, max_length is 3" }]);
  });
});
