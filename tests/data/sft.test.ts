import { describe, expect, it } from "vitest";
import { Dataset, sftExample, sftExamples, type Message, type Row } from "../../src/data/index.js";

const at = { file: "sft.jsonl", row: 4 };
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const chat = { prompt: [user("a")], completion: [assistant("b")] };

describe("SFT examples", () => {
  it.each<[string, Row, Row]>([
    ["prompt and completion as text", { prompt: "a", completion: " b", id: 1 }, { kind: "text_completion", prompt: "a", completion: " b" }],
    ["prompt and completion as messages", chat, { kind: "conversational_completion", ...chat }],
    ["messages", { messages: [user("a"), assistant("b")] }, { kind: "messages", messages: [user("a"), assistant("b")] }],
    ["text", { text: "a" }, { kind: "text", text: "a" }],
    ["empty text", { text: "" }, { kind: "text", text: "" }],
    [
      "prompt and completion beside messages and text",
      { ...chat, messages: [user("x")], text: "x" },
      { kind: "conversational_completion", ...chat },
    ],
    ["messages beside a prompt of their own", { prompt: "a", messages: [user("a")] }, { kind: "messages", messages: [user("a")] }],
    [
      "messages beside empty cells",
      { prompt: null, completion: null, messages: [user("a")], text: null },
      { kind: "messages", messages: [user("a")] },
    ],
  ])("accepts %s", (_, row, expected) => expect(sftExample(row, at)).toEqual({ ...expected, ...at }));

  it("reads text from the column dataset_text_field", () => {
    expect(sftExample({ content: "a", text: "b" }, at, { dataset_text_field: "content" })).toEqual({ kind: "text", text: "a", ...at });
    expect(() => sftExample({ text: "b" }, at, { dataset_text_field: "" })).toThrow(
      expect.objectContaining({ name: "ConfigError", code: "option_type" }),
    );
  });

  it("passes tools and template variables through, as values or as JSON text", () => {
    const extras = { tools: [{ name: "f" }], chat_template_kwargs: { enable_thinking: false } };
    const stored = { tools: JSON.stringify(extras.tools), chat_template_kwargs: JSON.stringify(extras.chat_template_kwargs) };
    expect(sftExample({ ...chat, ...stored }, at)).toMatchObject(extras);
    expect(sftExample({ messages: [user("a")], ...extras }, at)).toMatchObject(extras);
  });

  it.each<[string, Row, string, string]>([
    [
      "no known column",
      { words: "a" },
      "data_columns",
      "SFT rows need the columns prompt and completion, or messages, or text; got words (missing: messages, text); rename the columns",
    ],
    ["a misspelt column", { message: [user("a")] }, "data_columns", 'did you mean dataset.rename_column("message", "messages")?'],
    ["conversations", { conversations: [] }, "data_columns", 'did you mean dataset.rename_column("conversations", "messages")?'],
    ["a prompt alone", { prompt: "a", answer: "b" }, "data_columns", "(missing: completion); rename the columns"],
    [
      "an empty completion cell",
      { prompt: "a", completion: null },
      "data_type",
      "completion must be text or a list of messages, got null; fill it in or drop the row",
    ],
    ["a number as text", { text: 3 }, "data_type", "text must be text, got a number (3); turn it into text with dataset.map"],
    ["half a character", { text: "\uD83C" }, "data_encoding", "text must be well-formed Unicode"],
    ["text and messages", { ...chat, prompt: "a" }, "data_type", "prompt must be a list of messages like completion, got text"],
    ["messages and text", { ...chat, completion: "b" }, "data_type", "prompt must be text like completion, got a list of messages"],
    [
      "an answered prompt",
      { ...chat, prompt: [assistant("a")] },
      "data_role",
      "prompt must end with the turn that is answered (user or tool), got assistant; move that turn into completion",
    ],
    [
      "a completion by the user",
      { ...chat, completion: [user("a")] },
      "data_role",
      "completion must start with an assistant message, got user",
    ],
    ["no messages", { messages: [] }, "data_empty", "messages must have at least one message"],
    ["tools of text", { text: "a", tools: [] }, "data_type", "tools needs a conversational row"],
    ["broken tools", { messages: [user("a")], tools: "[" }, "data_malformed", "tools must be JSON"],
  ])("refuses %s", (_, row, code, message) => {
    expect(() => sftExample(row, at)).toThrow(
      expect.objectContaining({ name: "DataError", code, ...at, message: expect.stringContaining(message) as string }),
    );
  });

  it("refuses rows of different kinds, and names both", () => {
    const mixed =
      (...rows: Row[]): (() => unknown) =>
      () =>
        sftExamples(Dataset.from_rows(rows, { file: "mixed.jsonl" }));
    const failure = (row: number, message: string): Error =>
      expect.objectContaining({
        code: "data_kind",
        file: "mixed.jsonl",
        row,
        message: expect.stringContaining(message) as string,
      }) as Error;
    expect(mixed({ text: "a" }, { text: "b" }, { messages: [user("a")] })).toThrow(
      failure(
        2,
        "mixed.jsonl row 2: rows of one data set must be of one kind, got messages where mixed.jsonl row 0 has text (column text); train on each kind by itself, or write all rows as messages",
      ),
    );
    expect(mixed({ prompt: "a", completion: "b" }, { text: "b" })).toThrow(
      failure(1, "got text (column text) where mixed.jsonl row 0 has prompt and completion"),
    );
    expect(mixed({ prompt: "a", completion: "b" }, chat)).toThrow(
      failure(1, "got prompt and completion as messages where mixed.jsonl row 0 has prompt and completion as text"),
    );
    // Not another kind, only a gap.
    expect(mixed({ text: "a" }, { text: null })).toThrow(expect.objectContaining({ code: "data_type", row: 1 }));
  });

  it("refuses no rows, and no known column before any row", () => {
    expect(() => sftExamples(Dataset.from_rows([]))).toThrow(expect.objectContaining({ code: "data_empty" }));
    expect(() => sftExamples(Dataset.from_rows([{ words: "a" }], { file: "w.csv" }))).toThrow(
      expect.objectContaining({ code: "data_columns", file: "w.csv", row: undefined }),
    );
  });
});
