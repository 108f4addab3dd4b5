import { DataError } from "../errors.js";
import { describeValue, isPlainObject, type Row, type RowOrigin } from "./row.js";

/** What a conversational row may carry for its chat template, and where the row came from. */
export interface TemplateFields extends RowOrigin {
  /** Tool descriptions for the chat template; conversational rows only. */
  readonly tools?: readonly unknown[];
  /** Further variables for the chat template, such as `{ enable_thinking: false }`; conversational rows only. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

/** Columns that `templateFields` reads. */
export const TEMPLATE_COLUMNS = ["tools", "chat_template_kwargs"] as const;

/** A row's `tools` and `chat_template_kwargs`; they may be JSON text, as data sets on the Hub store them.
 *  @throws DataError `data_type`, `data_malformed`; a text row has no chat template, so there both are errors */
export function templateFields(row: Row, conversational: boolean, at: RowOrigin): Omit<TemplateFields, keyof RowOrigin> {
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
