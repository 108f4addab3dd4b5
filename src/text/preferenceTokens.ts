import { isConversational, isTokenPreference, type PreferenceExample, type PreferencePair } from "../data/preference.js";
import type { RowOrigin } from "../data/row.js";
import type { TokenPreference } from "../data/tokenRow.js";
import type { PreTrainedTokenizer } from "./tokenizer.js";
import {
  checkMaxLength,
  checkTruncationMode,
  closeText,
  conversationIds,
  isPrefix,
  longPromptWarning,
  mergedCompletion,
  originOf,
  requireEndToken,
  tornWarning,
  type DroppedRow,
  type MaskedSequence,
} from "./tokenRows.js";

/** Options of `tokenizePreferences`. */
export interface PreferenceTokenOptions {
  /** Most tokens of prompt + completion, each side on its own; null for no limit; default 1024. */
  max_length?: number | null;
  /** Which end of a longer sequence stays; default keep_start. */
  truncation_mode?: "keep_start" | "keep_end";
}

/** One preference pair as token ids, after truncation. */
export interface TokenizedPair extends RowOrigin {
  /** The prompt, common to both sides. */
  readonly prompt_ids: number[];
  /** The chosen completion: what is scored. At least one id. */
  readonly chosen_ids: number[];
  /** The rejected completion: what is scored. At least one id. */
  readonly rejected_ids: number[];
  /** Leading ids of `prompt_ids` that the chosen side does not see. Always 0 under keep_start; under keep_end each side loses what
   *  its own completion needs, so the two may differ, and then the sides share no prompt computation. */
  readonly chosen_prompt_start: number;
  /** The same for the rejected side. */
  readonly rejected_prompt_start: number;
  /** Whether the prompt's own ids begin the ids of prompt + chosen. If not, tokens at the seam are lost or doubled. */
  readonly prompt_is_prefix_of_chosen: boolean;
  /** The same for rejected. */
  readonly prompt_is_prefix_of_rejected: boolean;
}

/** What `tokenizePreferences` returns. */
export interface TokenizedPreferences {
  /** Kept pairs, in the order of the rows. */
  readonly pairs: TokenizedPair[];
  readonly dropped: DroppedRow[];
  /** What a user should read once before training: dropped rows, cut rows, prompts that are no token prefix. */
  readonly warnings: string[];
}

/**
 * Preference examples → token ids, as TRL 1.13's DPOTrainer does it:
 * - text rows: the end token is appended to each completion that does not end with it;
 * - conversational rows: prompt ids are the template with the generation prompt; the template's own ending closes the completion;
 * - the completion's ids are those of prompt + completion from the prompt's length on, even where the prompt's ids are no prefix;
 * - pairs of token ids stay as they are;
 * - each side is cut to `max_length`; under keep_start, rows whose prompt alone reaches `max_length` are dropped.
 *
 * @throws ConfigError for a bad option; ModelError `chat_template_missing`, `eos_token_missing`; DataError `data_empty` (a completion
 *   has no token of its own), `data_template` (the chat template refuses the row), both with file and row
 */
export function tokenizePreferences(
  examples: Iterable<PreferencePair>,
  tokenizer: PreTrainedTokenizer,
  options: PreferenceTokenOptions = {},
): TokenizedPreferences {
  const { max_length = 1024, truncation_mode = "keep_start" } = options;
  checkMaxLength("tokenizePreferences", max_length);
  checkTruncationMode("tokenizePreferences", truncation_mode);
  const pairs: TokenizedPair[] = [];
  const dropped: DroppedRow[] = [];
  let cut = 0;
  for (const example of examples) {
    const whole = tokenizePreference(example, tokenizer);
    if (max_length === null) {
      pairs.push(whole);
    } else if (truncation_mode === "keep_start" && whole.prompt_ids.length >= max_length) {
      const reason = `the prompt alone has ${whole.prompt_ids.length} tokens, max_length is ${max_length}`;
      dropped.push({ ...originOf(example), reason });
    } else {
      const pair = truncatePair(whole, max_length, truncation_mode);
      if (longestSide(whole) > max_length) cut += 1;
      pairs.push(pair);
    }
  }
  return { pairs, dropped, warnings: describeProblems(pairs, dropped, cut, max_length) };
}

