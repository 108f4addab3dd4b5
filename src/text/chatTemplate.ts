import { Template } from "@huggingface/jinja";
import type { Message } from "../data/messages.js";
import { ConfigError, ModelError, nearestName } from "../errors.js";
import type { ChatTemplates } from "./tokenizerFiles.js";

/** Options of `apply_chat_template`. */
export interface ChatTemplateOptions {
  /** Return ids (true, the default) or the rendered text. */
  tokenize?: boolean;
  /** Append the opening of the assistant's turn; default false. */
  add_generation_prompt?: boolean;
  /** Leave the last message open, so that a model continues it; default false. */
  continue_final_message?: boolean;
  /** Tool descriptions (JSON schema), for templates that know tools. */
  tools?: readonly unknown[] | null;
  /** Documents, for templates that know them. */
  documents?: readonly unknown[] | null;
  /** The name of one of the tokenizer's templates, or a template as text; default the tokenizer's own (`tool_use` when tools are given). */
  chat_template?: string;
  /** Further variables of the template, such as `{ enable_thinking: false }`. */
  chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

const OPTION_NAMES: readonly (keyof ChatTemplateOptions)[] = [
  "tokenize",
  "add_generation_prompt",
  "continue_final_message",
  "tools",
  "documents",
  "chat_template",
  "chat_template_kwargs",
];

/** Private-use characters that no text holds, as the mark of where the last message ends. */
const END_MARK = "\uE0F1\uE0F2CONTINUE\uE0F2\uE0F1";

const compiled = new Map<string, Template>();

/** The template to use: by name, as text, or the default.
 *  @throws ModelError `chat_template_missing` when the tokenizer has none */
export function chooseTemplate(templates: ChatTemplates, options: ChatTemplateOptions, where: string): string {
  const { chat_template: wanted, tools } = options;
  if (wanted !== undefined) return templates[wanted] ?? wanted;
  if (tools !== undefined && tools !== null && templates["tool_use"] !== undefined) return templates["tool_use"];
  if (templates["default"] !== undefined) return templates["default"];
  const names = Object.keys(templates);
  const advice =
    names.length > 0
      ? `choose one of its templates with { chat_template: "${names[0]!}" } (${names.join(", ")})`
      : "use the Instruct variant of the model, set tokenizer.chat_template, pass { chat_template }, or write the data as plain text";
  throw new ModelError(
    "chat_template_missing",
    `${where}: conversations need a chat template, got a tokenizer without ${names.length > 0 ? "a default one" : "one"}; ${advice}`,
  );
}

/**
 * Renders messages with a Jinja template, with transformers' settings (trim_blocks, lstrip_blocks) and variables.
 * @param specialTokens eos_token, pad_token, …, which templates may print
 * @throws ModelError `chat_template_failed` when the template refuses the messages (`raise_exception`) or cannot be parsed
 */
export function renderTemplate(
  template: string,
  messages: readonly Message[],
  options: ChatTemplateOptions,
  specialTokens: Readonly<Record<string, string>>,
): string {
  for (const name of Object.keys(options)) {
    if ((OPTION_NAMES as readonly string[]).includes(name)) continue;
    const nearest = nearestName(name, OPTION_NAMES);
    throw new ConfigError(
      "option_unknown",
      `apply_chat_template: options must be known, got ${name}; ${nearest === undefined ? "give variables of the template in chat_template_kwargs" : `did you mean ${nearest}?`}`,
    );
  }
  if (options.continue_final_message !== true) return render(template, messages, options, specialTokens);
  if (options.add_generation_prompt === true) {
    throw new ConfigError(
      "option_conflict",
      "apply_chat_template: add_generation_prompt opens a new turn and continue_final_message leaves the last open; choose one",
    );
  }
  const last = messages.at(-1);
  if (typeof last?.content !== "string")
    throw new ModelError("chat_template_failed", "apply_chat_template: continue_final_message needs a last message with text to continue");
  const marked = [...messages.slice(0, -1), { ...last, content: last.content + END_MARK }];
  const text = render(template, marked, options, specialTokens);
  const end = text.lastIndexOf(END_MARK);
  if (end === -1)
    throw new ModelError(
      "chat_template_failed",
      "apply_chat_template: continue_final_message needs the template to print the last message whole, and it does not",
    );
  return text.slice(0, end);
}

function render(
  template: string,
  messages: readonly Message[],
  options: ChatTemplateOptions,
  specialTokens: Readonly<Record<string, string>>,
): string {
  let program = compiled.get(template);
  try {
    if (program === undefined) {
      program = new Template(template);
      compiled.set(template, program);
    }
    return program.render({
      ...specialTokens,
      ...options.chat_template_kwargs,
      messages: messages.map(withoutUndefined),
      tools: options.tools ?? null,
      documents: options.documents ?? null,
      add_generation_prompt: options.add_generation_prompt ?? false,
    });
  } catch (error) {
    throw new ModelError("chat_template_failed", `apply_chat_template: the chat template failed; ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function withoutUndefined(message: Message): Record<string, unknown> {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined));
}
