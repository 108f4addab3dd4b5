import { ConfigError } from "../errors.js";
import { IGNORED_LABEL, type TokenizedText } from "./sftTokens.js";

/** How rows share a sequence: `bfd` best-fit decreasing, longer rows cut; `bfd_split` the same, longer rows continued in further pieces; `wrapped`
 *  all rows one after the other, cut every `max_length` tokens. */
export type PackingStrategy = "bfd" | "bfd_split" | "wrapped";

/** All packing strategies. */
export const PACKING_STRATEGIES: readonly PackingStrategy[] = ["bfd", "bfd_split", "wrapped"];

/** A part of a packed row that sees only itself and whose positions count from 0. */
export interface PackedSegment {
  /** Where it begins, in tokens. */
  readonly start: number;
  /** At least 1. */
  readonly length: number;
}

/** Several rows as one sequence of at most `max_length` tokens. */
export interface PackedRow {
  readonly input_ids: number[];
  /** For each id itself: the id where it is learnt, else -100. The first of each segment is -100: nothing before it predicts it. */
  readonly labels: number[];
  /** In order, without gaps, over the whole row. `wrapped` has one: its rows see each other and positions run on, as in TRL. */
  readonly segments: PackedSegment[];
}

/** Options of `packRows`. */
export interface PackingOptions {
  /** Most tokens of a packed row. */
  max_length: number;
  /** Default bfd. */
  packing_strategy?: PackingStrategy;
}

/** What `packRows` returns. */
export interface PackedRows {
  readonly rows: PackedRow[];
  /** What a user should read once before training: rows that are cut or divided. */
  readonly warnings: string[];
}

/** Rows that `datasets.map` hands to TRL's packing at a time; no packed row mixes two such batches. */
const PACKING_BATCH = 1000;

/** A piece of one row. */
interface Piece {
  readonly row: Pick<TokenizedText, "input_ids" | "labels">;
  readonly from: number;
  readonly length: number;
}

/**
 * Rows (tokenised without a limit) → packed rows, the same and in the same order as TRL 1.13's `pack_dataset` with the labels of its padding-free
 * collator. Best-fit decreasing: longest pieces first, equal ones in order; each goes where the least space is left that suffices, among equals
 * to the one that came by its space first. arXiv:2404.10830.
 * @throws ConfigError `option_range` for `max_length`, `packing_strategy`
 */
export function packRows(rows: readonly Pick<TokenizedText, "input_ids" | "labels">[], options: PackingOptions): PackedRows {
  const { max_length, packing_strategy = "bfd" } = options;
  if (!Number.isInteger(max_length) || max_length < 1) {
    throw new ConfigError(
      "option_range",
      `packRows: max_length must be an integer >= 1, got ${String(max_length)}; packing needs a length to pack to`,
    );
  }
  if (!PACKING_STRATEGIES.includes(packing_strategy)) {
    throw new ConfigError(
      "option_range",
      `packRows: packing_strategy must be one of ${PACKING_STRATEGIES.join(", ")}, got ${String(packing_strategy)}`,
    );
  }
  const packed: PackedRow[] = [];
  for (let from = 0; from < rows.length; from += PACKING_BATCH) {
    const batch = rows.slice(from, from + PACKING_BATCH);
    if (packing_strategy === "wrapped") packed.push(...wrapRows(batch, max_length));
    else packed.push(...fitPieces(piecesOf(batch, max_length, packing_strategy === "bfd_split"), max_length).map(joinPieces));
  }
  return { rows: packed, warnings: describeLongRows(rows, max_length, packing_strategy) };
}

/** The part of a row that fits, or with `split` all of its parts. Rows without tokens have none. */
function piecesOf(rows: readonly Piece["row"][], maxLength: number, split: boolean): Piece[] {
  return rows.flatMap((row) => {
    const pieces: Piece[] = [];
    const total = split ? row.input_ids.length : Math.min(row.input_ids.length, maxLength);
    for (let from = 0; from < total; from += maxLength) pieces.push({ row, from, length: Math.min(maxLength, total - from) });
    return pieces;
  });
}

/** Best-fit decreasing. */
function fitPieces(pieces: readonly Piece[], maxLength: number): Piece[][] {
  const bins: Piece[][] = [];
  // Bins by the space they have left, each list in the order in which its bins came to that space.
  const bySpace = Array.from({ length: maxLength }, (): Piece[][] => []);
  for (const piece of [...pieces].sort((a, b) => b.length - a.length)) {
    let space = piece.length;
    while (space < maxLength && bySpace[space]!.length === 0) space += 1;
    let bin: Piece[];
    if (space < maxLength) bin = bySpace[space]!.shift()!;
    else {
      bin = [];
      bins.push(bin);
    }
    bin.push(piece);
    bySpace[space - piece.length]!.push(bin);
  }
  return bins;
}

function joinPieces(pieces: readonly Piece[]): PackedRow {
  const row: PackedRow = { input_ids: [], labels: [], segments: [] };
  for (const { row: source, from, length } of pieces) {
    row.segments.push({ start: row.input_ids.length, length });
    for (let i = from; i < from + length; i++) {
      row.input_ids.push(source.input_ids[i]!);
      row.labels.push(i === from ? IGNORED_LABEL : source.labels[i]!);
    }
  }
  return row;
}

function wrapRows(rows: readonly Piece["row"][], maxLength: number): PackedRow[] {
  const ids = rows.flatMap((row) => row.input_ids);
  const labels = rows.flatMap((row) => row.labels);
  const packed: PackedRow[] = [];
  for (let start = 0; start < ids.length; start += maxLength) {
    const input_ids = ids.slice(start, start + maxLength);
    packed.push({ input_ids, labels: labels.slice(start, start + maxLength), segments: [{ start: 0, length: input_ids.length }] });
  }
  return packed;
}

function describeLongRows(rows: readonly Piece["row"][], maxLength: number, strategy: PackingStrategy): string[] {
  const long = rows.filter((row) => row.input_ids.length > maxLength).length;
  if (long === 0 || strategy === "wrapped") return [];
  const total = `${long} of ${rows.length} rows`;
  return strategy === "bfd"
    ? [`${total} are cut to max_length ${maxLength}; raise max_length, or keep all tokens with packing_strategy bfd_split`]
    : [`${total} are divided into pieces of max_length ${maxLength} that do not see each other; raise max_length to keep them whole`];
}
