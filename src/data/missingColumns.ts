import { DataError, nearestName } from "../errors.js";

/**
 * The error for rows that lack columns: what is needed, what is there, what is missing, and which columns to rename.
 * @param need what the rows need, as the beginning of a sentence (`preference rows need the columns …`)
 * @param used columns that have a meaning already, so that they are not proposed for renaming
 */
export function missingColumns(
  need: string,
  missing: readonly string[],
  found: readonly string[],
  used: readonly string[],
  at: { file: string | undefined; row?: number | undefined },
): DataError {
  const spare = found.filter((name) => !used.includes(name));
  const renames = missing.flatMap((name) => {
    const nearest = nearestName(name, spare);
    return nearest === undefined ? [] : [`rename_column("${nearest}", "${name}")`];
  });
  const advice =
    renames.length > 0 ? `did you mean dataset.${renames.join(".")}?` : "rename the columns with dataset.rename_column(from, to)";
  return new DataError("data_columns", `${need}; got ${found.join(", ") || "no columns"} (missing: ${missing.join(", ")}); ${advice}`, at);
}
