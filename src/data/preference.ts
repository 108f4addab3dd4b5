import { isDeepStrictEqual } from "node:util";
import { DataError } from "../errors.js";
import { checkCompletionEnds, checkPromptEnd, checkSameKind } from "./completion.js";
import type { Dataset } from "./dataset.js";
import { checkMessages, checkText, hasToolCalls, type Message } from "./messages.js";
import { missingColumns } from "./missingColumns.js";
import { describeValue, type Row, type RowOrigin } from "./row.js";
import { TEMPLATE_COLUMNS, templateFields, type TemplateFields } from "./templateFields.js";
import { hasTokenColumns, tokenPreference, type TokenPreference } from "./tokenRow.js";

/** A pair as plain text: `chosen` and `rejected` continue `prompt` as they stand (mind the space between). */
export interface TextPreference extends TemplateFields {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

/** A pair as messages: both completions start and end with the assistant. */
export interface ConversationalPreference extends TemplateFields {
  readonly prompt: readonly Message[];
  readonly chosen: readonly Message[];
  readonly rejected: readonly Message[];
}

/** The one contract of preference data: every reader's rows become this, or a DataError that names file and row. */
export type PreferenceExample = TextPreference | ConversationalPreference;

/** What the trainers on pairs take: an example, or one that is tokenised already. */
export type PreferencePair = PreferenceExample | TokenPreference;

/** Whether a pair is token ids already. */
export function isTokenPreference(pair: PreferencePair): pair is TokenPreference {
  return "prompt_ids" in pair;
}

/** Whether an example is made of messages. */
export function isConversational(example: PreferenceExample): example is ConversationalPreference {
  return typeof example.prompt !== "string";
}

/** Columns that preference rows are read from; others are ignored. */
const COLUMNS = ["prompt", "chosen", "rejected", ...TEMPLATE_COLUMNS] as const;

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
 * All rows of a data set as preference pairs. With any of the columns `prompt_ids`, `chosen_ids`, `rejected_ids` all rows are taken as token ids,
 * and other columns are ignored, as SFT does with `input_ids`; else they are as in `preferenceExamples`.
 * @throws DataError as `preferenceExamples` and `tokenPreference`
 */
export function preferencePairs(dataset: Dataset): PreferencePair[] {
  if (!hasTokenColumns(dataset.column_names)) return preferenceExamples(dataset);
  return dataset.rows().map((row, i) => tokenPreference(row, dataset.origin(i)));
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
  throw missingColumns(
    "preference rows need the columns chosen and rejected, and prompt unless both begin with it",
    missing,
    found,
    COLUMNS,
    { file, row },
  );
}

function textExample(row: Row, at: TemplateFields): TextPreference {
  const chosen = checkText(row["chosen"], "chosen", at);
  const rejected = checkSameKind(row["rejected"], "rejected", "chosen", at);
  const explicit =
    "prompt" in row ? { prompt: checkSameKind(row["prompt"], "prompt", "chosen", at), chosen, rejected } : splitTexts(chosen, rejected, at);
  if (explicit.chosen === "" && explicit.rejected === "") {
    throw new DataError("data_empty", "chosen and rejected must not both be empty, got empty text twice; drop the row", at);
  }
  return { ...explicit, ...at };
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

function conversationalExample(row: Row, at: TemplateFields): ConversationalPreference {
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
  checkPromptEnd(parts.prompt, "chosen and rejected", at);
  checkCompletionEnds(parts.chosen, "chosen", at);
  checkCompletionEnds(parts.rejected, "rejected", at);
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
