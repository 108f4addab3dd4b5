import type { Random } from "../../src/random.js";

/** What Qwen2's chat template writes when the first message is not a system message. */
export const defaultSystem = "You are a helpful assistant.";

/** One turn. `system` occurs first or not at all; without it the chat template adds its default. */
export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

/** A short chat: turns of user and assistant, ending with the assistant. */
export interface Conversation {
  messages: Message[];
}

/** Makes `count` conversations about one subject. Equal streams give equal conversations. */
export type Subject = (random: Random, count: number) => Conversation[];

/** A conversation of one question and one answer. */
export function talk(question: string, answer: string): Conversation {
  return {
    messages: [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ],
  };
}

/** One item, all equally likely. @param items at least one */
export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.integer(items.length)]!;
}

/**
 * `count` items which use each of `items` equally often (the counts differ by at most one), in random order.
 * A plain draw would leave out some facts and repeat others.
 */
export function spread<T>(random: Random, items: readonly T[], count: number): T[] {
  const result: T[] = [];
  while (result.length < count) result.push(...random.shuffle(items).slice(0, count - result.length));
  return result;
}

/** "ant" → "an ant", "bee" → "a bee". */
export function withArticle(noun: string): string {
  return `${/^[aeio]|^u(?!ni)/.test(noun) ? "an" : "a"} ${noun}`;
}

/** Upper case for the first letter. */
export function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The turns as the chat template renders them: with the default system message where there is none. */
export function withSystem({ messages }: Conversation): Message[] {
  return messages[0]?.role === "system" ? messages : [{ role: "system", content: defaultSystem }, ...messages];
}
