/** The rows of `datasets/pii-labels/labels.xlsx`: what a column of a form or a table may be called, and whether that is sensitive. */
import { DataError } from "../../src/errors.js";
import { neutralLabels } from "./neutral.js";
import { sensitiveLabels } from "./sensitive.js";

/** The languages of a line, in order. */
export const languages = ["English", "Spanish", "French", "German", "Italian", "Portuguese", "Arabic", "Chinese"] as const;

/** A row of the workbook. */
export interface LabelRow {
  label: string;
  language: (typeof languages)[number];
  sensitive: "yes" | "no";
  category: string;
  /** The English label: one concept stands in all languages, and in one split. */
  concept: string;
  split: "train" | "validation" | "test";
}

/** The columns of the workbook, in order. */
export const labelColumns = [
  "label",
  "language",
  "sensitive",
  "category",
  "concept",
  "split",
] as const satisfies readonly (keyof LabelRow)[];

/** By position in its category. Fixed before any model was trained. */
const splitOf = ["train", "train", "train", "train", "train", "validation", "test", "test"] as const;

/** @throws DataError when a category has not 8 lines of 8 labels */
function rowsOf(category: string, text: string, sensitive: "yes" | "no"): LabelRow[] {
  const lines = text
    .trim()
    .split("\n")
    .map((line) => line.split("|").map((label) => label.trim()));
  const wrong = lines.find((labels) => labels.length !== languages.length || labels.includes(""));
  if (lines.length !== splitOf.length || wrong !== undefined) {
    throw new DataError(
      "labels_lines",
      `labels: category ${category} must have ${splitOf.length} lines of ${languages.length} labels, got ${lines.length} lines and ${wrong?.join(" | ") ?? "no short line"}; complete it`,
    );
  }
  return lines.flatMap((labels, at) =>
    labels.map((label, i): LabelRow => ({ label, language: languages[i]!, sensitive, category, concept: labels[0]!, split: splitOf[at]! })),
  );
}

/** All rows, concept by concept. */
export function labelRows(): LabelRow[] {
  const sensitive = Object.entries(sensitiveLabels).flatMap(([category, text]) => rowsOf(category, text, "yes"));
  const neutral = Object.entries(neutralLabels).flatMap(([category, text]) => rowsOf(category, text, "no"));
  return [...sensitive, ...neutral];
}
