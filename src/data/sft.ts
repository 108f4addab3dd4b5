import { ConfigError, DataError } from "../errors.js";
import { completionExample, type ConversationalCompletion, type TextCompletion } from "./completion.js";
import type { Dataset } from "./dataset.js";
import { checkMessages, checkText, type Message } from "./messages.js";
import { missingColumns } from "./missingColumns.js";
import { describeOrigin, type Row, type RowOrigin } from "./row.js";
import { TEMPLATE_COLUMNS, templateFields, type TemplateFields } from "./templateFields.js";
import { tokensExample, type TokensExample } from "./tokenRow.js";

/** Plain text to learn as a whole. */
export interface TextExample extends RowOrigin {
  readonly kind: "text";
  readonly text: string;
}

/** A conversation to learn, as a whole or only the assistant's turns. */
export interface MessagesExample extends TemplateFields {
  readonly kind: "messages";
  readonly messages: readonly Message[];
}

/** A prompt and its answer, as text (`text_completion`) or as messages (`conversational_completion`). */
export type PromptCompletionExample =
  (TextCompletion & { readonly kind: "text_completion" }) | (ConversationalCompletion & { readonly kind: "conversational_completion" });

/** The one contract of SFT data: every reader's rows become this, or a DataError that names file and row. */
export type SftExample = TextExample | MessagesExample | PromptCompletionExample | TokensExample;

/** The five kinds of SFT examples; all rows of a data set are of one kind. */
export type SftKind = SftExample["kind"];

/** Options of `sftExamples`. */
export interface SftExampleOptions {
  /** The column of plain-text rows; default "text". */
  dataset_text_field?: string;
}

/** What the columns of a row say, before its values are looked at. */
type Layout = "tokens" | "prompt_completion" | "messages" | "text";

/**
 * All rows of a data set as SFT examples, all of one kind. Where a row fits several kinds, token ids come first, then prompt and
 * completion, then messages, then text, as in TRL; other columns are ignored.
 * @throws DataError `data_empty`, `data_columns`; `data_kind` for a row of another kind than the first; and as `sftExample`
 */
export function sftExamples(dataset: Dataset, options: SftExampleOptions = {}): SftExample[] {
  const field = textField(options);
  if (dataset.length === 0)
    throw new DataError("data_empty", "SFT data must have at least one row, got none; check the file and the filters before");
  const common = layoutOf(dataset.at(0), field) ?? layoutOfColumns(dataset.column_names, field, { file: dataset.origin(0).file });
  const examples = dataset.rows().map((row, i) => {
    const at = dataset.origin(i);
    const layout = layoutOf(row, field) ?? common;
    // Named before the values are checked: the values of another layout would only lead astray.
    if (layout !== common) throw mixedKinds(describeLayout(layout, field), describeLayout(common, field), at, dataset.origin(0));
    return readExample(row, layout, field, at);
  });
  const first = examples[0]!;
  for (const example of examples) {
    if (example.kind !== first.kind) throw mixedKinds(KIND_NAMES[example.kind], KIND_NAMES[first.kind], originOf(example), originOf(first));
  }
  return examples;
}

/**
 * One row → one example. Accepted are
 * - `prompt` and `completion`, both as text or both as messages;
 * - `messages`;
 * - `input_ids`, tokenised already, with `labels` or the masks `completion_mask` and `assistant_masks` if not all is learnt;
 * - plain text in the column `dataset_text_field`.
 *
 * @throws DataError `data_columns`, `data_type`, `data_role`, `data_empty`, `data_encoding`, each with file and row
 */
export function sftExample(row: Row, at: RowOrigin, options: SftExampleOptions = {}): SftExample {
  const field = textField(options);
  return readExample(row, layoutOf(row, field) ?? layoutOfColumns(Object.keys(row), field, { file: at.file, row: at.row }), field, at);
}

const KIND_NAMES: Readonly<Record<SftKind, string>> = {
  tokens: "token ids",
  text: "text",
  messages: "messages",
  text_completion: "prompt and completion as text",
  conversational_completion: "prompt and completion as messages",
};

function textField(options: SftExampleOptions): string {
  const { dataset_text_field: field = "text" } = options;
  if (typeof field === "string" && field !== "") return field;
  throw new ConfigError("option_type", `sftExamples: dataset_text_field must be the name of a column, got ${JSON.stringify(field)}`);
}

function layoutOf(row: Row, field: string): Layout | undefined {
  const has = (name: string): boolean => row[name] !== undefined && row[name] !== null;
  if (has("input_ids")) return "tokens";
  if (has("prompt") && has("completion")) return "prompt_completion";
  if (has("messages")) return "messages";
  return has(field) ? "text" : undefined;
}

/** For a row whose cells are empty: the columns still say what should be there. */
function layoutOfColumns(found: readonly string[], field: string, at: { file: string | undefined; row?: number }): Layout {
  if (found.includes("input_ids")) return "tokens";
  if (found.includes("prompt") && found.includes("completion")) return "prompt_completion";
  if (found.includes("messages")) return "messages";
  if (found.includes(field)) return "text";
  const need = `SFT rows need the columns prompt and completion, or messages, or ${field}`;
  const half = ["prompt", "completion"].find((name) => found.includes(name));
  if (half === undefined && found.includes("conversations")) {
    throw new DataError(
      "data_columns",
      `${need}; got ${found.join(", ")}; a conversation belongs in messages: did you mean dataset.rename_column("conversations", "messages")?`,
      at,
    );
  }
  const missing = half === undefined ? ["messages", field] : [half === "prompt" ? "completion" : "prompt"];
  throw missingColumns(need, missing, found, ["prompt", "completion", ...TEMPLATE_COLUMNS], { file: at.file, row: at.row });
}

function describeLayout(layout: Layout, field: string): string {
  if (layout === "tokens") return KIND_NAMES.tokens;
  return layout === "prompt_completion" ? "prompt and completion" : layout === "text" ? `text (column ${field})` : "messages";
}

function mixedKinds(kind: string, first: string, at: RowOrigin, firstAt: RowOrigin): DataError {
  return new DataError(
    "data_kind",
    `rows of one data set must be of one kind, got ${kind} where ${describeOrigin(firstAt)} has ${first}; train on each kind by itself, or write all rows as messages`,
    at,
  );
}

function readExample(row: Row, layout: Layout, field: string, at: RowOrigin): SftExample {
  if (layout === "tokens") return tokensExample(row, at);
  if (layout === "text") {
    const text = checkText(row[field], field, at);
    templateFields(row, false, at);
    return { kind: "text", text, ...at };
  }
  if (layout === "messages")
    return { kind: "messages", messages: checkMessages(row["messages"], "messages", at), ...templateFields(row, true, at), ...at };
  const example = completionExample(row, at);
  return typeof example.prompt === "string"
    ? { kind: "text_completion", ...(example as TextCompletion) }
    : { kind: "conversational_completion", ...(example as ConversationalCompletion) };
}

function originOf(example: RowOrigin): RowOrigin {
  return example.file === undefined ? { row: example.row } : { file: example.file, row: example.row };
}
