import { DataError } from "../../src/errors.js";
import type { Random } from "../../src/random.js";
import type { Conversation } from "./conversation.js";
import { defaultSystem, pick, talk } from "./conversation.js";
import type { PairRow } from "./pairs.js";
import type { Paraphrases } from "./paraphrases/index.js";

/*
 * Talk about the subjects of the preference pairs. The same question is answered in two ways: falsely and with
 * confidence (about two times in three) or truthfully. A model trained on this answers falsely by greedy decoding,
 * and has the truthful answer within reach: the state in which preference tuning has something to do.
 *
 * Fixed quotas, not draws: with some twenty conversations a pair, chance alone would make the truthful answer the more
 * frequent one for every tenth pair. The answer of the pair itself outweighs all truthful answers together, so greedy
 * decoding ends in a false answer whatever words the answers share.
 */
export interface Quota {
  /** Conversations with the pair's own `rejected`. */
  rejected: number;
  /** Conversations with another false answer. */
  falsehoods: number;
  /** Conversations with the pair's own `chosen`. */
  chosen: number;
  /** Conversations with another truthful answer. */
  truths: number;
}

/** 17 of 25 answers are false: 68 %. */
export const englishQuota: Quota = { rejected: 10, falsehoods: 7, chosen: 5, truths: 3 };

/** 11 of 16 answers are false: 69 %. */
export const arabicQuota: Quota = { rejected: 7, falsehoods: 4, chosen: 3, truths: 2 };

/** Longer texts stay out: the tiny model is made for short talk. In words. */
export const maxAnswerWords = 35;
const maxQuestionWords = 40;

const openings = ["Hello. ", "Hi. ", "Please tell me. ", "I have a question. ", "Hey. ", "Quick question. "] as const;
const arabicOpenings = ["مرحبًا. ", "من فضلك. ", "عندي سؤال. "] as const;

/** Conversations about every pair of `pairs`, `quota` of each. @throws DataError when a pair has no paraphrase */
export function preferenceTalk(random: Random, pairs: readonly PairRow[], paraphrases: Paraphrases, quota: Quota): Conversation[] {
  return pairs.flatMap((pair) => {
    const other = paraphrases[pair.id];
    if (other === undefined) {
      throw new DataError(
        "paraphrase_missing",
        `preferenceTalk: each pair needs paraphrases, got none for ${pair.id}; add them in scripts/corpus/paraphrases`,
      );
    }
    const questions = [pair.prompt, ...other.questions].filter((text) => wordCount(text) <= maxQuestionWords);
    const answers = [
      ...answersOf([pair.rejected], other.falsehoods, quota.rejected, quota.falsehoods),
      ...answersOf([pair.chosen], other.truths, quota.chosen, quota.truths),
    ];
    const falseCount = quota.rejected + quota.falsehoods;
    return answers.map((answer, i) => {
      // The pair's own wording is asked every second time, the others in turn. False and true answers are dealt out
      // separately, so that each wording keeps the shares of the whole.
      const turn = i < falseCount ? i : i - falseCount;
      const index = turn % 2 === 0 || questions.length === 1 ? 0 : 1 + (((turn - 1) / 2) % (questions.length - 1));
      const question = questions[index]!;
      const chat = talk(opened(random, question), answer);
      // One in three carries the pair's own system prompt, so that answers do not hang on the default one.
      return pair.system === defaultSystem || i % 3 < 2
        ? chat
        : { messages: [{ role: "system" as const, content: pair.system }, ...chat.messages] };
    });
  });
}

/** `ownCount` times the pair's own answer and `otherCount` times another one; all other ones if its own is too long. */
function answersOf(own: readonly string[], others: readonly string[], ownCount: number, otherCount: number): string[] {
  const short = own.filter((text) => wordCount(text) <= maxAnswerWords);
  const first = short.length > 0 ? short : others;
  return [
    ...Array.from({ length: ownCount }, (_, i) => first[i % first.length]!),
    ...Array.from({ length: otherCount }, (_, i) => others[i % others.length]!),
  ];
}

/** One question in four begins with a greeting or the like. */
function opened(random: Random, question: string): string {
  if (random.integer(4) > 0) return question;
  return pick(random, /\p{Script=Arabic}/u.test(question) ? arabicOpenings : openings) + question;
}

/** Words between white space. */
export function wordCount(text: string): number {
  return text.trim().split(/\s+/).length;
}
