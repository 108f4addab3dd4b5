import { beforeAll, describe, expect, it } from "vitest";
import type { Message } from "../../src/data/index.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

interface Rendered {
  text: string;
  ids: number[];
}
const { cases } = readGolden<{ cases: { messages: Message[]; without_generation_prompt: Rendered; with_generation_prompt: Rendered }[] }>(
  "chat_cases.json",
);

describe.each(["tiny-qwen2", "bf16", "policy"])("chat template of %s equals the Python reference", (name) => {
  let tokenizer: PreTrainedTokenizer;
  beforeAll(async () => {
    tokenizer = await AutoTokenizer.from_pretrained(goldenPath(name));
  });

  it("covers 10 conversations", () => expect(cases).toHaveLength(10));

  it.each(cases.map((each, i) => [i, each] as const))(
    "conversation %i",
    (_, { messages, without_generation_prompt, with_generation_prompt }) => {
      expect(tokenizer.apply_chat_template(messages, { tokenize: false })).toBe(without_generation_prompt.text);
      expect(tokenizer.apply_chat_template(messages)).toEqual(without_generation_prompt.ids);
      expect(tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true })).toBe(with_generation_prompt.text);
      expect(tokenizer.apply_chat_template(messages, { add_generation_prompt: true })).toEqual(with_generation_prompt.ids);
    },
  );
});

describe("chat templates", () => {
  let tokenizer: PreTrainedTokenizer;
  const messages: Message[] = [{ role: "user", content: "Is ice warm?" }];
  beforeAll(async () => {
    tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
  });

  it("leaves the last message open with continue_final_message", () => {
    const open: Message[] = [...messages, { role: "assistant", content: "Ice is " }];
    const text = tokenizer.apply_chat_template(open, { tokenize: false, continue_final_message: true });
    expect(text).toBe(`${tokenizer.apply_chat_template(messages, { tokenize: false })}<|im_start|>assistant\nIce is `);
    expect(() => tokenizer.apply_chat_template(open, { continue_final_message: true, add_generation_prompt: true })).toThrow(
      expect.objectContaining({ name: "ConfigError", code: "option_conflict" }),
    );
  });

  it("gives templates the tools, special tokens and further variables", () => {
    const chat_template =
      "{{ eos_token }}|{{ tools | tojson }}|{{ 'on' if enable_thinking else 'off' }}|{{ nothing }}|{{ messages | length }}";
    const text = tokenizer.apply_chat_template(messages, {
      tokenize: false,
      chat_template,
      tools: [{ name: "سوق", size: 1 }],
      chat_template_kwargs: { enable_thinking: false },
    });
    // JSON with the separators of Python's json.dumps(ensure_ascii=False); an undefined variable prints nothing.
    expect(text).toBe('<|im_end|>|[{"name": "سوق", "size": 1}]|off||1');
  });

  it("says what to do without a template", async () => {
    const own = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    own.chat_template = null;
    expect(() => own.apply_chat_template(messages)).toThrow(
      /conversations need a chat template, got a tokenizer without one; use the Instruct variant of the model, set tokenizer.chat_template/,
    );
    expect(() => own.apply_chat_template(messages)).toThrow(expect.objectContaining({ name: "ModelError", code: "chat_template_missing" }));
    own.chat_template = "{{ messages[0].content }}";
    expect(own.apply_chat_template(messages, { tokenize: false })).toBe("Is ice warm?");
  });

  it("passes on a template's own refusal, and names unknown options", () => {
    expect(() => tokenizer.apply_chat_template(messages, { chat_template: "{{ raise_exception('Only one turn!') }}" })).toThrow(
      expect.objectContaining({ code: "chat_template_failed", message: expect.stringContaining("Only one turn!") as string }),
    );
    expect(() => tokenizer.apply_chat_template(messages, { chat_template: "{% if %}" })).toThrow(
      expect.objectContaining({ code: "chat_template_failed" }),
    );
    expect(() => tokenizer.apply_chat_template(messages, { add_generation_promt: true } as object)).toThrow(
      "apply_chat_template: options must be known, got add_generation_promt; did you mean add_generation_prompt?",
    );
  });
});
