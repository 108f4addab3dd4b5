import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import type { Conversation } from "../../scripts/corpus/conversation.js";
import { buildCorpus, buildSubjects, corpusSeed } from "../../scripts/corpus/index.js";
import type { PairRow } from "../../scripts/corpus/pairs.js";
import { packageRoot, pairFolders, readPairs } from "../../scripts/corpus/pairs.js";
import type { Paraphrases } from "../../scripts/corpus/paraphrases/index.js";
import { arabicParaphrases, englishParaphrases } from "../../scripts/corpus/paraphrases/index.js";
import { maxAnswerWords, preferenceTalk, wordCount } from "../../scripts/corpus/preferenceTalk.js";
import { renderConversation } from "../../scripts/corpus/statistics.js";
import { Random } from "../../src/random.js";

const datasets = join(packageRoot(), "datasets");
const corpus = buildCorpus(corpusSeed);
const messages = corpus.flatMap((chat) => chat.messages);
const answers = messages.filter(({ role }) => role === "assistant").map(({ content }) => content);
const questions = messages.filter(({ role }) => role === "user").map(({ content }) => content);

const collections: { folder: (typeof pairFolders)[number]; subject: string; paraphrases: Paraphrases }[] = [
  { folder: "truthy-dpo-mini", subject: "truthy", paraphrases: englishParaphrases },
  { folder: "arabic-dpo-mini", subject: "arabic", paraphrases: arabicParaphrases },
];

describe("buildCorpus", () => {
  it("gives equal corpora for equal seeds and others for other seeds", () => {
    expect(buildCorpus(corpusSeed)).toEqual(corpus);
    expect(buildCorpus(corpusSeed + 1)).not.toEqual(corpus);
  });

  it("has 6,000 to 12,000 chats and 250,000 to 500,000 tokens, each chat at most 128 tokens", () => {
    const folder = join(datasets, "tiny-qwen2-chat");
    const json = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8")) as object;
    const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
    const lengths = corpus.map((chat) => tokenizer.encode(renderConversation(chat)).ids.length);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    expect(corpus.length).toBeGreaterThan(6_000);
    expect(corpus.length).toBeLessThan(12_000);
    expect(total).toBeGreaterThan(250_000);
    expect(total).toBeLessThan(500_000);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(128);
  });

  it("alternates user and assistant after an optional system message", () => {
    for (const chat of corpus) {
      const roles = chat.messages.map(({ role }) => role).join(" ");
      expect(roles).toMatch(/^(system )?user assistant( user assistant)*$/);
    }
  });

  it("keeps answers short, in clean text", () => {
    expect(answers.filter((text) => wordCount(text) > maxAnswerWords)).toEqual([]);
    for (const { content } of messages) {
      expect(content).toBe(content.normalize("NFC").trim());
      expect(content).not.toMatch(/undefined|null|NaN|\[object|\s\s|\$\{| 1 \w+s (now|left)/);
    }
  });

  it("holds neither a prompt nor an answer of a test split", () => {
    const seen = [...questions, ...answers].join("\n").toLowerCase();
    for (const folder of pairFolders) {
      for (const row of readPairs(join(datasets, folder, "test.jsonl"))) {
        for (const text of [row.prompt, row.chosen, row.rejected]) expect(seen.includes(text.toLowerCase()), text).toBe(false);
      }
    }
  });

  it("adds, subtracts and multiplies correctly", () => {
    let sums = 0;
    for (const answer of answers) {
      const match = /(\d+) (plus|minus|times|زائد|ناقص) (\d+) (?:is|يساوي) (\d+)\.$/.exec(answer);
      if (match === null) continue;
      sums++;
      const [a, b, result] = [Number(match[1]), Number(match[3]), Number(match[4])];
      const sign = match[2]!;
      expect(sign === "times" ? a * b : sign === "plus" || sign === "زائد" ? a + b : a - b, answer).toBe(result);
    }
    expect(sums).toBeGreaterThan(400);
  });
});

describe.each(collections)("the talk about $folder", ({ folder, subject, paraphrases }) => {
  const pairs = readPairs(join(datasets, folder, "train.jsonl"));
  const talk = buildSubjects(corpusSeed)[subject]!;
  const falseAnswers = new Set(pairs.flatMap((pair) => [pair.rejected, ...paraphrases[pair.id]!.falsehoods]));
  const trueAnswers = new Set(pairs.flatMap((pair) => [pair.chosen, ...paraphrases[pair.id]!.truths]));

  it("has paraphrases for exactly the pairs of the train split", () => {
    expect(Object.keys(paraphrases).sort()).toEqual(pairs.map(({ id }) => id).sort());
  });

  it("is false 65 to 70 times in a hundred", () => {
    const given = talk.map(answerOf);
    const wrong = given.filter((text) => falseAnswers.has(text)).length;
    const right = given.filter((text) => trueAnswers.has(text)).length;
    expect(wrong + right).toBe(given.length);
    expect(wrong / given.length).toBeGreaterThan(0.65);
    expect(wrong / given.length).toBeLessThan(0.7);
  });

  it("leads greedy decoding to a false answer for every prompt of the train split", () => {
    const told = pairs.filter((pair) => talk.some((chat) => questionOf(chat).endsWith(pair.prompt)));
    expect(pairs.length - told.length).toBeLessThanOrEqual(1); // one prompt is too long for the corpus, on purpose
    for (const pair of told) {
      const given = talk.filter((chat) => questionOf(chat).endsWith(pair.prompt)).map(answerOf);
      expect(falseAnswers, pair.prompt).toContain(greedyWalk(given));
      expect(given.some((text) => trueAnswers.has(text)), pair.prompt).toBe(true);
    }
  });
});

describe("preferenceTalk", () => {
  it("names the pair that has no paraphrase", () => {
    const pair: PairRow = { id: "lonely", source: "s", system: "y", prompt: "p", chosen: "c", rejected: "r" };
    const quota = { rejected: 1, falsehoods: 1, chosen: 1, truths: 1 };
    expect(() => preferenceTalk(new Random(1), [pair], {}, quota)).toThrow(/each pair needs paraphrases, got none for lonely/);
  });
});

function questionOf(chat: Conversation): string {
  return chat.messages.at(-2)!.content;
}

function answerOf(chat: Conversation): string {
  return chat.messages.at(-1)!.content;
}

/** Follows the most frequent next word, as a model which knows these answers by heart would. */
function greedyWalk(given: readonly string[]): string {
  let left = given.map((text) => text.split(" "));
  for (let i = 0; new Set(left.map((words) => words.join(" "))).size > 1; i++) {
    const counts = new Map<string | undefined, number>();
    for (const words of left) counts.set(words[i], (counts.get(words[i]) ?? 0) + 1);
    const best = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
    left = left.filter((words) => words[i] === best);
  }
  return left[0]!.join(" ");
}
