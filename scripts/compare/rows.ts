/** The rows that both trainers get: the data set's own, or made of its preference pairs. */
import { Dataset, preferenceExamples, type Row } from "../../src/data/index.js";

export type ComparedMethod = "dpo" | "sft" | "kto";

/**
 * Pairs stay pairs for DPO. For SFT a pair is its prompt with the chosen answer; for KTO it is two rows, chosen (label true) before rejected
 * (false), so that every micro-batch holds both. Rows that are not pairs are taken as they are, for the trainers to check.
 * @throws DataError when pairs are malformed
 */
export function methodRows(dataset: Dataset, method: ComparedMethod): Dataset {
  if (!["chosen", "rejected"].every((name) => dataset.column_names.includes(name))) return dataset;
  const rows: Row[] = [];
  for (const { chosen, rejected, file: _file, row: _row, ...common } of preferenceExamples(dataset)) {
    if (method === "dpo") rows.push({ ...common, chosen, rejected });
    else if (method === "sft") rows.push({ ...common, completion: chosen });
    else rows.push({ ...common, completion: chosen, label: true }, { ...common, completion: rejected, label: false });
  }
  return Dataset.from_rows(rows);
}
