import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { pick, spread, talk } from "../conversation.js";

interface Weather {
  now: readonly string[];
  wear: string;
  activity: string;
}

const weathers: readonly Weather[] = [
  { now: ["It is raining", "It rains a lot"], wear: "a raincoat and take an umbrella", activity: "read a book or play a game inside" },
  {
    now: ["It is snowing", "There is a lot of snow"],
    wear: "a warm coat, gloves and boots",
    activity: "build a snowman or drink something hot",
  },
  { now: ["It is very hot", "It is a hot day"], wear: "light clothes and a hat", activity: "stay in the shade and drink enough water" },
  { now: ["It is very cold", "It is a cold day"], wear: "a thick coat, a scarf and gloves", activity: "cook a warm soup" },
  { now: ["It is windy", "There is a strong wind"], wear: "a jacket that keeps the wind out", activity: "fly a kite in an open field" },
  { now: ["It is sunny", "The sun is shining"], wear: "a hat and use sun cream", activity: "take a walk in the park" },
  {
    now: ["It is foggy", "There is thick fog"],
    wear: "something bright so that people can see you",
    activity: "drive slowly or stay at home",
  },
  {
    now: ["There is a storm", "It thunders"],
    wear: "strong shoes and a raincoat, but only if you must go out",
    activity: "stay inside and close the windows",
  },
];

const facts: readonly (readonly [string, string])[] = [
  ["What is rain?", "Rain is water that falls from clouds in drops."],
  ["What is snow?", "Snow is made of small ice crystals that fall from clouds."],
  ["What is fog?", "Fog is a cloud that lies close to the ground."],
  ["What is wind?", "Wind is air that moves from one place to another."],
  ["What is thunder?", "Thunder is the sound that lightning makes."],
  ["Why do we see lightning before we hear thunder?", "Light is much faster than sound, so we see the lightning first."],
  ["What are clouds made of?", "Clouds are made of tiny drops of water or bits of ice."],
  ["What is hail?", "Hail is rain that has frozen into balls of ice."],
  ["When does water freeze?", "Water freezes at zero degrees Celsius."],
  ["When does water boil?", "At sea level water boils at one hundred degrees Celsius."],
  ["Name the four seasons.", "The four seasons are spring, summer, autumn and winter."],
  ["Which season comes after winter?", "Spring comes after winter."],
  ["Which season comes after spring?", "Summer comes after spring."],
  ["Which season comes after summer?", "Autumn comes after summer."],
  ["Which season comes after autumn?", "Winter comes after autumn."],
  ["What happens to leaves in autumn?", "Many leaves turn yellow, red or brown, and then they fall."],
  ["How is a rainbow made?", "Sunlight goes into drops of rain and comes out in many colours."],
  ["What should I do in a thunderstorm?", "Go into a house or a car and keep away from tall trees."],
  ["What is a desert?", "A desert is a land where it almost never rains."],
  ["Why does it rain?", "Water rises into the air, forms clouds and falls down when the drops get heavy."],
];

/** What to wear and to do, and what rain, wind and snow are. */
export function weather(random: Random, count: number): Conversation[] {
  const kinds = spread(random, ["wear", "activity", "fact", "fact"] as const, count);
  const states = spread(random, weathers, count);
  const turns = spread(random, facts, count);
  return kinds.map((kind, i) => {
    if (kind === "fact") return talk(...turns[i]!);
    const state = states[i]!;
    const now = pick(random, state.now);
    return kind === "wear"
      ? talk(pick(random, [`${now}. What should I wear?`, `${now} today. What can I wear?`]), `You should wear ${state.wear}.`)
      : talk(pick(random, [`${now}. What can I do?`, `${now} today. What should I do?`]), `You could ${state.activity}.`);
  });
}
