import type { Message } from "../data/messages.js";
import type { TemplateFields } from "../data/templateFields.js";
import { DataError } from "../errors.js";
import { hasGenerationMarks, showGenerationMarks, takeGenerationMarks, type TextSpan } from "./generationMarks.js";
import type { PreTrainedTokenizer } from "./tokenizer.js";
import { namingRow, originOf } from "./tokenRows.js";

/** A conversation as ids, and which of them the assistant wrote. */
export interface MaskedConversation {
  readonly ids: number[];
  /** One for each id: whether it belongs to an assistant's turn. */
  readonly mask: boolean[];
  /** Whether the template's own marks leave out the end token that follows a turn. */
  readonly endless: boolean;
}

const ADVICE =
  "put {% generation %} and {% endgeneration %} around the assistant's turn in tokenizer.chat_template, or write the rows as prompt and completion";

/**
 * A conversation's ids and the assistant's share of them.
 *
 * A template with `{% generation %}` marks says itself what the assistant writes. Any other template is asked turn by turn: a turn is what the
 * rendering gains over the messages before it with the generation prompt, its end token included. White space that closes the generation
 * prompt counts as the turn's: so it is in TRL's marked template for Qwen2.5.
 *
 * A token is the assistant's when any of its bytes is. (TRL leaves out further tokens of a last character that takes several.)
 * @throws DataError `data_role` when no turn is the assistant's; `data_template` when the template refuses the row, its marks cover nothing, or
 *   its rendering of the first turns is not the beginning of the whole; each with file and row
 */
export function maskedConversation(
  messages: readonly Message[],
  fields: TemplateFields,
  tokenizer: PreTrainedTokenizer,
): MaskedConversation {
  const at = originOf(fields);
  if (!messages.some((message) => message.role === "assistant")) {
    throw new DataError(
      "data_role",
      `assistant_only_loss needs an assistant's turn, got only ${[...new Set(messages.map((message) => message.role))].join(" and ")}; drop the row`,
      at,
    );
  }
  const template = tokenizer.get_chat_template({ tools: fields.tools });
  const marked = hasGenerationMarks(template);
  const { text, spans } = marked ? markedTurns(messages, fields, tokenizer, template) : comparedTurns(messages, fields, tokenizer);
  const ids = tokenizer.encode(text, { add_special_tokens: false });
  const mask = tokensOf(spans, text, ids, tokenizer, fields);
  if (!mask.includes(true))
    throw new DataError("data_template", `assistant_only_loss: the chat template's marks must cover a token, got none; ${ADVICE}`, at);
  const eos = tokenizer.eos_token;
  return { ids, mask, endless: marked && eos !== null && spans.some(({ end }) => text.startsWith(eos, end)) };
}

function markedTurns(
  messages: readonly Message[],
  fields: TemplateFields,
  tokenizer: PreTrainedTokenizer,
  template: string,
): { text: string; spans: TextSpan[] } {
  const text = renderTurns(messages, fields, tokenizer);
  const taken = takeGenerationMarks(renderTurns(messages, fields, tokenizer, { chat_template: showGenerationMarks(template) }));
  if (taken !== null && taken.text === text) return taken;
  throw new DataError(
    "data_template",
    `assistant_only_loss: the chat template must print its {% generation %} blocks unchanged and in pairs, and it does not; ${ADVICE}`,
    originOf(fields),
  );
}

function comparedTurns(
  messages: readonly Message[],
  fields: TemplateFields,
  tokenizer: PreTrainedTokenizer,
): { text: string; spans: TextSpan[] } {
  const text = renderTurns(messages, fields, tokenizer);
  const spans = messages.flatMap((message, i) => {
    if (message.role !== "assistant") return [];
    const earlier = messages.slice(0, i);
    const opened = renderTurns(earlier, fields, tokenizer, { add_generation_prompt: true });
    const through = renderTurns(messages.slice(0, i + 1), fields, tokenizer);
    if (!through.startsWith(opened) || !text.startsWith(through)) {
      throw new DataError(
        "data_template",
        `assistant_only_loss: the chat template must render the messages up to assistant's turn ${i} as the beginning of all ${messages.length}, with the generation prompt before that turn, and it does not; ${i === 0 ? "begin the conversation with a user's turn, or " : ""}${ADVICE}`,
        originOf(fields),
      );
    }
    return [{ start: opened.length - closingSpace(opened, renderTurns(earlier, fields, tokenizer)), end: through.length }];
  });
  return { text, spans };
}

/** White space that the generation prompt itself adds at its end, in characters. */
function closingSpace(opened: string, earlier: string): number {
  const prompt = opened.startsWith(earlier) ? opened.slice(earlier.length) : "";
  return prompt.length - prompt.trimEnd().length;
}

function renderTurns(
  messages: readonly Message[],
  { tools, chat_template_kwargs, ...at }: TemplateFields,
  tokenizer: PreTrainedTokenizer,
  options: { add_generation_prompt?: boolean; chat_template?: string } = {},
): string {
  return namingRow(at, () => tokenizer.apply_chat_template(messages, { tools, chat_template_kwargs, ...options, tokenize: false }));
}

/** Which ids have a byte inside a span. Ids stand for the text after the tokenizer's normalizer (Qwen2: NFC), so spans are moved there. */
function tokensOf(
  spans: readonly TextSpan[],
  text: string,
  ids: readonly number[],
  tokenizer: PreTrainedTokenizer,
  fields: TemplateFields,
): boolean[] {
  const written = tokenizer.decode(ids);
  const normalize = written === text ? (part: string) => part : (part: string) => part.normalize("NFC");
  const byteAt = (character: number): number => {
    const before = normalize(text.slice(0, character));
    if (before + normalize(text.slice(character)) === written) return Buffer.byteLength(before);
    throw new DataError(
      "data_template",
      "assistant_only_loss: the tokens must stand for the text as it is or in Unicode's composed form, and they do not; use assistant_only_loss: false with this tokenizer",
      originOf(fields),
    );
  };
  const ranges = spans.map(({ start, end }) => ({ start: byteAt(start), end: byteAt(end) }));
  let offset = 0;
  return tokenizer.byteLengths(ids).map((bytes) => {
    const [from, to] = [offset, offset + bytes];
    offset = to;
    return ranges.some(({ start, end }) => from < end && to > start);
  });
}
