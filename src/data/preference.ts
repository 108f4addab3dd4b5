import { isDeepStrictEqual } from "node:util";
import { DataError, nearestName } from "../errors.js";
import type { Dataset } from "./dataset.js";
import { checkMessages, checkText, hasToolCalls, type Message } from "./messages.js";
import { describeValue, isPlainObject, type Row, type RowOrigin } from "./row.js";

interface PreferenceFields extends RowOrigin {
  /** Tool descriptions for the chat template; conversational rows only. */
  readonly tools?: readonly unknown[];
  /** Further variables for the chat template, such as `{ enable_thinking: false }`; conversational rows only. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

/** A pair as plain text: `chosen` and `rejected` continue `prompt` as they stand (mind the space between). */
export interface TextPreference extends PreferenceFields {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

/** A pair as messages: both completions start and end with the assistant. */
export interface ConversationalPreference extends PreferenceFields {
  readonly prompt: readonly Message[];
  readonly chosen: readonly Message[];
  readonly rejected: readonly Message[];
}

/** The one contract of preference data: every reader's rows become this, or a DataError that names file and row. */
export type PreferenceExample = TextPreference | ConversationalPreference;

/** Whether an example is made of messages. */
export function isConversational(example: PreferenceExample): example is ConversationalPreference {
  return typeof example.prompt !== "string";
}

/** Columns that preference rows are read from; others are ignored. */
const COLUMNS = ["prompt", "chosen", "rejected", "tools", "chat_template_kwargs"] as const;

/**
 * All rows of a data set as preference examples.
 * @throws DataError `data_columns` when chosen or rejected is missing (names the columns found and the nearest); and as `preferenceExample`
 */
export function preferenceExamples(dataset: Dataset): PreferenceExample[] {
  if (dataset.length === 0)
    throw new DataError("data_empty", "preference data must have at least one row, got none; check the file and the filters before");
  requireColumns(dataset.column_names, dataset.origin(0).file);
  return dataset.rows().map((row, i) => preferenceExample(row, dataset.origin(i)));
}

/**
 * One row → one example. Accepted are
 * - standard: prompt, chosen, rejected as text;
 * - conversational: all three as message lists;
 * - implicit prompt: no prompt column; the prompt is the longest common beginning of chosen and rejected (characters or messages),
 *   without the last character or message when they are equal. A space just before the difference belongs to the completions. The
 *   same holds when prompt is text beside full conversations (as in UltraFeedback): the text is there only for display.
 *
 * An empty text completion is allowed on one side (the model then learns to end at once), not on both.
 * @throws DataError `data_columns`, `data_type`, `data_role`, `data_empty`, `data_encoding`, each with file and row
 */
export function preferenceExample(row: Row, at: RowOrigin): PreferenceExample {
  requireColumns(Object.keys(row), at.file, at.row);
  const chosen: unknown = row["chosen"];
  const conversational = Array.isArray(chosen);
  if (!conversational && typeof chosen !== "string") {
    throw new DataError(
      "data_type",
      `chosen must be text or a list of messages, got ${describeValue(chosen)}; ${chosen === null ? "fill it in or drop the row" : "turn it into text with dataset.map"}`,
      at,
    );
  }
  const extras = { ...templateFields(row, conversational, at), ...at };
  return conversational ? conversationalExample(row, extras) : textExample(row, extras);
}

function requireColumns(found: readonly string[], file: string | undefined, row?: number): void {
  const missing = ["chosen", "rejected"].filter((name) => !found.includes(name));
  if (missing.length === 0) return;
  const spare = found.filter((name) => !(COLUMNS as readonly string[]).includes(name));
  const renames = missing.flatMap((name) => {
    const nearest = nearestName(name, spare);
    return nearest === undefined ? [] : [`rename_column("${nearest}", "${name}")`];
  });
  const advice =
    renames.length > 0 ? `did you mean dataset.${renames.join(".")}?` : "rename the columns with dataset.rename_column(from, to)";
  throw new DataError(
    "data_columns",
    `preference rows need the columns chosen and rejected, and prompt unless both begin with it; got ${found.join(", ") || "no columns"} (missing: ${missing.join(", ")}); ${advice}`,
    { file, row },
  );
}

function textExample(row: Row, at: PreferenceFields): TextPreference {
  const chosen = checkText(row["chosen"], "chosen", at);
  const rejected = checkSameKind(row["rejected"], "rejected", at);
  const explicit =
    "prompt" in row ? { prompt: checkSameKind(row["prompt"], "prompt", at), chosen, rejected } : splitTexts(chosen, rejected, at);
  if (explicit.chosen === "" && explicit.rejected === "") {
    throw new DataError("data_empty", "chosen and rejected must not both be empty, got empty text twice; drop the row", at);
  }
  return { ...explicit, ...at };
}

function checkSameKind(value: unknown, column: string, at: RowOrigin): string {
  if (Array.isArray(value)) {
    throw new DataError(
      "data_type",
      `${column} must be text like chosen, got a list of messages; write all of a row as text, or all as messages`,
      at,
    );
  }
  return checkText(value, column, at);
}

/** Longest common beginning, counted in code points as Python counts characters. */
function splitTexts(chosen: string, rejected: string, at: RowOrigin): { prompt: string; chosen: string; rejected: string } {
  if (chosen === "" || rejected === "") {
    throw new DataError(
      "data_empty",
      `${chosen === "" ? "chosen" : "rejected"} must not be empty when there is no prompt column, got empty text; drop the row`,
      at,
    );
  }
  const [a, b] = [[...chosen], [...rejected]];
  const shorter = Math.min(a.length, b.length);
  let length = 0;
  while (length < shorter && a[length] === b[length]) length += 1;
  // Equal up to the shorter one's end: its last character stays, so that no completion is empty.
  if (length === shorter) length -= 1;
  else if (length > 0 && a[length - 1] === " ") length -= 1;
  const from = a.slice(0, length).join("").length;
  return { prompt: chosen.slice(0, from), chosen: chosen.slice(from), rejected: rejected.slice(from) };
}

function conversationalExample(row: Row, at: PreferenceFields): ConversationalPreference {
  const chosen = checkMessages(row["chosen"], "chosen", at);
  if (typeof row["rejected"] === "string") {
    throw new DataError(
      "data_type",
      "rejected must be a list of messages like chosen, got text; write all of a row as text, or all as messages",
      at,
    );
  }
  const rejected = checkMessages(row["rejected"], "rejected", at);
  const implicit = !("prompt" in row) || (typeof row["prompt"] === "string" && chosen[0]!.role !== "assistant");
  if (!implicit && typeof row["prompt"] === "string") {
    throw new DataError(
      "data_type",
      'prompt must be a list of messages like chosen, got text; write it as [{"role": "user", "content": ...}]',
      at,
    );
  }
  const parts = implicit
    ? splitConversations(chosen, rejected, at)
    : { prompt: checkMessages(row["prompt"], "prompt", at), chosen, rejected };
  if (parts.prompt.at(-1)!.role === "assistant") {
    throw new DataError(
      "data_role",
      "prompt must end with the turn that is answered (user or tool), got assistant; move that turn into chosen and rejected",
      at,
    );
  }
  checkCompletion(parts.chosen, "chosen", at);
  checkCompletion(parts.rejected, "rejected", at);
  if ([...parts.chosen, ...parts.rejected].every((message) => (message.content ?? "") === "" && !hasToolCalls(message))) {
    throw new DataError("data_empty", "chosen and rejected must not both be empty, got messages without content; drop the row", at);
  }
  return { ...parts, ...at };
}

function splitConversations(
  chosen: Message[],
  rejected: Message[],
  at: RowOrigin,
): { prompt: Message[]; chosen: Message[]; rejected: Message[] } {
  const shorter = Math.min(chosen.length, rejected.length);
  let length = 0;
  while (length < shorter && isDeepStrictEqual(chosen[length], rejected[length])) length += 1;
  if (length === shorter) length -= 1;
  if (length === 0) {
    throw new DataError(
      "data_empty",
      "chosen and rejected must begin with the same messages when there is no prompt column, got no common message; add a prompt column",
      at,
    );
  }
  return { prompt: chosen.slice(0, length), chosen: chosen.slice(length), rejected: rejected.slice(length) };
}

function checkCompletion(messages: readonly Message[], column: string, at: RowOrigin): void {
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

/** `tools` and `chat_template_kwargs` may be JSON text, as data sets on the Hub store them. */
function templateFields(row: Row, conversational: boolean, at: RowOrigin): Pick<PreferenceFields, "tools" | "chat_template_kwargs"> {
  const tools = parseField(row, "tools", at);
  const variables = parseField(row, "chat_template_kwargs", at);
  if (tools !== undefined && !Array.isArray(tools))
    throw new DataError("data_type", `tools must be a list of tool descriptions, got ${describeValue(tools)}`, at);
  if (variables !== undefined && !isPlainObject(variables))
    throw new DataError("data_type", `chat_template_kwargs must be an object, got ${describeValue(variables)}`, at);
  if (!conversational && (tools !== undefined || variables !== undefined)) {
    const name = tools !== undefined ? "tools" : "chat_template_kwargs";
    throw new DataError(
      "data_type",
      `${name} needs a conversational row, because a text row has no chat template; write messages, or remove the column`,
      at,
    );
  }
  return { ...(tools === undefined ? {} : { tools }), ...(variables === undefined ? {} : { chat_template_kwargs: variables }) };
}

function parseField(row: Row, column: string, at: RowOrigin): unknown {
  const value: unknown = row[column];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as unknown;
  } catch (error) {
    throw new DataError(
      "data_malformed",
      `${column} must be JSON, got ${JSON.stringify(value.slice(0, 60))}; ${(error as Error).message}`,
      at,
      { cause: error },
    );
  }
}
