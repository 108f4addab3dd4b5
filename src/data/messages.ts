import { DataError, nearestName } from "../errors.js";
import { describeValue, isPlainObject, type Row, type RowOrigin } from "./row.js";

/** One turn of a conversation. Fields beyond these reach the chat template as they are. */
export interface Message {
  role: string;
  /** Null only for an assistant turn that consists of tool calls. */
  content: string | null;
  /** The speaker's or the tool's name, for templates that print it. */
  name?: string | null;
  /** Tools that an assistant turn calls. */
  tool_calls?: readonly unknown[] | null;
}

/** Roles that chat templates know. */
export const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;

/** Role names of other data formats → the one to write. */
const FOREIGN_ROLES: Readonly<Record<string, string>> = {
  human: "user",
  gpt: "assistant",
  bot: "assistant",
  model: "assistant",
  chatgpt: "assistant",
  function: "tool",
};

/** Checks that `value` is a list of messages. @throws DataError `data_type`, `data_role`, `data_empty`, `data_encoding` with the row */
export function checkMessages(value: unknown, column: string, at: RowOrigin): Message[] {
  if (!Array.isArray(value)) throw new DataError("data_type", `${column} must be a list of messages, got ${describeValue(value)}`, at);
  if (value.length === 0)
    throw new DataError("data_empty", `${column} must have at least one message, got an empty list; drop the row`, at);
  return value.map((message: unknown, i) => checkMessage(message, `${column}[${i}]`, at));
}

function checkMessage(message: unknown, where: string, at: RowOrigin): Message {
  if (!isPlainObject(message))
    throw new DataError("data_type", `${where} must be a message {role, content}, got ${describeValue(message)}`, at);
  const { role, content } = message;
  if (role === undefined) {
    const hint = "from" in message && "value" in message ? '; rename "from" to "role" and "value" to "content" with dataset.map' : "";
    throw new DataError(
      "data_type",
      `${where} must have the fields role and content, got ${Object.keys(message).join(", ") || "no field"}${hint}`,
      at,
    );
  }
  if (typeof role !== "string" || !(ROLES as readonly string[]).includes(role)) {
    const nearest = typeof role === "string" ? (FOREIGN_ROLES[role.toLowerCase()] ?? nearestName(role, ROLES)) : undefined;
    const advice = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    throw new DataError(
      "data_role",
      `${where}.role must be one of ${ROLES.join(", ")}, got ${typeof role === "string" ? role : describeValue(role)}${advice}`,
      at,
    );
  }
  if (content === null || content === undefined) {
    if (role === "assistant" && hasToolCalls(message)) return { ...message, role, content: null };
    const found = content === null ? "null" : `only ${Object.keys(message).join(", ")}`;
    throw new DataError("data_type", `${where}.content must be text (only an assistant turn of tool calls may lack it), got ${found}`, at);
  }
  if (typeof content !== "string") {
    const hint = Array.isArray(content) ? "; join its text parts into one text" : "";
    throw new DataError("data_type", `${where}.content must be text, got ${describeValue(content)}${hint}`, at);
  }
  return { ...message, role, content: checkText(content, `${where}.content`, at) };
}

/** Whether a message calls tools. */
export function hasToolCalls(message: { tool_calls?: unknown }): boolean {
  return Array.isArray(message.tool_calls) && message.tool_calls.length > 0;
}

/** Checks that `value` is well-formed text. @throws DataError `data_type`; `data_encoding` for half a surrogate pair, which has no UTF-8 */
export function checkText(value: unknown, column: string, at: RowOrigin): string {
  if (typeof value !== "string") {
    const advice = value === null || value === undefined ? "fill it in or drop the row" : "turn it into text with dataset.map";
    throw new DataError("data_type", `${column} must be text, got ${describeValue(value)}; ${advice}`, at);
  }
  const half = /\p{Surrogate}/u.exec(value);
  if (half !== null) {
    throw new DataError(
      "data_encoding",
      `${column} must be well-formed Unicode, got half a surrogate pair at character ${half.index}; a character was cut in two: repair or drop the row`,
      at,
    );
  }
  return value;
}

/** Whether a value looks like a conversation: a list whose first item has a role (or ShareGPT's `from`). */
export function looksConversational(value: unknown): boolean {
  return Array.isArray(value) && isPlainObject(value[0]) && ("role" in value[0] || "from" in value[0]);
}

/**
 * Cells that cannot hold lists (csv, xlsx, data frames) carry conversations as JSON text. If the first non-null cell of a column
 * is such text, all must be, and they are parsed; else the column stays as it is.
 * @throws DataError `data_malformed` for a cell that breaks the rule
 */
export function parseMessageColumn(cells: readonly unknown[], column: string, origins: readonly RowOrigin[]): unknown[] {
  const first = cells.find((cell) => cell !== null);
  if (typeof first !== "string" || !looksConversational(tryParse(first))) return [...cells];
  return cells.map((cell, i) => {
    if (cell === null) return null;
    const value = typeof cell === "string" ? tryParse(cell) : cell;
    if (!looksConversational(value)) {
      throw new DataError(
        "data_malformed",
        `${column} must hold messages as JSON text, as its first cell does, got ${JSON.stringify(cell)?.slice(0, 60) ?? "null"}`,
        origins[i],
      );
    }
    return value;
  });
}

/** `parseMessageColumn` over every column of a table that was read from `file`. */
export function parseMessageRows(rows: readonly Row[], columns: readonly string[], file: string): Row[] {
  const origins = rows.map((_, row) => ({ file, row }));
  const parsed = columns.map((name) =>
    parseMessageColumn(
      rows.map((row) => row[name] as unknown),
      name,
      origins,
    ),
  );
  return rows.map((_, i) => Object.fromEntries(columns.map((name, c) => [name, parsed[c]![i]])));
}

function tryParse(text: string): unknown {
  if (!text.trimStart().startsWith("[")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
