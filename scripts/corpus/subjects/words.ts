import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { capitalise, pick, spread, talk, withArticle } from "../conversation.js";

const opposites: readonly (readonly [string, string])[] = [
  ["hot", "cold"],
  ["big", "small"],
  ["long", "short"],
  ["old", "young"],
  ["fast", "slow"],
  ["happy", "sad"],
  ["light", "dark"],
  ["high", "low"],
  ["rich", "poor"],
  ["wet", "dry"],
  ["full", "empty"],
  ["open", "closed"],
  ["hard", "soft"],
  ["near", "far"],
  ["early", "late"],
  ["loud", "quiet"],
  ["clean", "dirty"],
  ["strong", "weak"],
  ["thick", "thin"],
  ["good", "bad"],
  ["heavy", "light"],
  ["day", "night"],
  ["left", "right"],
  ["up", "down"],
  ["begin", "end"],
  ["give", "take"],
  ["buy", "sell"],
  ["push", "pull"],
];

const plurals: readonly (readonly [string, string])[] = [
  ["book", "books"],
  ["child", "children"],
  ["mouse", "mice"],
  ["foot", "feet"],
  ["tooth", "teeth"],
  ["man", "men"],
  ["woman", "women"],
  ["leaf", "leaves"],
  ["knife", "knives"],
  ["city", "cities"],
  ["box", "boxes"],
  ["bus", "buses"],
  ["baby", "babies"],
  ["house", "houses"],
  ["goose", "geese"],
  ["wolf", "wolves"],
  ["apple", "apples"],
  ["glass", "glasses"],
  ["story", "stories"],
  ["sheep", "sheep"],
  ["window", "windows"],
];

const pasts: readonly (readonly [string, string])[] = [
  ["go", "went"],
  ["eat", "ate"],
  ["see", "saw"],
  ["write", "wrote"],
  ["take", "took"],
  ["give", "gave"],
  ["come", "came"],
  ["run", "ran"],
  ["swim", "swam"],
  ["read", "read"],
  ["walk", "walked"],
  ["play", "played"],
  ["sing", "sang"],
  ["buy", "bought"],
  ["think", "thought"],
  ["find", "found"],
];

const meanings: readonly (readonly [string, string])[] = [
  ["baker", "a person who makes bread"],
  ["teacher", "a person who helps others to learn"],
  ["farmer", "a person who grows food"],
  ["library", "a place where you can borrow books"],
  ["island", "land with water on all sides"],
  ["river", "water that flows through the land to a sea or a lake"],
  ["bridge", "a way over a river or a road"],
  ["hospital", "a place where ill people get help"],
  ["museum", "a place where you can look at old or beautiful things"],
  ["kitchen", "a room where people cook"],
  ["garden", "a place where flowers and vegetables grow"],
  ["umbrella", "a thing that keeps you dry in the rain"],
  ["map", "a drawing of a place that shows the way"],
  ["clock", "a thing that shows the time"],
  ["friend", "a person whom you like and trust"],
  ["forest", "a place with very many trees"],
  ["mountain", "a very high hill"],
  ["village", "a place with a few houses, smaller than a town"],
  ["market", "a place where people buy and sell things"],
  ["neighbour", "a person who lives next to you"],
  ["winter", "the coldest season of the year"],
];

const sentences: readonly (readonly [string, string])[] = [
  ["apple", "I eat an apple every day."],
  ["rain", "The rain falls on the roof."],
  ["school", "The children walk to school."],
  ["bird", "A small bird sings in the tree."],
  ["water", "Please drink a glass of water."],
  ["book", "She reads a good book in the evening."],
  ["sun", "The sun is warm today."],
  ["sea", "The boat is on the sea."],
  ["mother", "My mother sings a quiet song."],
  ["bread", "The baker sells fresh bread."],
  ["night", "The stars shine at night."],
  ["road", "The road is long and straight."],
  ["door", "Please close the door."],
  ["letter", "He writes a letter to his friend."],
  ["horse", "The horse runs over the field."],
  ["lamp", "The lamp stands on the table."],
];

const days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
] as const;

const kinds = ["opposite", "opposite", "plural", "past", "meaning", "meaning", "sentence", "day", "month"] as const;

/** Opposites, plurals, past forms, meanings, sentences, days and months. */
export function words(random: Random, count: number): Conversation[] {
  return spread(random, kinds, count).map((kind) => {
    switch (kind) {
      case "opposite": {
        const [a, b] = pick(random, opposites);
        // "light" has two opposites, so it is only ever the answer.
        const [word, other] = b === "light" || (a !== "light" && random.integer(2) === 0) ? [a, b] : [b, a];
        return talk(
          pick(random, [`What is the opposite of ${word}?`, `Tell me the opposite of ${word}.`]),
          `The opposite of ${word} is ${other}.`,
        );
      }
      case "plural": {
        const [one, many] = pick(random, plurals);
        return talk(pick(random, [`What is the plural of ${one}?`, `One ${one}, two what?`]), `The plural of ${one} is ${many}.`);
      }
      case "past": {
        const [now, past] = pick(random, pasts);
        return talk(`What is the past form of ${now}?`, `The past form of ${now} is ${past}.`);
      }
      case "meaning": {
        const [word, meaning] = pick(random, meanings);
        const thing = word === "winter" ? word : withArticle(word);
        return talk(pick(random, [`What is ${thing}?`, `What does the word ${word} mean?`]), `${capitalise(thing)} is ${meaning}.`);
      }
      case "sentence": {
        const [word, sentence] = pick(random, sentences);
        return talk(pick(random, [`Use the word ${word} in a sentence.`, `Write a sentence with the word ${word}.`]), sentence);
      }
      case "day":
        return succession(random, "day", days);
      case "month":
        return succession(random, "month", months);
    }
  });
}

/** Which day or month comes before or after another; the year and the week are circles. */
function succession(random: Random, unit: "day" | "month", circle: readonly string[]): Conversation {
  const i = random.integer(circle.length);
  const [first, second] = [circle[i]!, circle[(i + 1) % circle.length]!];
  return random.integer(2) === 0
    ? talk(`Which ${unit} comes after ${first}?`, `${second} comes after ${first}.`)
    : talk(`Which ${unit} comes before ${second}?`, `${first} comes before ${second}.`);
}
