/** Texts that a model writes, before and after it was trained. */
import "../../generate/index.js";
import { type CausalLM, PeftModel } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";

export interface CardSample {
  readonly prompt: string;
  /** What the model wrote before training, without the prompt. */
  readonly before?: string;
  readonly after?: string;
}

/**
 * The likeliest continuation of each prompt, as a conversation where the tokenizer has a chat template. A model with an adapter is also
 * asked without it, which is `before`; of another one keep what this gave before training, and join the two.
 * @param options.max_new_tokens default 64
 */
export async function generateSamples(
  model: CausalLM,
  tokenizer: PreTrainedTokenizer,
  prompts: readonly string[],
  { max_new_tokens = 64 }: { max_new_tokens?: number } = {},
): Promise<CardSample[]> {
  const write = async (writer: CausalLM, prompt: string): Promise<string> => {
    const ids =
      tokenizer.chat_template === null
        ? tokenizer.encode(prompt)
        : tokenizer.apply_chat_template([{ role: "user", content: prompt }], { add_generation_prompt: true });
    const output = await writer.generate(ids, { max_new_tokens });
    return tokenizer.decode(output.slice(ids.length), { skip_special_tokens: true });
  };
  const samples: CardSample[] = [];
  for (const prompt of prompts) {
    const before = model instanceof PeftModel ? { before: await write(model.disable_adapter(), prompt) } : {};
    samples.push({ prompt, ...before, after: await write(model, prompt) });
  }
  return samples;
}
