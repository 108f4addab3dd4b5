import { ConfigError, DataError, nearestName } from "../errors.js";
import { looksConversational, type Message } from "./messages.js";
import { describeValue, type Row } from "./row.js";

/** Length of a text in characters (Unicode code points: an emoji of two UTF-16 units is one; a base letter and its mark are two). */
export function characterLength(text: string): number {
  let length = text.length;
  for (let i = 1; i < text.length; i++) {
    const isPair = (text.charCodeAt(i - 1) & 0xfc00) === 0xd800 && (text.charCodeAt(i) & 0xfc00) === 0xdc00;
    if (isPair) {
      length -= 1;
      i += 1;
    }
  }
  return length;
}

/** Options of `filterByLength`. */
export interface LengthFilter {
  /** Fewest characters, inclusive; default 0. */
  min?: number;
  /** Most characters, inclusive; default no limit. */
  max?: number;
  /** Columns that must all lie in the range; default prompt, chosen, rejected. */
  columns?: readonly string[];
}

/**
 * A predicate for `dataset.filter`: keeps a row whose every named column has min to max characters (code points). A conversation
 * counts the sum of its messages' contents.
 * @throws ConfigError for a range that is none; DataError (when applied) for a column that is missing or not text
 */
export function filterByLength(options: LengthFilter): (row: Row) => boolean {
  const { min = 0, max = Infinity, columns = ["prompt", "chosen", "rejected"] } = options;
  const known = ["min", "max", "columns"];
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new ConfigError(
      "option_unknown",
      `filterByLength: options must be known, got ${name}; did you mean ${nearestName(name, known) ?? known.join(", ")}?`,
    );
  }
  if (!(min >= 0) || !(max >= min)) {
    throw new ConfigError("option_range", `filterByLength: must have 0 <= min <= max, got min ${min} and max ${max}`);
  }
  return (row) =>
    columns.every((column) => {
      const length = lengthOf(row, column);
      return length >= min && length <= max;
    });
}

function lengthOf(row: Row, column: string): number {
  if (!(column in row)) {
    const nearest = nearestName(column, Object.keys(row));
    throw new DataError(
      "data_columns",
      `filterByLength: the column must exist, got ${column}; ${nearest === undefined ? `the columns are ${Object.keys(row).join(", ")}` : `did you mean ${nearest}?`}`,
    );
  }
  const value: unknown = row[column];
  if (typeof value === "string") return characterLength(value);
  if (looksConversational(value)) return (value as Message[]).reduce((sum, message) => sum + characterLength(message.content ?? ""), 0);
  throw new DataError("data_type", `filterByLength: ${column} must be text or a list of messages, got ${describeValue(value)}`);
}
