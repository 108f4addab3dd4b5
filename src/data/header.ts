import { DataError } from "../errors.js";

/** Checks the column names of a table with a header line. @throws DataError `data_columns` for an empty or repeated name */
export function checkHeader(names: readonly string[], file: string): void {
  names.forEach((name, i) => {
    if (name.trim() === "") {
      throw new DataError("data_columns", `column ${i + 1} must have a name in the header line, got an empty cell`, { file });
    }
    if (names.indexOf(name) !== i) {
      throw new DataError(
        "data_columns",
        `column names must differ, got "${name}" twice (columns ${names.indexOf(name) + 1} and ${i + 1}); rename one`,
        { file },
      );
    }
  });
}
