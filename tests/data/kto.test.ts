import { describe, expect, it } from "vitest";
import { Dataset, ktoExample, ktoExamples, load_dataset, type Message, type Row } from "../../src/data/index.js";
import { golden } from "./fixtures.js";

const at = { file: "kto.jsonl", row: 4 };
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const text = { prompt: "p", completion: "c", label: true };
const chat = { prompt: [user("a")], completion: [assistant("b")], label: false };

describe("KTO examples", () => {
  it("accepts text and messages, with their place", async () => {
    expect(ktoExample({ ...text, id: 3 }, at)).toEqual({ ...text, ...at });
    expect(ktoExample({ ...chat, tools: '[{"name":"f"}]' }, at)).toEqual({ ...chat, tools: [{ name: "f" }], ...at });
    const examples = ktoExamples(await load_dataset(golden("kto.jsonl")));
    expect(examples).toHaveLength(16);
    expect(examples[3]).toMatchObject({ file: golden("kto.jsonl"), row: 3, label: true });
  });

  it("unpairs preference rows: chosen first, then rejected", () => {
    const pairs = [
      { prompt: "p", chosen: "c", rejected: "r" },
      { prompt: "q", chosen: "d", rejected: "s" },
    ];
    expect(ktoExamples(Dataset.from_rows(pairs)).map(({ prompt, completion, label, row }) => [prompt, completion, label, row])).toEqual([
      ["p", "c", true, 0],
      ["q", "d", true, 1],
      ["p", "r", false, 0],
      ["q", "s", false, 1],
    ]);
  });

  it("unpairs 1000 pairs at a time, as datasets.map hands them to TRL", () => {
    const pairs = Array.from({ length: 1002 }, (_, i) => ({ prompt: String(i), chosen: "c", rejected: "r" }));
    const examples = ktoExamples(Dataset.from_rows(pairs));
    const places = [0, 999, 1000, 1999, 2000, 2001, 2002, 2003].map((i) => [examples[i]!.prompt, examples[i]!.label]);
    // Printed by trl.unpair_preference_dataset for these rows.
    expect(places).toEqual([
      ["0", true],
      ["999", true],
      ["0", false],
      ["999", false],
      ["1000", true],
      ["1001", true],
      ["1000", false],
      ["1001", false],
    ]);
  });

  it("finds the implicit prompt of preference rows and keeps their template fields", () => {
    const row = { chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")], tools: [{ name: "f" }] };
    expect(ktoExamples(Dataset.from_rows([row]))).toEqual([
      { prompt: [user("a")], completion: [assistant("b")], label: true, tools: row.tools, row: 0 },
      { prompt: [user("a")], completion: [assistant("c")], label: false, tools: row.tools, row: 0 },
    ]);
    expect(
      ktoExamples(Dataset.from_rows([{ chosen: "x y", rejected: "x z" }])).map(({ prompt, completion }) => [prompt, completion]),
    ).toEqual([
      ["x", " y"],
      ["x", " z"],
    ]);
  });

  it.each<[string, Row, string, string]>([
    [
      "a number as label",
      { ...text, label: 1 },
      "data_type",
      "label must be true (wanted) or false (unwanted), got a number (1); turn it into true and false with dataset.map",
    ],
    ["no label", { ...text, label: null }, "data_type", "got null; fill it in or drop the row"],
    [
      "no prompt column",
      { completion: "c", label: true },
      "data_columns",
      "KTO rows need the columns prompt, completion and label, or chosen and rejected; got completion, label (missing: prompt)",
    ],
    [
      "a misspelt column",
      { prompt: "p", completion: "c", labels: true },
      "data_columns",
      'did you mean dataset.rename_column("labels", "label")?',
    ],
    ["chosen alone", { prompt: "p", chosen: "c" }, "data_columns", "(missing: completion, label)"],
    ["a missing completion", { ...text, completion: null }, "data_type", "completion must be text or a list of messages, got null"],
    ["an answered prompt", { ...chat, prompt: [user("a"), assistant("b")] }, "data_role", "move that turn into completion"],
  ])("refuses %s", (_, row, code, message) => {
    expect(() => ktoExample(row, at)).toThrow(
      expect.objectContaining({ name: "DataError", code, ...at, message: expect.stringContaining(message) as string }),
    );
  });

  it("refuses no rows", () => {
    expect(() => ktoExamples(Dataset.from_rows([]))).toThrow(expect.objectContaining({ code: "data_empty" }));
  });
});
