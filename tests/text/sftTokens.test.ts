import { beforeAll, describe, expect, it } from "vitest";
import { Dataset, load_dataset, sftExamples } from "../../src/data/index.js";
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
