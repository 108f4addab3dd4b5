import { join } from "node:path";
import { Random } from "../../src/random.js";
import type { Conversation, Subject } from "./conversation.js";
import { packageRoot, readPairs } from "./pairs.js";
import { arabicParaphrases, englishParaphrases } from "./paraphrases/index.js";
import { arabicQuota, englishQuota, preferenceTalk } from "./preferenceTalk.js";
import { animals } from "./subjects/animals.js";
import { arabicTalk } from "./subjects/arabicTalk.js";
import { arithmetic } from "./subjects/arithmetic.js";
import { assistant } from "./subjects/assistant.js";
import { capitals } from "./subjects/capitals.js";
import { colours } from "./subjects/colours.js";
import { cooking } from "./subjects/cooking.js";
import { greetings } from "./subjects/greetings.js";
import { knowledge } from "./subjects/knowledge.js";
import { weather } from "./subjects/weather.js";
import { words } from "./subjects/words.js";

export type { Conversation, Message } from "./conversation.js";

/** The seed with which the shipped tokenizer and model were made. */
export const corpusSeed = 1;

/** Conversations of each subject, beside those about the preference pairs. */
const subjects: Readonly<Record<string, { make: Subject; count: number }>> = {
  greetings: { make: greetings, count: 500 },
  arithmetic: { make: arithmetic, count: 900 },
  animals: { make: animals, count: 700 },
  capitals: { make: capitals, count: 450 },
  colours: { make: colours, count: 300 },
  cooking: { make: cooking, count: 350 },
  weather: { make: weather, count: 300 },
  assistant: { make: assistant, count: 300 },
  words: { make: words, count: 600 },
  knowledge: { make: knowledge, count: 450 },
  arabicTalk: { make: arabicTalk, count: 500 },
};

/** How many conversations get a greeting turn before the question or a word of thanks after the answer. */
const longerTalks = 350;

/**
 * The corpus of the tiny chat model, by subject and not yet mixed. Names beside `subjects` are `truthy` and `arabic`,
 * the talk about `datasets/truthy-dpo-mini` and `datasets/arabic-dpo-mini` (train split only), and `longer`,
 * chats of two turns made from the other subjects.
 */
export function buildSubjects(seed: number): Record<string, Conversation[]> {
  const random = new Random(seed).fork("corpus");
  const train = (folder: string) => readPairs(join(packageRoot(), "datasets", folder, "train.jsonl"));
  const result: Record<string, Conversation[]> = {
    truthy: preferenceTalk(random.fork("truthy"), train("truthy-dpo-mini"), englishParaphrases, englishQuota),
    arabic: preferenceTalk(random.fork("arabic"), train("arabic-dpo-mini"), arabicParaphrases, arabicQuota),
  };
  for (const [name, { make, count }] of Object.entries(subjects)) result[name] = make(random.fork(name), count);
  result["longer"] = longer(random.fork("longer"), result);
  return result;
}

/**
 * The corpus of the tiny chat model in random order: a few thousand short chats in English and Arabic.
 * @param seed any integer; equal seeds give equal corpora
 * @throws DataError when the preference data are malformed
 */
export function buildCorpus(seed: number): Conversation[] {
  return new Random(seed).fork("order").shuffle(Object.values(buildSubjects(seed)).flat());
}

/** Chats of two turns: a greeting before a question, thanks after an answer, or two questions in a row. */
function longer(random: Random, made: Record<string, Conversation[]>): Conversation[] {
  const english = Object.keys(subjects).filter((name) => name !== "arabicTalk" && name !== "greetings");
  const single = random.shuffle(english.flatMap((name) => made[name]!));
  const hellos = greetings(random, longerTalks).filter((chat) => chat.messages.length === 2);
  return Array.from({ length: longerTalks }, (_, i) => {
    const first = single[2 * i]!;
    const second = single[2 * i + 1]!;
    const social = hellos[i % hellos.length]!;
    const parts = [
      [social, first],
      [first, second],
      [first, social],
    ][random.integer(3)]!;
    return { messages: parts.flatMap((chat) => chat.messages) };
  });
}
