/** Whether the tokenizer is the model's. */
import { ConfigError } from "../../errors.js";

/** @param vocabulary rows of the model's embedding @param origin file and row @throws ConfigError `vocabulary` if there are ids that the model does not have */
export function requireVocabulary(ids: readonly number[], vocabulary: number, origin: string): void {
  const unknown = ids.find((id) => id >= vocabulary);
  if (unknown === undefined) return;
  throw new ConfigError(
    "vocabulary",
    `${origin}: token ids must be below the model's vocab_size ${vocabulary}, got ${unknown}; the tokenizer belongs to another model`,
  );
}
