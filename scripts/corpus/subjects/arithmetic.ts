import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { pick, spread, talk } from "../conversation.js";

const things = ["apples", "books", "pens", "eggs", "coins", "stones", "cups", "cakes", "flowers", "shells", "balls", "stars"] as const;
const words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"] as const;

type Kind = "plus" | "minus" | "times" | "larger" | "get" | "give" | "next" | "half" | "double" | "word" | "even";
const kinds: readonly Kind[] = [
  "plus",
  "plus",
  "plus",
  "minus",
  "minus",
  "times",
  "larger",
  "get",
  "give",
  "next",
  "half",
  "double",
  "word",
  "even",
];

/** Sums of small numbers, with and without a story. Results are 0 to 100. */
export function arithmetic(random: Random, count: number): Conversation[] {
  return spread(random, kinds, count).map((kind) => {
    const [question, answer] = exercise(random, kind);
    return talk(question, answer);
  });
}

function exercise(random: Random, kind: Kind): [question: string, answer: string] {
  const a = kind === "get" || kind === "give" ? 2 + random.integer(11) : 1 + random.integer(12); // no "1 apples"
  const b = 1 + random.integer(9);
  const thing = pick(random, things);
  switch (kind) {
    case "plus":
      return [ask(random, `${a} plus ${b}`, `${a} + ${b}`), `${a} plus ${b} is ${a + b}.`];
    case "minus":
      return [ask(random, `${a + b} minus ${b}`, `${a + b} - ${b}`), `${a + b} minus ${b} is ${a}.`];
    case "times": {
      const c = Math.min(a, 10);
      return [ask(random, `${c} times ${b}`, `${c} x ${b}`), `${c} times ${b} is ${c * b}.`];
    }
    case "larger":
      return a === b
        ? [`Which number is larger, ${a} or ${b}?`, `Both numbers are the same.`]
        : [`Which number is larger, ${a} or ${b}?`, `${Math.max(a, b)} is larger than ${Math.min(a, b)}.`];
    case "get":
      return [
        `I have ${a} ${thing} and I get ${b} more. How many do I have now?`,
        `You have ${a + b} ${thing} now, because ${a} plus ${b} is ${a + b}.`,
      ];
    case "give":
      return [
        `I have ${a + b} ${thing} and I give ${b} of them to a friend. How many are left?`,
        `You have ${a} ${thing} left, because ${a + b} minus ${b} is ${a}.`,
      ];
    case "next":
      return random.integer(2) === 0
        ? [`Which number comes after ${a + b}?`, `${a + b + 1} comes after ${a + b}.`]
        : [`Which number comes before ${a + b}?`, `${a + b - 1} comes before ${a + b}.`];
    case "half":
      return [`What is half of ${2 * a}?`, `Half of ${2 * a} is ${a}.`];
    case "double":
      return [`What is the double of ${a}?`, `The double of ${a} is ${2 * a}.`];
    case "word":
      return [`Write the number ${a} as a word.`, `The number ${a} is written as ${words[a]!}.`];
    case "even":
      return [`Is ${a + b} an even number or an odd number?`, `${a + b} is an ${(a + b) % 2 === 0 ? "even" : "odd"} number.`];
  }
}

function ask(random: Random, spoken: string, written: string): string {
  return pick(random, [
    `What is ${spoken}?`,
    `What is ${spoken}?`,
    `How much is ${spoken}?`,
    `Please tell me what ${spoken} is.`,
    `What is ${written}?`,
  ]);
}
