import { describe, expect, it } from "vitest";
import {
  Dataset,
  isConversational,
  load_dataset,
  preferenceExample,
  preferenceExamples,
  type Message,
  type Row,
} from "../../src/data/index.js";
import { golden } from "./fixtures.js";

const at = { file: "pairs.jsonl", row: 4 };
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });

describe("preference examples", () => {
  it.each([
    ["pairs.jsonl", 16, false],
    ["pairs_edge.jsonl", 8, false],
    ["pairs_conversational.jsonl", 8, true],
    ["pairs_implicit.jsonl", 4, true],
    ["pairs_implicit_text.jsonl", 4, false],
  ])("accepts every row of %s, with its place", async (name, length, conversational) => {
    const examples = preferenceExamples(await load_dataset(golden(name)));
    expect(examples).toHaveLength(length);
    examples.forEach((example, row) => {
      expect(example).toMatchObject({ file: golden(name), row });
      expect(isConversational(example)).toBe(conversational);
    });
  });

  it.each([
    ["the cat sat", "the cat ran", "the cat", " sat", " ran"],
    ["abc", "abd", "ab", "c", "d"],
    // Code points, not UTF-16 units: both emoji begin with the same unit.
    ["x🍵", "x🍶", "x", "🍵", "🍶"],
    // A common beginning up to one text's end leaves that text its last character.
    ["ab", "abc", "a", "b", "bc"],
    ["same", "same", "sam", "e", "e"],
    ["a", "b", "", "a", "b"],
    ["a ", "b ", "", "a ", "b "],
  ])("splits %j and %j at %j", (chosen, rejected, prompt, restChosen, restRejected) => {
    expect(preferenceExample({ chosen, rejected }, at)).toEqual({ prompt, chosen: restChosen, rejected: restRejected, ...at });
  });

  it("takes the common messages as the prompt, also beside a prompt as text", () => {
    const row = { chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c"), user("d"), assistant("e")] };
    const expected = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c"), user("d"), assistant("e")], ...at };
    expect(preferenceExample(row, at)).toEqual(expected);
    expect(preferenceExample({ prompt: "a", ...row }, at)).toEqual(expected);
    // Messages are equal by their fields, in whatever order those are written.
    expect(
      preferenceExample({ ...row, rejected: [{ content: "a", role: "user" }, assistant("c"), user("d"), assistant("e")] }, at),
    ).toMatchObject({ prompt: [user("a")] });
  });

  it("passes tools and template variables through, as values or as JSON text", () => {
    const row = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
    const extras = { tools: [{ name: "f" }], chat_template_kwargs: { enable_thinking: false } };
    expect(preferenceExample({ ...row, ...extras }, at)).toMatchObject(extras);
    expect(
      preferenceExample(
        { ...row, tools: JSON.stringify(extras.tools), chat_template_kwargs: JSON.stringify(extras.chat_template_kwargs) },
        at,
      ),
    ).toMatchObject(extras);
    expect(preferenceExample({ ...row, tools: null, chat_template_kwargs: null }, at)).toEqual({ ...row, ...at });
    const calls: Message = { role: "assistant", content: null, tool_calls: [{ name: "f" }] };
    expect(preferenceExample({ ...row, prompt: [user("a"), calls, { role: "tool", content: "1" }] }, at).prompt).toHaveLength(3);
  });

  it("allows an empty text completion on one side, and an empty prompt", () => {
    expect(preferenceExample({ prompt: "", chosen: "a", rejected: "" }, at)).toEqual({ prompt: "", chosen: "a", rejected: "", ...at });
  });

  const text = { prompt: "p", chosen: "c", rejected: "r" };
  const chat = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
  it.each<[string, Row, string, string]>([
    ["null", { ...text, chosen: null }, "data_type", "chosen must be text or a list of messages, got null; fill it in or drop the row"],
    ["a number", { ...text, rejected: 7 }, "data_type", "rejected must be text, got a number (7); turn it into text with dataset.map"],
    ["a null prompt", { ...text, prompt: null }, "data_type", "prompt must be text, got null; fill it in or drop the row"],
    [
      "both completions empty",
      { ...text, chosen: "", rejected: "" },
      "data_empty",
      "chosen and rejected must not both be empty, got empty text twice; drop the row",
    ],
    [
      "empty text without a prompt",
      { chosen: "a", rejected: "" },
      "data_empty",
      "rejected must not be empty when there is no prompt column",
    ],
    [
      "half a character",
      { ...text, chosen: "tea \ud83c" },
      "data_encoding",
      "chosen must be well-formed Unicode, got half a surrogate pair at character 4",
    ],
    ["text beside messages", { ...chat, rejected: "c" }, "data_type", "rejected must be a list of messages like chosen, got text"],
    ["messages beside text", { ...text, prompt: [user("a")] }, "data_type", "prompt must be text like chosen, got a list of messages"],
    ["a text prompt beside answers only", { ...chat, prompt: "a" }, "data_type", "prompt must be a list of messages like chosen, got text"],
    ["no message", { ...chat, rejected: [] }, "data_empty", "rejected must have at least one message, got an empty list; drop the row"],
    ["no prompt message", { ...chat, prompt: [] }, "data_empty", "prompt must have at least one message"],
    ["a list of texts", { ...chat, chosen: ["b"] }, "data_type", "chosen[0] must be a message {role, content}, got text"],
    [
      "ShareGPT's names",
      { ...chat, chosen: [{ from: "gpt", value: "b" }] },
      "data_type",
      'chosen[0] must have the fields role and content, got from, value; rename "from" to "role"',
    ],
    [
      "a foreign role",
      { ...chat, prompt: [{ role: "human", content: "a" }] },
      "data_role",
      "prompt[0].role must be one of system, developer, user, assistant, tool, got human; did you mean user?",
    ],
    [
      "a misspelt role",
      { ...chat, chosen: [{ role: "asistant", content: "a" }] },
      "data_role",
      "chosen[0].role must be one of system, developer, user, assistant, tool, got asistant; did you mean assistant?",
    ],
    ["a role that is no text", { ...chat, chosen: [{ role: 1, content: "a" }] }, "data_role", "chosen[0].role must be one of"],
    [
      "no content",
      { ...chat, chosen: [{ role: "assistant" }] },
      "data_type",
      "chosen[0].content must be text (only an assistant turn of tool calls may lack it), got only role",
    ],
    [
      "content in parts",
      { ...chat, chosen: [{ role: "assistant", content: [{ type: "text", text: "b" }] }] },
      "data_type",
      "chosen[0].content must be text, got a list; join its text parts into one text",
    ],
    [
      "an answer by the user",
      { ...chat, chosen: [user("b")] },
      "data_role",
      "chosen must start with an assistant message, got user; put what comes before the answer into prompt",
    ],
    [
      "an answer that ends with the user",
      { ...chat, rejected: [assistant("b"), user("c")] },
      "data_role",
      "rejected must end with an assistant message, got user",
    ],
    [
      "a prompt that ends with the assistant",
      { ...chat, prompt: [user("a"), assistant("b")] },
      "data_role",
      "prompt must end with the turn that is answered (user or tool), got assistant",
    ],
    [
      "both answers empty",
      { ...chat, chosen: [assistant("")], rejected: [assistant("")] },
      "data_empty",
      "chosen and rejected must not both be empty, got messages without content",
    ],
    [
      "no common message",
      { chosen: [user("a"), assistant("b")], rejected: [user("x"), assistant("b")] },
      "data_empty",
      "chosen and rejected must begin with the same messages when there is no prompt column",
    ],
    ["tools that are no list", { ...chat, tools: { name: "f" } }, "data_type", "tools must be a list of tool descriptions, got an object"],
    ["tools that are no JSON", { ...chat, tools: "[f" }, "data_malformed", 'tools must be JSON, got "[f"'],
    ["tools beside text", { ...text, tools: [{ name: "f" }] }, "data_type", "tools needs a conversational row"],
  ])("refuses %s, with file and row", (_, row, code, message) => {
    expect(() => preferenceExample(row, at)).toThrow(
      expect.objectContaining({
        name: "DataError",
        code,
        file: "pairs.jsonl",
        row: 4,
        message: expect.stringContaining(`pairs.jsonl row 4: ${message}`) as string,
      }),
    );
  });

  it("names the columns found, those needed and the nearest", () => {
    const wrong = Dataset.from_rows([{ question: "q", choosen: "c", reject: "r" }], { file: "wrong.csv" });
    expect(() => preferenceExamples(wrong)).toThrow(
      'wrong.csv: preference rows need the columns chosen and rejected, and prompt unless both begin with it; got question, choosen, reject (missing: chosen, rejected); did you mean dataset.rename_column("choosen", "chosen").rename_column("reject", "rejected")?',
    );
    const other = Dataset.from_rows([{ instruction: "q", output: "c" }], { file: "sft.csv" });
    expect(() => preferenceExamples(other)).toThrow(
      /got instruction, output \(missing: chosen, rejected\); rename the columns with dataset.rename_column\(from, to\)/,
    );
    expect(() => preferenceExamples(wrong.filter(() => false))).toThrow(expect.objectContaining({ code: "data_empty" }));
  });
});