/** One example → its ids, without truncation. @throws as `tokenizePreferences` */
export function tokenizePreference(example: PreferencePair, tokenizer: PreTrainedTokenizer): TokenizedPair {
  if (isTokenPreference(example)) return givenIds(example);
  const { prompt, chosen, rejected } = sideIds(example, tokenizer);
  const pair: TokenizedPair = {
    ...originOf(example),
    prompt_ids: prompt,
    chosen_ids: chosen.slice(prompt.length),
    rejected_ids: rejected.slice(prompt.length),
    chosen_prompt_start: 0,
    rejected_prompt_start: 0,
    prompt_is_prefix_of_chosen: isPrefix(prompt, chosen),
    prompt_is_prefix_of_rejected: isPrefix(prompt, rejected),
  };
  for (const side of ["chosen", "rejected"] as const) {
    if (pair[`${side}_ids`].length > 0) continue;
    throw mergedCompletion(side, prompt.length, example);
  }
  return pair;
}

function givenIds({ prompt_ids, chosen_ids, rejected_ids, ...at }: TokenPreference): TokenizedPair {
  return {
    ...originOf(at),
    prompt_ids: [...prompt_ids],
    chosen_ids: [...chosen_ids],
    rejected_ids: [...rejected_ids],
    chosen_prompt_start: 0,
    rejected_prompt_start: 0,
    prompt_is_prefix_of_chosen: true,
    prompt_is_prefix_of_rejected: true,
  };
}

/** The two sequences of a pair, as a model without prompt sharing reads them. `completion_mask` is 1 where an id is scored. */
export function pairSequences(pair: TokenizedPair): { chosen: MaskedSequence; rejected: MaskedSequence } {
  const sequence = (start: number, completion: readonly number[]): MaskedSequence => {
    const prompt = pair.prompt_ids.slice(start);
    return { input_ids: [...prompt, ...completion], completion_mask: [...prompt.map(() => 0), ...completion.map(() => 1)] };
  };
  return { chosen: sequence(pair.chosen_prompt_start, pair.chosen_ids), rejected: sequence(pair.rejected_prompt_start, pair.rejected_ids) };
}

function sideIds(example: PreferenceExample, tokenizer: PreTrainedTokenizer): { prompt: number[]; chosen: number[]; rejected: number[] } {
  if (!isConversational(example)) {
    const eos = requireEndToken(tokenizer);
    return {
      prompt: tokenizer.encode(example.prompt),
      chosen: tokenizer.encode(example.prompt + closeText(example.chosen, eos)),
      rejected: tokenizer.encode(example.prompt + closeText(example.rejected, eos)),
    };
  }
  return {
    prompt: conversationIds(example.prompt, example, tokenizer, true),
    chosen: conversationIds([...example.prompt, ...example.chosen], example, tokenizer),
    rejected: conversationIds([...example.prompt, ...example.rejected], example, tokenizer),
  };
}

function truncatePair(pair: TokenizedPair, maxLength: number, mode: "keep_start" | "keep_end"): TokenizedPair {
  const promptLength = pair.prompt_ids.length;
  if (mode === "keep_start") {
    const room = maxLength - promptLength;
    return { ...pair, chosen_ids: pair.chosen_ids.slice(0, room), rejected_ids: pair.rejected_ids.slice(0, room) };
  }
  const promptStart = (completion: readonly number[]): number =>
    Math.min(promptLength, Math.max(0, promptLength + completion.length - maxLength));
  const starts = [promptStart(pair.chosen_ids), promptStart(pair.rejected_ids)] as const;
  const common = Math.min(...starts);
  return {
    ...pair,
    prompt_ids: pair.prompt_ids.slice(common),
    chosen_ids: pair.chosen_ids.slice(-maxLength),
    rejected_ids: pair.rejected_ids.slice(-maxLength),
    chosen_prompt_start: starts[0] - common,
    rejected_prompt_start: starts[1] - common,
  };
}

function describeProblems(
  pairs: readonly TokenizedPair[],
  dropped: readonly DroppedRow[],
  cut: number,
  maxLength: number | null,
): string[] {
  const warnings = longPromptWarning(dropped, pairs.length + dropped.length, maxLength);
  if (cut > 0)
    warnings.push(`${cut} of ${pairs.length} pairs are cut to max_length ${maxLength}; raise max_length to train on whole answers`);
  const torn = pairs.filter((pair) => !pair.prompt_is_prefix_of_chosen || !pair.prompt_is_prefix_of_rejected);
  return [...warnings, ...tornWarning(torn, pairs.length, "pairs")];
}

function longestSide(pair: TokenizedPair): number {
  return pair.prompt_ids.length + Math.max(pair.chosen_ids.length, pair.rejected_ids.length);
}
