import { DataError } from "../errors.js";
import { missingColumns } from "./missingColumns.js";
import { describeValue, type Row, type RowOrigin } from "./row.js";

/** A text that is token ids already, with what says which of them are learnt. All lists are of one length. */
export interface TokensExample extends RowOrigin {
  readonly kind: "tokens";
  readonly input_ids: readonly number[];
  /** For each id itself: what is to be predicted there, or -100. Where they are given, the masks do not count. */
  readonly labels?: readonly number[];
  /** 1 where an id belongs to the completion. */
  readonly completion_mask?: readonly number[];
  /** 1 where the assistant wrote the id. */
  readonly assistant_masks?: readonly number[];
}

const TOKEN_IDS = "token ids, integers >= 0";
const isTokenId = (id: number): boolean => id >= 0;

/** One row with the column `input_ids`. @throws DataError `data_type`, `data_empty`, with file and row */
export function tokensExample(row: Row, at: RowOrigin): TokensExample {
  const input_ids = integers(row, "input_ids", TOKEN_IDS, isTokenId, at);
  if (input_ids === undefined || input_ids.length === 0)
    throw new DataError("data_empty", "input_ids must hold at least one token id, got none; drop the row", at);
  const labels = integers(row, "labels", "token ids, -100 for what is not learnt", (id) => id >= 0 || id === -100, at);
  const isBit = (bit: number): boolean => bit === 0 || bit === 1;
  const completion_mask = integers(row, "completion_mask", "0 and 1", isBit, at);
  const assistant_masks = integers(row, "assistant_masks", "0 and 1", isBit, at);
  const others = Object.entries({ labels, completion_mask, assistant_masks }).filter(([, list]) => list !== undefined);
  for (const [name, list] of others) {
    if (list!.length !== input_ids.length)
      throw new DataError("data_type", `${name} must be as long as input_ids, ${input_ids.length}, got ${list!.length}`, at);
  }
  return { kind: "tokens", input_ids, ...(Object.fromEntries(others) as Partial<TokensExample>), ...at };
}

/** A preference pair that is token ids already, under the names TRL gives the columns it tokenises into. */
export interface TokenPreference extends RowOrigin {
  /** Common to both sides; may be empty. */
  readonly prompt_ids: readonly number[];
  /** Without the prompt; at least one id. Nothing is appended, an end token neither. */
  readonly chosen_ids: readonly number[];
  /** As `chosen_ids`. */
  readonly rejected_ids: readonly number[];
}

const PREFERENCE_COLUMNS = ["prompt_ids", "chosen_ids", "rejected_ids"] as const;

/** Whether columns are those of tokenised pairs; one of them is enough, so that a forgotten one is named. */
export function hasTokenColumns(columns: readonly string[]): boolean {
  return PREFERENCE_COLUMNS.some((name) => columns.includes(name));
}

/** One row with the columns `prompt_ids`, `chosen_ids` and `rejected_ids`. @throws DataError `data_columns`, `data_type`, `data_empty`, with file and row */
export function tokenPreference(row: Row, at: RowOrigin): TokenPreference {
  const missing = PREFERENCE_COLUMNS.filter((name) => row[name] === undefined || row[name] === null);
  if (missing.length > 0) {
    const need = "preference rows of token ids need the columns prompt_ids, chosen_ids and rejected_ids";
    throw missingColumns(need, missing, Object.keys(row), PREFERENCE_COLUMNS, { file: at.file, row: at.row });
  }
  const [prompt_ids, chosen_ids, rejected_ids] = PREFERENCE_COLUMNS.map((name) => integers(row, name, TOKEN_IDS, isTokenId, at)!);
  for (const [name, ids] of Object.entries({ chosen_ids, rejected_ids }))
    if (ids!.length === 0) throw new DataError("data_empty", `${name} must hold at least one token id, got none; drop the row`, at);
  return { prompt_ids: prompt_ids!, chosen_ids: chosen_ids!, rejected_ids: rejected_ids!, ...at };
}

/** A list of integers; undefined where the cell is empty. Parquet's 64-bit integers become numbers. */
function integers(row: Row, column: string, what: string, accepts: (value: number) => boolean, at: RowOrigin): number[] | undefined {
  const list: unknown = row[column];
  if (list === undefined || list === null) return undefined;
  if (!Array.isArray(list)) throw new DataError("data_type", `${column} must be a list of ${what}, got ${describeValue(list)}`, at);
  return list.map((value: unknown) => {
    const number = typeof value === "bigint" ? Number(value) : value;
    if (Number.isSafeInteger(number) && accepts(number as number)) return number as number;
    throw new DataError("data_type", `${column} must be a list of ${what}, got ${describeValue(value)} in it`, at);
  });
}
