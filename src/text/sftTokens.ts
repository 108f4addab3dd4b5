import type { RowOrigin } from "../data/row.js";
import type { SftExample } from "../data/sft.js";
import type { TokensExample } from "../data/tokenRow.js";
import { ConfigError } from "../errors.js";
import { maskedConversation } from "./assistantMask.js";
import type { PreTrainedTokenizer } from "./tokenizer.js";
import {
  checkMaxLength,
  checkTruncationMode,
  closeText,
  completionIds,
  conversationIds,
  isPrefix,
  listOrigins,
  originOf,
  requireEndToken,
  tornWarning,
  type DroppedRow,
} from "./tokenRows.js";

/** The label of a token that is read and not learnt. */
export const IGNORED_LABEL = -100;

/** Options of `tokenizeSft`. */
export interface SftTokenOptions {
  /** Most tokens of a row; null for no limit (rows to be packed are cut by `packRows`); default 1024. */
  max_length?: number | null;
  /** Which end of a longer row stays; default keep_start. */
  truncation_mode?: "keep_start" | "keep_end";
  /** Learn only the completion; null (default): yes for rows of prompt and completion, no for others. */
  completion_only_loss?: boolean | null;
  /** Learn only the assistant's turns; conversations only; default false. Together with `completion_only_loss`: only turns in the completion. */
  assistant_only_loss?: boolean;
  /** End token to use from now on. As in TRL it becomes `tokenizer.eos_token` and is saved with the tokenizer; default the tokenizer's own. */
  eos_token?: string | null;
}

/** One SFT row as token ids, after truncation. */
export interface TokenizedText extends RowOrigin {
  readonly input_ids: number[];
  /** For each id itself, not its successor: the id where it is learnt, else -100. */
  readonly labels: number[];
}

/** What `tokenizeSft` returns. */
export interface TokenizedTexts {
  /** Kept rows, in the order of the examples. */
  readonly rows: TokenizedText[];
  readonly dropped: DroppedRow[];
  /** What a user should read once before training: dropped rows, cut rows, prompts that are no token prefix. */
  readonly warnings: string[];
}

/** Before truncation. */
interface WholeText {
  readonly ids: number[];
  readonly labels: number[];
  readonly torn: boolean;
  /** The template's own marks leave out the end token behind an assistant's turn. */
  readonly endless: boolean;
}

/**
 * SFT examples → ids and labels, as TRL 1.13's SFTTrainer does it:
 * - text, and completions as text: the end token is appended unless it is there. (TRL forgets it where `dataset_text_field` is not "text".)
 * - conversations: the chat template's own ending stays; a completion's ids are those of prompt + completion beyond the prompt's number;
 * - rows of token ids stay as they are;
 * - rows are cut to `max_length`, and rows without a label left are dropped.
 *
 * @throws ConfigError `option_range`; `option_conflict` for a loss on completions or assistant turns that the rows do not have; ModelError
 *   `chat_template_missing`, `eos_token_missing`, `tokenizer_input` (`eos_token` is not in the vocabulary); DataError `data_template` and those of `maskedConversation`, with file and row
 */
export function tokenizeSft(examples: Iterable<SftExample>, tokenizer: PreTrainedTokenizer, options: SftTokenOptions = {}): TokenizedTexts {
  const { max_length = 1024, truncation_mode = "keep_start", eos_token = null } = options;
  checkMaxLength("tokenizeSft", max_length);
  checkTruncationMode("tokenizeSft", truncation_mode);
  if (eos_token !== null) tokenizer.eos_token = eos_token;
  const rows: TokenizedText[] = [];
  const dropped: DroppedRow[] = [];
  const torn: RowOrigin[] = [];
  const endless: RowOrigin[] = [];
  let cut = 0;
  for (const example of examples) {
    const at = originOf(example);
    const whole = tokenizeWhole(example, tokenizer, options);
    const from = max_length === null || truncation_mode === "keep_start" ? 0 : Math.max(0, whole.ids.length - max_length);
    const to = max_length === null ? undefined : from + max_length;
    const row = { ...at, input_ids: whole.ids.slice(from, to), labels: whole.labels.slice(from, to) };
    const isCut = row.input_ids.length < whole.ids.length;
    if (row.labels.every((label) => label === IGNORED_LABEL)) {
      const reason = isCut
        ? `none of the ${row.input_ids.length} tokens that max_length keeps of ${whole.ids.length} is to be learnt`
        : example.kind === "tokens"
          ? "its labels and masks leave no token to learn"
          : "prompt and completion merge into fewer tokens, so none is left to learn";
      dropped.push({ ...at, reason });
      continue;
    }
    rows.push(row);
    if (isCut) cut += 1;
    if (whole.torn) torn.push(at);
    if (whole.endless) endless.push(at);
  }
  const warnings: string[] = [];
  if (dropped.length > 0)
    warnings.push(
      `${dropped.length} of ${rows.length + dropped.length} rows are dropped because no token to learn is left (${listOrigins(dropped)}); ${max_length === null ? "end prompts without a space or half a word" : "raise max_length to keep them"}`,
    );
  if (cut > 0) warnings.push(`${cut} of ${rows.length} rows are cut to max_length ${max_length}; raise max_length to train on whole texts`);
  warnings.push(...tornWarning(torn, rows.length, "rows"));
  if (endless.length > 0)
    warnings.push(
      `in ${endless.length} of ${rows.length} rows the chat template's {% generation %} marks leave out the end token behind an assistant's turn, so the model does not learn to stop (${listOrigins(endless)}); move {% endgeneration %} behind it`,
    );
  return { rows, dropped, warnings };
}

