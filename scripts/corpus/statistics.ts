/**
 * Prints what the corpus of the tiny chat model holds, counted with the tokenizer in `datasets/tiny-qwen2-chat/`:
 *
 *     node dist/scripts/corpus/statistics.js [--seed 1] [--samples 5]
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ConfigError } from "../../src/errors.js";
import { AutoTokenizer } from "../../src/text/index.js";
import type { Conversation } from "./conversation.js";
import { withSystem } from "./conversation.js";
import { buildCorpus, buildSubjects, corpusSeed } from "./index.js";
import { packageRoot } from "./pairs.js";
import { wordCount } from "./preferenceTalk.js";

/** The text of a conversation as the chat template renders it. */
export function renderConversation(chat: Conversation): string {
  return withSystem(chat)
    .map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`)
    .join("");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: "string", default: String(corpusSeed) }, samples: { type: "string", default: "5" } },
  });
  const [seed, samples] = [Number(values.seed), Number(values.samples)];
  if (!Number.isInteger(seed) || !Number.isInteger(samples)) {
    throw new ConfigError(
      "statistics_options",
      `statistics: seed and samples must be integers, got ${values.seed} and ${values.samples}; use e.g. --seed 1`,
    );
  }
  const tokenizer = await AutoTokenizer.from_pretrained(join(packageRoot(), "datasets", "tiny-qwen2-chat"));
  const lengths = (chats: readonly Conversation[]): number[] => chats.map((chat) => tokenizer.encode(renderConversation(chat)).length);
  const table = Object.entries(buildSubjects(seed)).map(([subject, chats]) => {
    const tokens = lengths(chats);
    const answers = chats.flatMap(({ messages }) =>
      messages.filter(({ role }) => role === "assistant").map(({ content }) => wordCount(content)),
    );
    return {
      subject,
      conversations: chats.length,
      tokens: sum(tokens),
      mean: round(sum(tokens) / chats.length),
      longest: Math.max(...tokens),
      "words an answer": round(sum(answers) / answers.length),
    };
  });
  console.table(table);
  const corpus = buildCorpus(seed);
  const total = sum(lengths(corpus));
  console.log(`${corpus.length} conversations, ${total} tokens, ${round(total / corpus.length)} a conversation`);
  for (const chat of corpus.slice(0, samples)) console.log(`\n${renderConversation(chat)}`);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
