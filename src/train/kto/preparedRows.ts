/** Rows → sequences that are ready to run. */
import type { HostTensors } from "../../compile/index.js";
import { type Dataset, ktoExamples } from "../../data/index.js";
import { describeOrigin } from "../../data/row.js";
import { DataError } from "../../errors.js";
import type { Qwen2Config } from "../../model/index.js";
import { type PreTrainedTokenizer, type TokenizedKto, tokenizeKto } from "../../text/index.js";
import { type KTOOptions, estimatesKl } from "../options/ktoConfig.js";
import { requireVocabulary } from "../sequence/vocabulary.js";
import type { SequenceForm } from "../sequence/sequenceInputs.js";
import { type PairLayout, layoutPair, pairInputs } from "../sequence/pairLayout.js";

/**
 * Which sequence of a row: `prompt | completion` (the gradient), `prompt | mismatched completion` (the policy's part of the KL
 * estimate), or both behind one prompt (no gradient: reference and evaluation).
 */
export type RowPart = "own" | "mismatched" | "both";

/** A row that is ready to run. */
export interface PreparedRow {
  readonly label: boolean;
  /** For errors: file and row. */
  readonly origin: string;
  /** Tokens of prompt + own completion. */
  readonly attended: number;
  /** Scored tokens of the own completion. */
  readonly scored: number;
  /** Made at each look: those of all rows at once would fill the memory. */
  layout(part: RowPart): PairLayout;
}

export interface PreparedRows {
  readonly rows: PreparedRow[];
  /** What a user should read once: dropped rows, cut rows, prompts that are no token prefix, a batch of one. */
  readonly warnings: string[];
}

/**
 * @param vocabulary rows of the model's embedding @param name of the data set, for errors
 * @throws DataError for rows that break the contract, or when no row is left
 * @throws ConfigError `vocabulary` if the tokenizer makes ids that the model does not have
 */
export function prepareRows(
  dataset: Dataset,
  tokenizer: PreTrainedTokenizer,
  vocabulary: number,
  options: KTOOptions,
  name: string,
): PreparedRows {
  const { max_length } = options;
  const kl_batch_size = estimatesKl(options) ? options.per_device_train_batch_size : null;
  const { rows, dropped, warnings } = tokenizeKto(ktoExamples(dataset), tokenizer, { kl_batch_size, max_length });
  if (rows.length === 0)
    throw new DataError(
      "no_rows",
      `KTOTrainer: ${name} needs at least one row, but all ${dropped.length} were dropped, the first because ${dropped[0]!.reason}; check max_length`,
    );
  for (const row of rows)
    requireVocabulary([...row.prompt_ids, ...row.completion_ids, ...(row.kl_completion_ids ?? [])], vocabulary, describeOrigin(row));
  return { rows: rows.map((row) => new LeanRow(row)), warnings: [...warnings, ...loneRowWarning(rows, options)] };
}

/** A row that is alone in the last batch has its own completion as the mismatched one. */
function loneRowWarning(rows: readonly TokenizedKto[], options: KTOOptions): string[] {
  const { per_device_train_batch_size: size, dataloader_drop_last, shuffle_dataset } = options;
  if (!estimatesKl(options) || rows.length % size !== 1 || (dataloader_drop_last && !shuffle_dataset)) return [];
  return [
    `${rows.length} rows in batches of ${size} leave the last row alone (${describeOrigin(rows.at(-1)!)}), so its KL estimate is of its own completion; add or remove a row`,
  ];
}

/** As a pair: the own completion in the place of the chosen one, the mismatched in that of the rejected one. */
function layoutRow(row: TokenizedKto, part: RowPart): PairLayout {
  return layoutPair({
    row: row.row,
    prompt_ids: row.prompt_ids,
    chosen_ids: part === "mismatched" ? [] : row.completion_ids,
    rejected_ids: part === "own" ? [] : (row.kl_completion_ids ?? []),
    chosen_prompt_start: 0,
    rejected_prompt_start: 0,
    prompt_is_prefix_of_chosen: row.prompt_is_prefix,
    prompt_is_prefix_of_rejected: row.prompt_is_prefix,
  });
}

/** Keeps the ids only, a tenth of its layouts. */
class LeanRow implements PreparedRow {
  constructor(private readonly row: TokenizedKto) {}

  get label(): boolean {
    return this.row.label;
  }

  get origin(): string {
    return describeOrigin(this.row);
  }

  get attended(): number {
    return this.row.prompt_ids.length + this.row.completion_ids.length;
  }

  /** The first token of a sequence is never scored. */
  get scored(): number {
    return this.row.completion_ids.length - (this.row.prompt_ids.length === 0 ? 1 : 0);
  }

  layout(part: RowPart): PairLayout {
    return layoutRow(this.row, part);
  }
}

/** The sequences of a run as program inputs. The gradient program ("own") has no place for a mismatched completion. */
export function rowInputs(rows: readonly PreparedRow[], part: RowPart, form: SequenceForm, config: Qwen2Config): HostTensors {
  const layouts = rows.map((row) => row.layout(part));
  const { chosen, rejected, ...sequence } = pairInputs(layouts, form, config);
  return { ...sequence, completion: chosen!, ...(part === "own" ? {} : { mismatched: rejected! }) };
}
