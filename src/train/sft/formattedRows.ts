/** A user's formatting function over a data set. */
import type { Dataset, Message, Row } from "../../data/index.js";
import { DataError } from "../../errors.js";

/** Rows with the one column that the function's result belongs in: `textField` or `messages`.
 *  @throws DataError `data_type` with file and row for a result that is neither text nor a list; what the function throws */
export function applyFormat(dataset: Dataset, format: (row: Row) => string | readonly Message[], textField: string): Dataset {
  return dataset.map(
    (row, i) => {
      const result: unknown = format(row);
      if (typeof result === "string") return { [textField]: result };
      if (Array.isArray(result)) return { messages: result };
      throw new DataError(
        "data_type",
        `formatting_func must return text or a list of messages, got ${result === null ? "null" : typeof result}`,
        dataset.origin(i),
      );
    },
    { remove_columns: dataset.column_names },
  );
}
