import { DataError } from "../errors.js";
import { completionExample, type ConversationalCompletion, type TextCompletion } from "./completion.js";
import type { Dataset } from "./dataset.js";
import { missingColumns } from "./missingColumns.js";
import { preferenceExamples, type PreferenceExample } from "./preference.js";
import { describeValue, type Row, type RowOrigin } from "./row.js";
import { TEMPLATE_COLUMNS } from "./templateFields.js";

/** An answer with a verdict: `label` is true for a wanted (desirable) completion, false for an unwanted one. */
export type KtoExample = (TextCompletion | ConversationalCompletion) & { readonly label: boolean };

/** Rows that `datasets.map` hands to TRL's unpairing at a time: within so many pairs, chosen ones come before rejected ones. */
const UNPAIRING_BATCH = 1000;

const NEEDED = ["prompt", "completion", "label"] as const;

/**
 * All rows of a data set as KTO examples. Preference rows (`chosen`, `rejected`) are unpaired as TRL does: of each 1000 pairs first all chosen
 * completions with label true, then all rejected ones with label false; the prompt is found as in `preferenceExample`.
 * @throws DataError `data_empty`, `data_columns`; and as `ktoExample` and `preferenceExample`
 */
export function ktoExamples(dataset: Dataset): KtoExample[] {
  if (dataset.length === 0)
    throw new DataError("data_empty", "KTO data must have at least one row, got none; check the file and the filters before");
  if (["chosen", "rejected"].every((name) => dataset.column_names.includes(name))) return unpairExamples(preferenceExamples(dataset));
  requireColumns(dataset.column_names, { file: dataset.origin(0).file });
  return dataset.rows().map((row, i) => ktoExample(row, dataset.origin(i)));
}

/** One row `{prompt, completion, label}` → one example.
 *  @throws DataError `data_columns`, `data_type`, `data_role`, `data_empty`, `data_encoding`, each with file and row */
export function ktoExample(row: Row, at: RowOrigin): KtoExample {
  requireColumns(Object.keys(row), { file: at.file, row: at.row });
  const example = completionExample(row, at);
  const label: unknown = row["label"];
  if (typeof label !== "boolean") {
    throw new DataError(
      "data_type",
      `label must be true (wanted) or false (unwanted), got ${describeValue(label)}; ${label === null ? "fill it in or drop the row" : "turn it into true and false with dataset.map"}`,
      at,
    );
  }
  return { ...example, label };
}

/** Pairs → single completions with labels, in TRL's order; both keep the pair's file and row. */
export function unpairExamples(pairs: readonly PreferenceExample[]): KtoExample[] {
  const examples: KtoExample[] = [];
  for (let from = 0; from < pairs.length; from += UNPAIRING_BATCH) {
    const batch = pairs.slice(from, from + UNPAIRING_BATCH);
    examples.push(...batch.map((pair) => oneSide(pair, "chosen")), ...batch.map((pair) => oneSide(pair, "rejected")));
  }
  return examples;
}

function oneSide(pair: PreferenceExample, side: "chosen" | "rejected"): KtoExample {
  const { chosen, rejected, ...common } = pair;
  // Prompt and completion come from one pair, so they are of one kind.
  return { ...common, completion: side === "chosen" ? chosen : rejected, label: side === "chosen" } as KtoExample;
}

function requireColumns(found: readonly string[], at: { file: string | undefined; row?: number }): void {
  const missing = NEEDED.filter((name) => !found.includes(name));
  if (missing.length === 0) return;
  const need = "KTO rows need the columns prompt, completion and label, or chosen and rejected";
  throw missingColumns(need, missing, found, [...NEEDED, "chosen", "rejected", ...TEMPLATE_COLUMNS], at);
}
