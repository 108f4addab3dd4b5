/** A prompt as token ids: text as it stands, or a conversation in the chat template that waits for the assistant. */
import type { Message } from "../data/messages.js";
import { ConfigError } from "../errors.js";
import type { PreTrainedTokenizer } from "../text/index.js";

/** Text, which is continued as it stands, or messages. */
export type Prompt = string | readonly Message[];

/** @throws ModelError `chat_template_missing`, `chat_template_failed` */
export function promptIds(prompt: Prompt, tokenizer: PreTrainedTokenizer): number[] {
  return tokenizer.encode(promptText(prompt, tokenizer), typeof prompt === "string" ? {} : { add_special_tokens: false });
}

/** The prompt as the text that the model reads. */
export function promptText(prompt: Prompt, tokenizer: PreTrainedTokenizer): string {
  return typeof prompt === "string" ? prompt : tokenizer.apply_chat_template(prompt, { add_generation_prompt: true, tokenize: false });
}

/**
 * Ids of a completion behind a prompt, as training cuts them: those of prompt + completion beyond the prompt's number.
 * @throws ConfigError `completion_empty` when prompt and completion merge into the prompt's number of tokens
 */
export function completionIdsOf(prompt: Prompt, completion: string, tokenizer: PreTrainedTokenizer, where: string): number[] {
  const options = typeof prompt === "string" ? {} : { add_special_tokens: false };
  const text = promptText(prompt, tokenizer);
  const ids = tokenizer.encode(text + completion, options).slice(tokenizer.encode(text, options).length);
  if (ids.length > 0) return ids;
  throw new ConfigError(
    "completion_empty",
    `${where}: a completion must have a token of its own, got ${JSON.stringify(completion)}, which merges with the prompt's end; end prompts without a space or half a word`,
  );
}
