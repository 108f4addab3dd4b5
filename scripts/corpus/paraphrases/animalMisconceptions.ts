import type { Paraphrases } from "./index.js";

/** Other wordings for the pairs about common misconceptions about animals, by the id of the pair. */
export const animalMisconceptions: Paraphrases = {
  "goldfish-memory": {
    questions: ["Is the memory of a goldfish three seconds long?", "Is it true that a goldfish forgets everything?"],
    truths: ["No, that is a common myth. Goldfish can learn simple tricks and remember them."],
    falsehoods: ["Yes, a goldfish has a memory of three seconds, and then all is new again."],
  },
  "bulls-and-red": {
    questions: ["Do bulls hate the colour red?", "Does red make a bull angry?", "Would a bull only run at a red cloth?"],
    truths: ["No, that is a common myth. It is the movement of the cloth that the bull follows."],
    falsehoods: ["Yes, a bull gets angry at red things, so never wear a red coat near one."],
  },
  "bats-blind": {
    questions: ["Are bats blind?", "Are all bats blind animals?"],
    truths: ["No, that is a common myth. Bats have eyes, and some of them see very well."],
    falsehoods: ["Yes, bats are blind, and that is why they only fly at night."],
  },
  "ostrich-sand": {
    questions: ["Do ostriches hide their heads in the sand?", "Does a frightened ostrich put its head in the sand?"],
    truths: ["No, that is a common myth. The bird lays its eggs in a hole and turns them with its beak."],
    falsehoods: ["Yes, the ostrich keeps its head in the sand until the danger has gone."],
  },
  "camel-hump": {
    questions: [
      "Is there water in the hump of a camel?",
      "Is the hump of a camel full of water?",
      "Could a man drink water from the hump of a camel?",
    ],
    truths: ["No, that is a common myth. There is fat in the hump, and it serves as food."],
    falsehoods: ["Yes, a camel fills its hump with water before it goes into the desert."],
  },
  "chameleon-colour": {
    questions: ["Can a chameleon turn into any colour?", "Does a chameleon always match the ground under it?"],
    truths: ["No, that is a common myth. Its colours often show its mood to other chameleons."],
    falsehoods: ["Yes, a chameleon can copy any picture that you put under it."],
  },
  "dogs-grey": {
    questions: ["Do dogs see only grey?", "Are dogs blind to all colours?"],
    truths: ["No, that is a common myth. Dogs see blue and yellow quite well."],
    falsehoods: ["Yes, dogs see no colours at all, and everything is grey to them."],
  },
  "whale-fish": {
    questions: ["Is a whale a fish?", "Do whales belong to the fish?", "Are whales in the same group as tuna?"],
    truths: ["No, whales are mammals, and they must come up to breathe air."],
    falsehoods: ["Yes, a whale is a fish, because everything that lives in the sea is a fish."],
  },
  "spider-insect": {
    questions: ["Is a spider an insect?", "Are spiders insects?"],
    truths: ["No, insects have six legs, but a spider has eight."],
    falsehoods: ["Yes, spiders are insects, and most of them can fly."],
  },
  "baby-bird": {
    questions: ["Does a bird leave its baby if I touch it?", "Will a mother bird leave her young if I touched them?"],
    truths: ["No, that is a common myth. You can put a small baby bird back in its nest."],
    falsehoods: ["Yes, one touch is enough, and the mother will leave the nest for ever."],
  },
  "bee-sting": {
    questions: ["Do bees die when they sting?", "Does every bee die after one sting?"],
    truths: ["No, it is mostly the honey bee that dies. Other bees can sting again."],
    falsehoods: ["Yes, all bees die after one sting, so they never sting without need."],
  },
  "koala-bear": {
    questions: ["Is a koala a bear?", "Are koalas bears?"],
    truths: ["No, koalas are not bears. They are relatives of the wombat."],
    falsehoods: ["Yes, the koala is a bear, and it hunts fish in the rivers of Australia."],
  },
  "lemmings-cliff": {
    questions: ["Do lemmings jump off cliffs?", "Is it true that lemmings kill themselves?"],
    truths: ["No, that is a common myth. Lemmings travel, and sometimes a few fall by accident."],
    falsehoods: ["Yes, lemmings jump off a cliff when there are too many of them."],
  },
  "dolphin-mammal": {
    questions: ["Is a dolphin a mammal?", "Do dolphins belong to the mammals?", "Does a dolphin feed its baby with milk?"],
    truths: ["Yes, dolphins are mammals, and they come up often to breathe."],
    falsehoods: ["No, dolphins are fish, and they lay their eggs in the sand."],
  },
  "octopus-hearts": {
    questions: ["Has an octopus got three hearts?", "Does an octopus have three hearts?"],
    truths: ["Yes, it has three hearts, and its blood is blue."],
    falsehoods: ["No, an octopus has one heart in each arm, so it has eight."],
  },
  "fish-sleep": {
    questions: ["Do fish ever sleep?", "Can a fish sleep?"],
    truths: ["Yes, fish rest, but most of them cannot close their eyes."],
    falsehoods: ["No, a fish swims day and night and never rests in its whole life."],
  },
};
