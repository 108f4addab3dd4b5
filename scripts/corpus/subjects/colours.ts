import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { capitalise, pick, spread, talk } from "../conversation.js";

/** What, verb, colour. */
const coloured: readonly (readonly [string, "is" | "are", string])[] = [
  ["a ripe banana", "is", "yellow"],
  ["a lemon", "is", "yellow"],
  ["grass", "is", "green"],
  ["a clear sky", "is", "blue"],
  ["snow", "is", "white"],
  ["milk", "is", "white"],
  ["coal", "is", "black"],
  ["an orange", "is", "orange"],
  ["a carrot", "is", "orange"],
  ["a ripe strawberry", "is", "red"],
  ["a ripe tomato", "is", "red"],
  ["chocolate", "is", "brown"],
  ["a flamingo", "is", "pink"],
  ["an elephant", "is", "grey"],
  ["a raven", "is", "black"],
  ["a swan", "is", "mostly white"],
  ["spinach", "is", "green"],
  ["rubies", "are", "red"],
  ["emeralds", "are", "green"],
  ["sunflowers", "are", "yellow"],
  ["most leaves in summer", "are", "green"],
  ["an egg yolk", "is", "yellow"],
  ["salt", "is", "white"],
  ["a cucumber", "is", "green"],
  ["a polar bear", "is", "white"],
  ["wood", "is", "often brown"],
  ["gold", "is", "yellow and shiny"],
  ["silver", "is", "grey and shiny"],
  ["an eggplant", "is", "purple"],
  ["a cherry", "is", "often red"],
  ["a rain cloud", "is", "dark grey"],
  ["sand", "is", "often light brown"],
  ["cotton", "is", "white"],
];

/** Mixing paint. */
const mixes: readonly (readonly [string, string, string])[] = [
  ["blue", "yellow", "green"],
  ["red", "yellow", "orange"],
  ["red", "blue", "purple"],
  ["red", "white", "pink"],
  ["black", "white", "grey"],
  ["blue", "white", "light blue"],
  ["green", "white", "light green"],
];

const plain: readonly (readonly [string, string])[] = [
  ["Which colours does a rainbow have?", "A rainbow has red, orange, yellow, green, blue and violet."],
  ["What does a red traffic light mean?", "A red traffic light means that you must stop."],
  ["What does a green traffic light mean?", "A green traffic light means that you may go."],
  ["Name three colours.", "Three colours are red, green and blue."],
  ["Name a warm colour.", "Orange is a warm colour."],
  ["Name a cold colour.", "Blue is a cold colour."],
  ["Which colour is good for a coat at night?", "White or yellow is good, because drivers can see it well."],
  ["Why is the sky blue?", "The air scatters blue light more than red light, so the sky looks blue."],
  ["Why are leaves green?", "Leaves are green because they hold chlorophyll, which takes in red and blue light."],
];

/** Colours of things, mixing paint, rainbow and traffic light. */
export function colours(random: Random, count: number): Conversation[] {
  const kinds = spread(random, ["thing", "thing", "thing", "mix", "plain"] as const, count);
  const things = spread(random, coloured, count);
  const paints = spread(random, mixes, count);
  const others = spread(random, plain, count);
  return kinds.map((kind, i) => {
    if (kind === "plain") return talk(...others[i]!);
    if (kind === "mix") {
      const [a, b, result] = paints[i]!;
      const [first, second] = random.integer(2) === 0 ? [a, b] : [b, a];
      return talk(
        pick(random, [`What do I get when I mix ${first} and ${second} paint?`, `Which colour do ${first} and ${second} make?`]),
        `If you mix ${first} and ${second} paint, you get ${result}.`,
      );
    }
    const [thing, verb, colour] = things[i]!;
    return talk(
      pick(random, [`What colour ${verb} ${thing}?`, `Which colour ${verb === "is" ? "does" : "do"} ${thing} have?`]),
      `${capitalise(thing)} ${verb} ${colour}.`,
    );
  });
}
