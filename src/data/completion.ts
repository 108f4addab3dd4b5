import { DataError } from "../errors.js";
import { checkMessages, checkText, type Message } from "./messages.js";
import { describeValue, type Row, type RowOrigin } from "./row.js";
import { templateFields, type TemplateFields } from "./templateFields.js";

/** A prompt and its answer as plain text: `completion` continues `prompt` as it stands (mind the space between). */
export interface TextCompletion extends TemplateFields {
  readonly prompt: string;
  readonly completion: string;
}

/** A prompt and its answer as messages: the completion starts and ends with the assistant. */
export interface ConversationalCompletion extends TemplateFields {
  readonly prompt: readonly Message[];
  readonly completion: readonly Message[];
}

/** One answer to one prompt: what SFT's prompt-completion rows and KTO's rows have in common. */
export type CompletionExample = TextCompletion | ConversationalCompletion;

/**
 * One row's prompt and completion, both as text or both as messages. Either text may be empty (an empty completion teaches to end at once).
 * @throws DataError `data_type`, `data_role`, `data_empty`, `data_encoding`, each with file and row
 */
export function completionExample(row: Row, at: RowOrigin): CompletionExample {
  const completion: unknown = row["completion"];
  const conversational = Array.isArray(completion);
  if (!conversational && typeof completion !== "string") {
    throw new DataError(
      "data_type",
      `completion must be text or a list of messages, got ${describeValue(completion)}; ${completion === null || completion === undefined ? "fill it in or drop the row" : "turn it into text with dataset.map"}`,
      at,
    );
  }
  const extras = { ...templateFields(row, conversational, at), ...at };
  if (!conversational)
    return {
      prompt: checkSameKind(row["prompt"], "prompt", "completion", at),
      completion: checkText(completion, "completion", at),
      ...extras,
    };
  if (typeof row["prompt"] === "string") {
    throw new DataError(
      "data_type",
      'prompt must be a list of messages like completion, got text; write it as [{"role": "user", "content": ...}]',
      at,
    );
  }
  const example = { prompt: checkMessages(row["prompt"], "prompt", at), completion: checkMessages(completion, "completion", at) };
  checkPromptEnd(example.prompt, "completion", at);
  checkCompletionEnds(example.completion, "completion", at);
  return { ...example, ...extras };
}

/** Text in a row whose column `like` is text. @throws DataError `data_type`, `data_encoding` */
export function checkSameKind(value: unknown, column: string, like: string, at: RowOrigin): string {
  if (Array.isArray(value)) {
    throw new DataError(
      "data_type",
      `${column} must be text like ${like}, got a list of messages; write all of a row as text, or all as messages`,
      at,
    );
  }
  return checkText(value, column, at);
}

/** @param completions the columns that the prompt's last turn should move into. @throws DataError `data_role` */
export function checkPromptEnd(prompt: readonly Message[], completions: string, at: RowOrigin): void {
  if (prompt.at(-1)!.role !== "assistant") return;
  throw new DataError(
    "data_role",
    `prompt must end with the turn that is answered (user or tool), got assistant; move that turn into ${completions}`,
    at,
  );
}

/** A completion starts and ends with the assistant. @throws DataError `data_role` */
export function checkCompletionEnds(messages: readonly Message[], column: string, at: RowOrigin): void {
  for (const [place, message] of [
    ["start", messages[0]],
    ["end", messages.at(-1)],
  ] as const) {
    if (message!.role !== "assistant") {
      throw new DataError(
        "data_role",
        `${column} must ${place} with an assistant message, got ${message!.role}; put what comes before the answer into prompt`,
        at,
      );
    }
  }
}
