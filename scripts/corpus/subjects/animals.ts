import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { capitalise, pick, spread, talk, withArticle } from "../conversation.js";

interface Animal {
  name: string;
  plural: string;
  group: "mammal" | "bird" | "fish" | "insect" | "reptile" | "amphibian";
  legs: number;
  home: string;
  food: string;
  sound?: string;
  young?: string;
}

const rows: readonly (readonly [string, string, Animal["group"], number, string, string, string?, string?])[] = [
  ["dog", "dogs", "mammal", 4, "with people in a house", "meat and dog food", "barks", "puppy"],
  ["cat", "cats", "mammal", 4, "with people in a house", "meat and fish", "says meow", "kitten"],
  ["cow", "cows", "mammal", 4, "on a farm", "grass and hay", "moos", "calf"],
  ["horse", "horses", "mammal", 4, "in a stable or in a field", "grass and hay", "neighs", "foal"],
  ["sheep", "sheep", "mammal", 4, "on a farm or in the hills", "grass", "says baa", "lamb"],
  ["goat", "goats", "mammal", 4, "on a farm or in the hills", "grass and leaves", "bleats", "kid"],
  ["pig", "pigs", "mammal", 4, "on a farm", "plants and many other things", "grunts", "piglet"],
  ["lion", "lions", "mammal", 4, "in the grasslands of Africa", "meat", "roars", "cub"],
  ["tiger", "tigers", "mammal", 4, "in the forests of Asia", "meat", "roars", "cub"],
  ["elephant", "elephants", "mammal", 4, "in Africa and Asia", "grass, leaves and fruit", "trumpets", "calf"],
  ["bear", "bears", "mammal", 4, "in forests and mountains", "berries, roots, fish and meat", "growls", "cub"],
  ["wolf", "wolves", "mammal", 4, "in forests and cold plains", "meat", "howls", "pup"],
  ["fox", "foxes", "mammal", 4, "in forests and fields", "mice, birds and berries", "barks", "cub"],
  ["rabbit", "rabbits", "mammal", 4, "in holes under the ground", "grass and leaves"],
  ["mouse", "mice", "mammal", 4, "in fields and in old houses", "seeds and grain", "squeaks"],
  ["monkey", "monkeys", "mammal", 4, "in warm forests", "fruit, leaves and insects"],
  ["camel", "camels", "mammal", 4, "in dry and hot lands", "grass and dry plants", undefined, "calf"],
  ["kangaroo", "kangaroos", "mammal", 4, "in Australia", "grass and leaves", undefined, "joey"],
  ["giraffe", "giraffes", "mammal", 4, "in the grasslands of Africa", "leaves of tall trees", undefined, "calf"],
  ["zebra", "zebras", "mammal", 4, "in the grasslands of Africa", "grass", undefined, "foal"],
  ["bee", "bees", "insect", 6, "in a hive", "nectar and pollen of flowers", "buzzes"],
  ["ant", "ants", "insect", 6, "in a nest in the ground", "seeds, sweet juice and other insects"],
  ["butterfly", "butterflies", "insect", 6, "in gardens and fields", "nectar of flowers", undefined, "caterpillar"],
  ["hen", "hens", "bird", 2, "on a farm", "grain and worms", "clucks", "chick"],
  ["duck", "ducks", "bird", 2, "near lakes and rivers", "water plants and small animals", "quacks", "duckling"],
  ["goose", "geese", "bird", 2, "near lakes and in fields", "grass and grain", "honks", "gosling"],
  ["owl", "owls", "bird", 2, "in trees and old buildings", "mice and insects", "hoots", "owlet"],
  ["eagle", "eagles", "bird", 2, "in high mountains and cliffs", "fish and small animals", undefined, "eaglet"],
  ["swan", "swans", "bird", 2, "on lakes and rivers", "water plants", undefined, "cygnet"],
  ["parrot", "parrots", "bird", 2, "in warm forests", "seeds and fruit"],
  ["crow", "crows", "bird", 2, "in fields and towns", "seeds, fruit and small animals", "caws"],
  ["frog", "frogs", "amphibian", 4, "near ponds", "insects", "croaks", "tadpole"],
  ["snake", "snakes", "reptile", 0, "in grass, sand and forests", "mice, frogs and eggs", "hisses"],
  ["turtle", "turtles", "reptile", 4, "in the sea, in rivers and on land", "plants and small sea animals"],
  ["crocodile", "crocodiles", "reptile", 4, "in warm rivers and lakes", "fish and other animals"],
  ["lizard", "lizards", "reptile", 4, "on warm stones and walls", "insects"],
  ["salmon", "salmon", "fish", 0, "in rivers and in the sea", "insects and small fish"],
  ["shark", "sharks", "fish", 0, "in the sea", "fish and other sea animals", undefined, "pup"],
];

const animalList: readonly Animal[] = rows.map(([name, plural, group, legs, home, food, sound, young]) => ({
  name,
  plural,
  group,
  legs,
  home,
  food,
  sound,
  young,
}));

const numbers: Readonly<Record<number, string>> = { 0: "no", 2: "two", 4: "four", 6: "six" };

/** Where animals live, what they eat, how they sound, what their young are called. */
export function animals(random: Random, count: number): Conversation[] {
  return spread(random, animalList.flatMap(facts), count).map((turns) => talk(pick(random, turns.questions), turns.answer));
}

function facts(animal: Animal): { questions: string[]; answer: string }[] {
  const one = withArticle(animal.name);
  const many = capitalise(animal.plural);
  const result = [
    { questions: [`Where do ${animal.plural} live?`, `Where does ${one} live?`], answer: `${many} live ${animal.home}.` },
    { questions: [`What do ${animal.plural} eat?`, `What does ${one} eat?`], answer: `${many} eat ${animal.food}.` },
    {
      questions: [`How many legs does ${one} have?`, `How many legs do ${animal.plural} have?`],
      answer: `${capitalise(one)} has ${numbers[animal.legs]!} legs.`,
    },
    {
      questions: [`What kind of animal is ${one}?`, `To which group of animals does ${one} belong?`],
      answer: `${capitalise(one)} is ${withArticle(animal.group)}.`,
    },
    {
      questions: [`Tell me something about ${animal.plural}.`, `What do you know about ${animal.plural}?`],
      answer: `${many} live ${animal.home}, and they eat ${animal.food}.`,
    },
  ];
  if (animal.sound !== undefined) {
    result.push({
      questions: [`Which sound does ${one} make?`, `What sound does ${one} make?`],
      answer: `${capitalise(one)} ${animal.sound}.`,
    });
  }
  if (animal.young !== undefined) {
    result.push({
      questions: [`What is a young ${animal.name} called?`, `What do we call a baby ${animal.name}?`],
      answer: `A young ${animal.name} is called ${withArticle(animal.young)}.`,
    });
  }
  return result;
}
