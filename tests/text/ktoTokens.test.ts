import { beforeAll, describe, expect, it } from "vitest";
import { ktoExamples, load_dataset, type KtoExample } from "../../src/data/index.js";
import {
  AutoTokenizer,
  ktoSequences,
  tokenizeKto,
  type MaskedSequence,
  type PreTrainedTokenizer,
  type TokenizedKto,
} from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

interface GoldenCase {
  source: string;
  rows_used: number;
  per_device_train_batch_size: number;
  max_length: number | null;
  loss_type: string;
  rows: { row: number; prompt_ids: number[]; completion_ids: number[]; KL_completion_ids?: number[]; label: boolean }[];
  dropped_rows: number[];
  first_batch: Record<string, unknown>;
}
const file = readGolden<{ pad_token_id: number; cases: GoldenCase[] }>("tokenized_kto.json");

let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
});

function pad(sequences: readonly MaskedSequence[], prefix: string): Record<string, number[][]> {
  const width = Math.max(...sequences.map(({ input_ids }) => input_ids.length));
  const fill = (values: readonly number[], value: number): number[] => [...values, ...Array<number>(width - values.length).fill(value)];
  return {
    [`${prefix}input_ids`]: sequences.map(({ input_ids }) => fill(input_ids, file.pad_token_id)),
    [`${prefix}attention_mask`]: sequences.map(({ input_ids }) =>
      fill(
        input_ids.map(() => 1),
        0,
      ),
    ),
    [`${prefix}completion_mask`]: sequences.map(({ completion_mask }) => fill(completion_mask, 0)),
  };
}

/** TRL's collation: own and mismatched sequences padded apart. */
function collate(rows: readonly TokenizedKto[]): Record<string, unknown> {
  const sequences = rows.map(ktoSequences);
  const kl = sequences.flatMap((each) => (each.kl === null ? [] : [each.kl]));
  return {
    ...pad(
      sequences.map((each) => each.own),
      "",
    ),
    ...(kl.length === 0 ? {} : pad(kl, "KL_")),
    label: rows.map(({ label }) => label),
  };
}

describe("tokenised KTO rows equal TRL's", () => {
  it("covers 5 cases", () => expect(file.cases).toHaveLength(5));

  it.each(file.cases)("$source, $loss_type, batches of $per_device_train_batch_size, max_length $max_length", async (each) => {
    const dataset = (await load_dataset(goldenPath(each.source))).select(each.rows_used);
    const examples = ktoExamples(dataset);
    const kl_batch_size = each.loss_type === "apo_zero_unpaired" ? null : each.per_device_train_batch_size;
    const whole = tokenizeKto(examples, tokenizer, { kl_batch_size, max_length: null });
    expect(each.rows.length).toBeGreaterThan(0);
    const named = whole.rows.map(({ row, prompt_ids, completion_ids, kl_completion_ids, label }) => ({
      row,
      prompt_ids,
      completion_ids,
      ...(kl_completion_ids === null ? {} : { KL_completion_ids: kl_completion_ids }),
      label,
    }));
    expect(named).toEqual(each.rows);
    const { rows, dropped } = tokenizeKto(examples, tokenizer, { kl_batch_size, max_length: each.max_length });
    expect(dropped.map(({ row }) => row)).toEqual(each.dropped_rows);
    expect(collate(rows.slice(0, (each.first_batch["label"] as unknown[]).length))).toEqual(each.first_batch);
  });
});

describe("tokenizeKto", () => {
  const text = (prompt: string, completion: string, row: number, label = true): KtoExample => ({
    prompt,
    completion,
    label,
    row,
    file: "k.jsonl",
  });
  const long = "The moon is bright tonight and the road is easy to see.";

  it("shifts within batches of the rows that are kept, the last batch being short", () => {
    const examples = [text("a", " b", 0), text(long, " x", 1), text("a", " c", 2), text("a", " d", 3)];
    const { rows, dropped } = tokenizeKto(examples, tokenizer, { kl_batch_size: 2, max_length: 10 });
    const words = rows.map(({ kl_completion_ids }) => tokenizer.decode(kl_completion_ids!, { skip_special_tokens: true }));
    expect(words).toEqual([" c", " b", " d"]);
    expect(dropped).toEqual([
      { file: "k.jsonl", row: 1, reason: `the prompt alone has ${tokenizer.encode(long).length} tokens, max_length is 10` },
    ]);
  });

  it("cuts the mismatched completion by its new prompt's room, from the whole completion", () => {
    const { rows } = tokenizeKto([text("Is it?", long, 0), text("a", " b", 1)], tokenizer, { kl_batch_size: 2, max_length: 8 });
    expect(rows[0]!.prompt_ids.length + rows[0]!.completion_ids.length).toBe(8);
    expect(rows[1]!.prompt_ids.length + rows[1]!.kl_completion_ids!.length).toBe(8);
    expect(rows[1]!.kl_completion_ids!.length).toBeGreaterThan(rows[0]!.completion_ids.length);
  });

  it("reports dropped, cut and torn rows with their place", () => {
    const { warnings } = tokenizeKto([text(long, " Yes.", 4), text("Is it?", long, 5), text("The clock is ", "late", 9)], tokenizer, {
      kl_batch_size: null,
      max_length: 10,
    });
    expect(warnings).toEqual([
      "1 of 3 rows are dropped because their prompt alone reaches max_length 10 (k.jsonl row 4); raise max_length to keep them",
      "1 of 2 rows are cut to max_length 10; raise max_length to train on whole answers",
      expect.stringContaining("in 1 of 2 rows the prompt's tokens do not begin") as string,
    ]);
    expect(warnings[2]).toContain("(k.jsonl row 9)");
    expect(tokenizeKto([text("Is it?", " No.", 0)], tokenizer, { kl_batch_size: null }).warnings).toEqual([]);
  });

  it("names the row whose completion merges into the prompt", () => {
    const joined: Pick<PreTrainedTokenizer, "encode" | "eos_token" | "name_or_path"> = {
      eos_token: "",
      name_or_path: "joined",
      encode: () => [1, 2],
    };
    expect(() => tokenizeKto([text("a b", "c", 3)], joined as PreTrainedTokenizer, { kl_batch_size: null })).toThrow(
      expect.objectContaining({
        name: "DataError",
        code: "data_empty",
        row: 3,
        message: expect.stringMatching(/k.jsonl row 3: completion must have tokens after the prompt's 2, got none/) as string,
      }),
    );
  });

  it("refuses bad options", () => {
    expect(() => tokenizeKto([], tokenizer, { kl_batch_size: 0 })).toThrow(
      expect.objectContaining({
        code: "option_range",
        message: "tokenizeKto: kl_batch_size must be an integer >= 1 or null (no KL estimate), got 0",
      }),
    );
    expect(() => tokenizeKto([], tokenizer, { kl_batch_size: 2, max_length: 0 })).toThrow(
      "max_length must be an integer >= 1 or null, got 0",
    );
  });
});
