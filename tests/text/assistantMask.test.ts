import { beforeEach, describe, expect, it } from "vitest";
import { Dataset, sftExamples, type Message, type SftExample } from "../../src/data/index.js";
import { AutoTokenizer, tokenizeSft, type PreTrainedTokenizer } from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

interface GoldenFile {
  conversations: { messages: Message[]; tools?: unknown[]; ids: number[]; mask: string }[];
  datasets: {
    rows: Record<string, unknown>[];
    cases: { completion_only_loss: boolean | null; max_length: number | null; kept: { row: number; labels: number[] }[] }[];
  }[];
}
const file = readGolden<GoldenFile>("assistant_masks.json");

/** Writes what Qwen2.5's template writes. `GEN` and `END` stand for the marks around an assistant's turn. */
const TEMPLATE = `
{%- macro block(role, body) %}{{ '<|im_start|>' ~ role ~ '\\n' ~ body ~ '<|im_end|>\\n' }}{% endmacro %}
{%- set own = messages and messages[0].role == 'system' %}
{%- set system = messages[0].content if own else 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' %}
{%- if tools %}
    {%- set ns = namespace(list='') %}
    {%- for tool in tools %}{% set ns.list = ns.list ~ '\\n' ~ (tool | tojson) %}{% endfor %}
    {%- set system = system ~ '\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\nYou are provided with function signatures within <tools></tools> XML tags:\\n<tools>' ~ ns.list ~ '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>' %}
{%- endif %}
{{- block('system', system) }}
{%- for turn in messages %}
    {%- if turn.role == 'user' or (turn.role == 'system' and not loop.first) %}
        {{- block(turn.role, turn.content) }}
    {%- elif turn.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        GEN
        {%- if turn.content or not turn.tool_calls %}{{ '\\n' ~ turn.content }}{% endif %}
        {%- for call in turn.tool_calls or [] %}
            {{- '\\n<tool_call>\\n{"name": "' ~ call.function.name ~ '", "arguments": ' ~ (call.function.arguments | tojson) ~ '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
        END
    {%- elif turn.role == 'tool' %}
        {{- '<|im_start|>user' if messages[loop.index0 - 1].role != 'tool' else '' }}
        {{- '\\n<tool_response>\\n' ~ turn.content ~ '\\n</tool_response>' }}
        {{- '<|im_end|>\\n' if loop.last or messages[loop.index0 + 1].role != 'tool' else '' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

const fill = (open: string, close: string): string => TEMPLATE.replace("GEN", open).replace("END", close);
const templates = [
  { name: "a template without marks", template: fill("", "") },
  { name: "a marked template", template: fill("{%- generation %}", "{%- endgeneration %}") },
  { name: "a template marked with other white space", template: fill("{%-generation-%}", "{%- endgeneration -%}") },
];

let tokenizer: PreTrainedTokenizer;
beforeEach(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
});

describe.each(templates)("assistant_only_loss with $name equals TRL's", ({ template }) => {
  it.each(file.conversations.map((each, i) => ({ ...each, title: `conversation ${i}` })))("$title", ({ messages, tools, ids, mask }) => {
    tokenizer.chat_template = template;
    const example: SftExample = { kind: "messages", messages, ...(tools === undefined ? {} : { tools }), row: 0 };
    const { rows, warnings } = tokenizeSft([example], tokenizer, { assistant_only_loss: true });
    expect(rows[0]!.input_ids).toEqual(ids);
    expect(rows[0]!.labels.map((label) => (label === -100 ? "0" : "1")).join("")).toBe(mask);
    expect(rows[0]!.labels.filter((label, i) => label !== -100 && label !== ids[i])).toEqual([]);
    expect(warnings).toEqual([]);
  });

  const cases = file.datasets.flatMap(({ rows, cases: each }) =>
    each.map((one) => ({ ...one, rows, columns: Object.keys(rows[0]!).join() })),
  );
  it.each(cases)("labels of $columns, completion_only_loss $completion_only_loss, max_length $max_length", (each) => {
    tokenizer.chat_template = template;
    const { rows, dropped } = tokenizeSft(sftExamples(Dataset.from_rows(each.rows)), tokenizer, {
      assistant_only_loss: true,
      completion_only_loss: each.completion_only_loss,
      max_length: each.max_length,
    });
    expect(rows.map(({ row, labels }) => ({ row, labels }))).toEqual(each.kept);
    expect(rows.length + dropped.length).toBe(each.rows.length);
  });
});

describe("assistant_only_loss", () => {
  const at = { file: "chats.jsonl", row: 3 };
  const user = (content: string): Message => ({ role: "user", content });
  const assistant = (content: string): Message => ({ role: "assistant", content });
  const learn = (messages: Message[]): ReturnType<typeof tokenizeSft> =>
    tokenizeSft([{ kind: "messages", messages, ...at }], tokenizer, { assistant_only_loss: true });
  const learnt = (messages: Message[]): string => tokenizer.decode(learn(messages).rows[0]!.labels.filter((label) => label !== -100));
  const failure = (code: string, message: string): Error =>
    expect.objectContaining({ name: "DataError", code, ...at, message: expect.stringContaining(message) as string }) as Error;

  it("works with the tiny model's own template", () => {
    expect(learnt([user("One?"), assistant("Two."), user("Three?"), assistant("Four.")])).toBe("\nTwo.<|im_end|>\n\nFour.<|im_end|>\n");
  });

  it("takes whole tokens where a span ends inside one, and all tokens of a character of several", () => {
    tokenizer.chat_template =
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %};{% endfor %}";
    expect(tokenizer.encode("🐦").length).toBeGreaterThan(1);
    expect(learnt([user("a"), assistant("🐦")])).toBe("🐦");
  });

  it("warns where the marks leave out the end token", () => {
    tokenizer.chat_template = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>{% endfor %}";
    expect(learn([user("a"), assistant("b")]).warnings).toEqual([
      "in 1 of 1 rows the chat template's {% generation %} marks leave out the end token behind an assistant's turn, so the model does not learn to stop (chats.jsonl row 3); move {% endgeneration %} behind it",
    ]);
  });

  it("names the row whose turns cannot be found", () => {
    // Prints earlier answers differently, as templates do that drop earlier thinking.
    tokenizer.chat_template =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content if loop.last else '-' }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    expect(() => learn([user("a"), assistant("b"), user("c"), assistant("d")])).toThrow(
      failure(
        "data_template",
        "chats.jsonl row 3: assistant_only_loss: the chat template must render the messages up to assistant's turn 1 as the beginning of all 4, with the generation prompt before that turn, and it does not; put {% generation %} and {% endgeneration %} around the assistant's turn in tokenizer.chat_template, or write the rows as prompt and completion",
      ),
    );
    tokenizer.chat_template =
      "{% if not messages %}{{ raise_exception('no turn') }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}";
    expect(() => learn([assistant("b")])).toThrow(failure("data_template", "no turn"));
    // As Qwen2's: the default system message comes with the first turn.
    tokenizer.chat_template =
      "{% for m in messages %}{% if loop.first %}S:{% endif %}{{ m.content }};{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
    expect(() => learn([assistant("b")])).toThrow(
      failure("data_template", "begin the conversation with a user's turn, or put {% generation %}"),
    );
  });

  it("names the row without a turn to learn", () => {
    expect(() => learn([user("a"), { role: "system", content: "b" }, user("c")])).toThrow(
      failure("data_role", "assistant_only_loss needs an assistant's turn, got only user and system; drop the row"),
    );
    tokenizer.chat_template = "{# {% generation %} #}{% for m in messages %}{{ m.content }}{% generation %}{% endgeneration %}{% endfor %}";
    expect(() => learn([user("a"), assistant("b")])).toThrow(
      failure("data_template", "the chat template's marks must cover a token, got none"),
    );
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% generation %}{% endfor %}";
    expect(() => learn([user("a"), assistant("b")])).toThrow(
      failure("data_template", "must print its {% generation %} blocks unchanged and in pairs"),
    );
  });

  it("is refused for plain text", () => {
    for (const example of [
      { kind: "text", text: "a", row: 0 } as const,
      { kind: "text_completion", prompt: "a", completion: "b", row: 0 } as const,
    ]) {
      expect(() => tokenizeSft([example], tokenizer, { assistant_only_loss: true })).toThrow(
        expect.objectContaining({
          code: "option_conflict",
          message: expect.stringContaining("assistant_only_loss needs conversations") as string,
        }),
      );
    }
  });
});
