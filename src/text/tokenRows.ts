import type { ConversationalCompletion, TextCompletion } from "../data/completion.js";
import type { Message } from "../data/messages.js";
import { describeOrigin, type RowOrigin } from "../data/row.js";
import type { TemplateFields } from "../data/templateFields.js";
import { ConfigError, DataError, ModelError } from "../errors.js";
import type { PreTrainedTokenizer } from "./tokenizer.js";

/** A row that has no place in training, and why. */
export interface DroppedRow extends RowOrigin {
  readonly reason: string;
}

/** Ids of one sequence and which of them are scored; both of one length. */
export interface MaskedSequence {
  readonly input_ids: number[];
  readonly completion_mask: number[];
}

/** @throws ConfigError `option_range` */
export function checkMaxLength(where: string, maxLength: number | null): void {
  if (maxLength === null || (Number.isInteger(maxLength) && maxLength >= 1)) return;
  throw new ConfigError("option_range", `${where}: max_length must be an integer >= 1 or null, got ${String(maxLength)}`);
}

/** @throws ConfigError `option_range` */
export function checkTruncationMode(where: string, mode: string): void {
  if (mode === "keep_start" || mode === "keep_end") return;
  throw new ConfigError("option_range", `${where}: truncation_mode must be keep_start or keep_end, got ${mode}`);
}

/** The end token that closes plain text. @throws ModelError `eos_token_missing` */
export function requireEndToken(tokenizer: PreTrainedTokenizer): string {
  const eos = tokenizer.eos_token;
  if (eos !== null) return eos;
  throw new ModelError(
    "eos_token_missing",
    `${tokenizer.name_or_path}: plain-text rows need an end token, got a tokenizer without eos_token; set tokenizer.eos_token`,
  );
}

/** Text with the end token, unless it is there already. */
export function closeText(text: string, eos: string): string {
  return text.endsWith(eos) ? text : text + eos;
}

/** Ids of a conversation in its chat template; the template's refusal names the row. @throws DataError `data_template` */
export function conversationIds(
  messages: readonly Message[],
  { tools, chat_template_kwargs, ...at }: TemplateFields,
  tokenizer: PreTrainedTokenizer,
  add_generation_prompt = false,
): number[] {
  return namingRow(at, () => tokenizer.apply_chat_template(messages, { tools, chat_template_kwargs, add_generation_prompt }));
}

/** Runs `call`; where the chat template refuses, the error names the row. @throws DataError `data_template` */
export function namingRow<T>(at: RowOrigin, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof ModelError) || error.code !== "chat_template_failed") throw error;
    throw new DataError("data_template", error.message, originOf(at), { cause: error });
  }
}

/** Ids of the prompt alone, and of prompt + completion: the completion's ids are those beyond the prompt's number. */
export function completionIds(
  example: TextCompletion | ConversationalCompletion,
  tokenizer: PreTrainedTokenizer,
): { prompt: number[]; whole: number[] } {
  const { prompt, completion } = example;
  if (typeof prompt === "string") {
    const closed = closeText(completion as string, requireEndToken(tokenizer));
    return { prompt: tokenizer.encode(prompt), whole: tokenizer.encode(prompt + closed) };
  }
  return {
    prompt: conversationIds(prompt, example, tokenizer, true),
    whole: conversationIds([...prompt, ...(completion as readonly Message[])], example, tokenizer),
  };
}

/** The error for a completion that leaves no token beyond the prompt's. */
export function mergedCompletion(column: string, promptLength: number, at: RowOrigin): DataError {
  return new DataError(
    "data_empty",
    `${column} must have tokens after the prompt's ${promptLength}, got none: prompt and ${column} merge into fewer tokens; move the cut between them (a space belongs to the completion)`,
    originOf(at),
  );
}

/** The warning about prompts whose own ids do not begin the ids of prompt + completion. @param torn those rows, of `total` `things` */
export function tornWarning(torn: readonly RowOrigin[], total: number, things: string): string[] {
  if (torn.length === 0) return [];
  return [
    `in ${torn.length} of ${total} ${things} the prompt's tokens do not begin the tokens of prompt + completion, so tokens at the seam are lost (${listOrigins(torn)}); end prompts without a space or half a word`,
  ];
}

/** The warning about rows whose prompt leaves no room for the completion. */
export function longPromptWarning(dropped: readonly DroppedRow[], total: number, maxLength: number | null): string[] {
  if (dropped.length === 0) return [];
  return [
    `${dropped.length} of ${total} rows are dropped because their prompt alone reaches max_length ${maxLength} (${listOrigins(dropped)}); raise max_length to keep them`,
  ];
}

/** The first five places, and how many more there are. */
export function listOrigins(origins: readonly RowOrigin[]): string {
  const shown = origins.slice(0, 5).map(describeOrigin).join(", ");
  return origins.length > 5 ? `${shown} and ${origins.length - 5} more` : shown;
}

/** Only the place of a row. */
export function originOf(example: RowOrigin): RowOrigin {
  return example.file === undefined ? { row: example.row } : { file: example.file, row: example.row };
}

/** Whether `ids` begins with `prefix`. */
export function isPrefix(prefix: readonly number[], ids: readonly number[]): boolean {
  return prefix.length <= ids.length && prefix.every((id, i) => ids[i] === id);
}
