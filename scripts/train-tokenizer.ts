/**
 * Trains the tokenizer of the tiny chat model and writes it, with the model's configuration, into
 * `datasets/tiny-qwen2-chat/`:
 *
 *     node dist/scripts/train-tokenizer.js [--output DIR] [--seed 1] [--vocab_size 3072]
 *
 * The same seed gives the same bytes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ConfigError } from "../src/errors.js";
import type { Conversation } from "./corpus/conversation.js";
import { withSystem } from "./corpus/conversation.js";
import { buildCorpus, corpusSeed } from "./corpus/index.js";
import { packageRoot, pairFolders, readPairs } from "./corpus/pairs.js";
import type { BytePairs } from "./tokenizer/bytePairs.js";
import { trainBytePairs } from "./tokenizer/bytePairs.js";
import { qwen2Files, specialTokens } from "./tokenizer/qwen2Files.js";

/** Tokens in the vocabulary, special tokens included. */
export const vocabularySize = 3072;

/** Trains on the corpus of this seed and the train split of the preference data. @param size special tokens included */
export function trainTokenizer(seed = corpusSeed, size = vocabularySize): BytePairs {
  return trainBytePairs([...buildCorpus(seed).flatMap(turnTexts), ...pairTexts()], size - specialTokens.length);
}

/** What the chat template writes between the special tokens. */
function turnTexts(chat: Conversation): string[] {
  return withSystem(chat).flatMap(({ role, content }) => [`${role}\n${content}`, "\n"]);
}

function pairTexts(): string[] {
  return pairFolders
    .flatMap((folder) => readPairs(join(packageRoot(), "datasets", folder, "train.jsonl")))
    .flatMap(({ system, prompt, chosen, rejected }) => [system, prompt, chosen, rejected]);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      output: { type: "string", default: join(packageRoot(), "datasets", "tiny-qwen2-chat") },
      seed: { type: "string", default: String(corpusSeed) },
      vocab_size: { type: "string", default: String(vocabularySize) },
    },
  });
  const [seed, size] = [Number(values.seed), Number(values.vocab_size)];
  if (!Number.isInteger(seed))
    throw new ConfigError("seed", `train-tokenizer: seed must be an integer, got ${values.seed}; use e.g. --seed 1`);
  const pairs = trainTokenizer(seed, size);
  mkdirSync(values.output, { recursive: true });
  for (const [name, content] of Object.entries(qwen2Files(pairs))) {
    writeFileSync(join(values.output, name), `${JSON.stringify(content, null, 2)}\n`);
  }
  console.log(`${pairs.tokens.length + specialTokens.length} tokens, ${pairs.merges.length} merges → ${values.output}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
