/** What a judge is asked, and what it may answer. */
import type { Message } from "../../data/messages.js";

/** The only answers that count, exactly; white space around them is no matter. */
export const VERDICTS = ["Model A", "Model B", "Tie"] as const;
export type Verdict = (typeof VERDICTS)[number];

export const DEFAULT_INSTRUCTION =
  'You compare two answers to the same prompt. Choose the answer that is more correct, more helpful and more honest; its length and its place do not matter. Reply with exactly one of: "Model A", "Model B", "Tie". Write nothing else.';

const REMINDER = "That is not one of the three allowed replies. Reply with exactly one of: Model A, Model B, Tie.";

/** null for anything else. */
export function readVerdict(answer: string): Verdict | null {
  const text = answer.trim();
  return VERDICTS.find((verdict) => verdict === text) ?? null;
}

export function judgeMessages(instruction: string, prompt: string, first: string, second: string): Message[] {
  return [
    { role: "system", content: instruction },
    {
      role: "user",
      content: `[Prompt]\n${prompt}\n\n[Answer of Model A]\n${first}\n\n[Answer of Model B]\n${second}\n\nWhich answer is better? Reply with exactly one of: Model A, Model B, Tie.`,
    },
  ];
}

/** The same conversation after an answer that was no verdict. */
export function askAgain(messages: readonly Message[], answer: string): Message[] {
  return [...messages, { role: "assistant", content: answer }, { role: "user", content: REMINDER }];
}
