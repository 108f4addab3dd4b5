/** Rows → the bytes of an .xlsx workbook, the same bytes on every day. */
import writeXlsxFile from "write-excel-file/node";
import { DataError } from "../../src/errors.js";
import { labelColumns, type LabelRow } from "./index.js";

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
/** 1980-01-01 0:00, the first date of zip. */
const [FIRST_TIME, FIRST_DATE] = [0, (1 << 5) | 1];

/** Sets the times of all files in a zip archive without a comment to 1980-01-01. @throws DataError when the bytes are no such archive */
export function fixTimes(archive: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(archive);
  const view = new DataView(bytes.buffer);
  const end = bytes.length - 22;
  const require = (at: number, signature: number): void => {
    if (at < 0 || at + 4 > bytes.length || view.getUint32(at, true) !== signature)
      throw new DataError(
        "zip_malformed",
        `fixTimes: the bytes must be a zip archive without a comment, got no header at ${at}; pass a whole workbook`,
      );
  };
  require(end, END_OF_DIRECTORY);
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    require(at, CENTRAL_HEADER);
    const local = view.getUint32(at + 42, true);
    require(local, LOCAL_HEADER);
    for (const time of [at + 12, local + 10]) {
      view.setUint16(time, FIRST_TIME, true);
      view.setUint16(time + 2, FIRST_DATE, true);
    }
    at += 46 + view.getUint16(at + 28, true) + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return bytes;
}

const COLUMN_WIDTHS: readonly number[] = [40, 12, 10, 18, 34, 12];

/** One sheet, `labels`, with a bold first line of column names that stays in sight. */
export async function labelsToXlsx(rows: readonly LabelRow[]): Promise<Uint8Array> {
  const header = labelColumns.map((name) => ({ value: name, type: String, fontWeight: "bold" as const }));
  const lines = rows.map((row) => labelColumns.map((name) => ({ value: row[name], type: String })));
  const columns = COLUMN_WIDTHS.map((width) => ({ width }));
  const file = writeXlsxFile([header, ...lines], { sheet: "labels", columns, stickyRowsCount: 1 });
  return fixTimes(await file.toBuffer());
}
