import { DataError } from "../errors.js";

/** Decodes a whole file as UTF-8 (byte order mark removed). @throws DataError `data_encoding` when it is not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, file: string, at: { row?: number; line?: number } = {}): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const where = at.line === undefined ? "" : `line ${at.line}: `;
    throw new DataError(
      "data_encoding",
      `${where}text must be UTF-8, got other bytes; save the file again as UTF-8 (in a spreadsheet: "CSV UTF-8")`,
      { file, row: at.row },
      { cause: error },
    );
  }
}