/** Ids as they were given; TRL's rule for labels, except that a completion's mask also counts where `completion_only_loss` is null. */
function givenTokens(example: TokensExample, completionOnly: boolean | null, assistantOnly: boolean): WholeText {
  const { input_ids: ids, labels, completion_mask, assistant_masks } = example;
  const needed = completionOnly === true && completion_mask === undefined ? "completion_mask" : undefined;
  const missing = assistantOnly && assistant_masks === undefined ? "assistant_masks" : needed;
  if (labels === undefined && missing !== undefined) {
    throw new ConfigError(
      "option_conflict",
      `tokenizeSft: ${missing === "completion_mask" ? "completion_only_loss" : "assistant_only_loss"} needs rows of token ids to have ${missing} or labels, got neither; add one of them`,
    );
  }
  const masks = [completionOnly === false ? undefined : completion_mask, assistant_masks];
  const learnt = (i: number): boolean => masks.every((mask) => mask === undefined || mask[i] === 1);
  return {
    ids: [...ids],
    labels: labels === undefined ? ids.map((id, i) => (learnt(i) ? id : IGNORED_LABEL)) : [...labels],
    torn: false,
    endless: false,
  };
}

function tokenizeWhole(example: SftExample, tokenizer: PreTrainedTokenizer, options: SftTokenOptions): WholeText {
  const { completion_only_loss = null, assistant_only_loss = false } = options;
  if (example.kind === "tokens") return givenTokens(example, completion_only_loss, assistant_only_loss);
  if (assistant_only_loss && (example.kind === "text" || example.kind === "text_completion")) {
    throw new ConfigError(
      "option_conflict",
      "tokenizeSft: assistant_only_loss needs conversations, got rows of plain text; write messages, or leave assistant_only_loss out",
    );
  }
  if (completion_only_loss === true && (example.kind === "text" || example.kind === "messages")) {
    throw new ConfigError(
      "option_conflict",
      `tokenizeSft: completion_only_loss needs rows of prompt and completion, got rows of ${example.kind}; ${example.kind === "text" ? "leave it out" : "use assistant_only_loss"}`,
    );
  }
  if (example.kind === "text") {
    const ids = tokenizer.encode(closeText(example.text, requireEndToken(tokenizer)));
    return { ids, labels: [...ids], torn: false, endless: false };
  }
  if (example.kind === "messages") {
    if (assistant_only_loss) {
      const { ids, mask, endless } = maskedConversation(example.messages, example, tokenizer);
      return { ids, labels: ids.map((id, i) => (mask[i] ? id : IGNORED_LABEL)), torn: false, endless };
    }
    const ids = conversationIds(example.messages, example, tokenizer);
    return { ids, labels: [...ids], torn: false, endless: false };
  }
  const { prompt, whole } = completionIds(example, tokenizer);
  const firstLearnt = completion_only_loss === false ? 0 : prompt.length;
  const masked =
    assistant_only_loss && example.kind === "conversational_completion"
      ? maskedConversation([...example.prompt, ...example.completion], example, tokenizer)
      : undefined;
  return {
    ids: whole,
    labels: whole.map((id, i) => (i >= firstLearnt && masked?.mask[i] !== false ? id : IGNORED_LABEL)),
    torn: !isPrefix(prompt, whole),
    endless: masked?.endless ?? false,
  };
}
