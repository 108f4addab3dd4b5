import type { KtoExample } from "../data/kto.js";
import type { RowOrigin } from "../data/row.js";
import { ConfigError } from "../errors.js";
import type { PreTrainedTokenizer } from "./tokenizer.js";
import {
  checkMaxLength,
  completionIds,
  isPrefix,
  longPromptWarning,
  mergedCompletion,
  originOf,
  tornWarning,
  type DroppedRow,
  type MaskedSequence,
} from "./tokenRows.js";

/** Options of `tokenizeKto`. */
export interface KtoTokenOptions {
  /** Rows within which completions are shifted by one for the KL estimate: TRL's `per_device_train_batch_size`, also for evaluation data.
   *  null for losses without a KL estimate (`apo_zero_unpaired`). */
  kl_batch_size: number | null;
  /** Most tokens of prompt + completion, the end is cut; null for no limit; default 1024. */
  max_length?: number | null;
}

/** One KTO row as token ids, after truncation. */
export interface TokenizedKto extends RowOrigin {
  readonly prompt_ids: number[];
  /** The row's own completion: what is scored. At least one id. */
  readonly completion_ids: number[];
  /** The completion of the row before it in its batch (the first row: of the last), for the KL estimate with this row's prompt. At least one id.
   *  null without a KL estimate. */
  readonly kl_completion_ids: number[] | null;
  /** Whether the completion is wanted (desirable). */
  readonly label: boolean;
  /** Whether the prompt's own ids begin the ids of prompt + completion. If not, tokens at the seam are lost or doubled. */
  readonly prompt_is_prefix: boolean;
}

/** What `tokenizeKto` returns. */
export interface TokenizedKtoRows {
  /** Kept rows, in the order of the examples. Batches must be made of consecutive rows for the KL estimate to be that of one batch. */
  readonly rows: TokenizedKto[];
  readonly dropped: DroppedRow[];
  /** What a user should read once before training: dropped rows, cut rows, prompts that are no token prefix. */
  readonly warnings: string[];
}

/**
 * KTO examples → token ids, as TRL 1.13's KTOTrainer does it:
 * - ids of prompt and completion as in `tokenizePreferences`;
 * - rows whose prompt alone reaches `max_length` are dropped;
 * - then, of each `kl_batch_size` rows, each gets the whole completion of the row before it as its mismatched one, the first that of the last;
 * - prompt + completion and prompt + mismatched completion are cut to `max_length`, each on its own.
 *
 * @throws ConfigError for a bad option; ModelError `chat_template_missing`, `eos_token_missing`; DataError `data_empty` (a completion has no
 *   token of its own), `data_template` (the chat template refuses the row), both with file and row
 */
export function tokenizeKto(examples: Iterable<KtoExample>, tokenizer: PreTrainedTokenizer, options: KtoTokenOptions): TokenizedKtoRows {
  const { kl_batch_size, max_length = 1024 } = options;
  checkMaxLength("tokenizeKto", max_length);
  if (kl_batch_size !== null && (!Number.isInteger(kl_batch_size) || kl_batch_size < 1)) {
    throw new ConfigError(
      "option_range",
      `tokenizeKto: kl_batch_size must be an integer >= 1 or null (no KL estimate), got ${String(kl_batch_size)}`,
    );
  }
  const kept: TokenizedKto[] = [];
  const dropped: DroppedRow[] = [];
  for (const example of examples) {
    const row = tokenizeKtoRow(example, tokenizer);
    if (max_length === null || row.prompt_ids.length < max_length) kept.push(row);
    else {
      const reason = `the prompt alone has ${row.prompt_ids.length} tokens, max_length is ${max_length}`;
      dropped.push({ ...originOf(example), reason });
    }
  }
  const rows = kept.map((row, i) => {
    const room = max_length === null ? Infinity : max_length - row.prompt_ids.length;
    const mismatched = kl_batch_size === null ? null : kept[mismatchedIndex(i, kept.length, kl_batch_size)]!.completion_ids.slice(0, room);
    return { ...row, completion_ids: row.completion_ids.slice(0, room), kl_completion_ids: mismatched };
  });
  const cut = rows.filter((row, i) => row.completion_ids.length < kept[i]!.completion_ids.length).length;
  return { rows, dropped, warnings: describeProblems(rows, dropped, cut, max_length) };
}

/** The two sequences of a row; `kl` is null without a KL estimate. `completion_mask` is 1 where an id is scored. */
export function ktoSequences(row: TokenizedKto): { own: MaskedSequence; kl: MaskedSequence | null } {
  const sequence = (completion: readonly number[]): MaskedSequence => ({
    input_ids: [...row.prompt_ids, ...completion],
    completion_mask: [...row.prompt_ids.map(() => 0), ...completion.map(() => 1)],
  });
  return { own: sequence(row.completion_ids), kl: row.kl_completion_ids === null ? null : sequence(row.kl_completion_ids) };
}

function tokenizeKtoRow(example: KtoExample, tokenizer: PreTrainedTokenizer): TokenizedKto {
  const { prompt, whole } = completionIds(example, tokenizer);
  if (whole.length <= prompt.length) throw mergedCompletion("completion", prompt.length, example);
  return {
    ...originOf(example),
    prompt_ids: prompt,
    completion_ids: whole.slice(prompt.length),
    kl_completion_ids: null,
    label: example.label,
    prompt_is_prefix: isPrefix(prompt, whole),
  };
}

/** The row before `i` in its batch; before the first comes the last. The last batch may be short. */
function mismatchedIndex(i: number, rows: number, batchSize: number): number {
  return i % batchSize > 0 ? i - 1 : Math.min(i + batchSize, rows) - 1;
}

function describeProblems(rows: readonly TokenizedKto[], dropped: readonly DroppedRow[], cut: number, maxLength: number | null): string[] {
  const warnings = longPromptWarning(dropped, rows.length + dropped.length, maxLength);
  if (cut > 0)
    warnings.push(`${cut} of ${rows.length} rows are cut to max_length ${maxLength}; raise max_length to train on whole answers`);
  return [
    ...warnings,
    ...tornWarning(
      rows.filter((row) => !row.prompt_is_prefix),
      rows.length,
      "rows",
    ),
  ];
}
