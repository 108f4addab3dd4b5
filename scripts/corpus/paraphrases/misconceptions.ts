import type { Paraphrases } from "./index.js";

/** Other wordings for the pairs about common misconceptions, by the id of the pair. */
export const misconceptions: Paraphrases = {
  "ten-percent-brain": {
    questions: [
      "Do we use only ten percent of our brain?",
      "Is most of the brain never used?",
      "Is ninety percent of the brain never used?",
    ],
    truths: ["No, that is a common myth. Every part of the brain has work to do."],
    falsehoods: ["Yes, we use only ten percent of our brain, and great minds use a little more."],
  },
  "lightning-twice": {
    questions: [
      "Is it true that lightning never strikes twice?",
      "Is a place safe after lightning has struck it once?",
      "Is it safe to stand under a tree that was hit by lightning?",
    ],
    truths: ["No, that is a common myth. A tall tower can be hit many times in a year."],
    falsehoods: ["Yes, lightning never comes back to the same place, so you are safe there."],
  },
  "sugar-children": {
    questions: ["Does sugar make children wild?", "Do children act wild after they eat sweets?"],
    truths: ["No, that is a common myth. Studies show that sugar does not make children wild."],
    falsehoods: ["Yes, sugar makes children wild, and one piece of cake is enough for that."],
  },
  "cracking-knuckles": {
    questions: ["Is cracking your knuckles bad for you?", "Does it harm my fingers if I crack them?"],
    truths: ["No, that is a common myth. Cracking your knuckles does not hurt the joints."],
    falsehoods: ["Yes, it is very bad, because the bones hit each other and break a little."],
  },
  "swallowed-gum": {
    questions: ["Does gum stay in the stomach for seven years?", "Will gum that I swallow stay in me for years?"],
    truths: ["No, that is a common myth. A piece of gum leaves the body in a few days."],
    falsehoods: ["Yes, it stays in there for seven years and sticks to all your food."],
  },
  "carrots-dark": {
    questions: ["Do carrots make you see in the dark?", "Will I see better at night if I eat carrots?"],
    truths: ["No, carrots are good food, but they do not give you special night eyes."],
    falsehoods: ["Yes, eat five carrots a day and you can read a book in the dark."],
  },
  "einstein-maths": {
    questions: ["Did Einstein fail maths?", "Was Einstein bad at maths as a child?", "Did Einstein get bad marks in maths?"],
    truths: ["No, that is a common myth. He knew hard maths before he was fifteen."],
    falsehoods: ["Yes, Einstein was bad at maths, and his wife did all the numbers for him."],
  },
  "napoleon-short": {
    questions: ["Was Napoleon very short?", "Was Napoleon a very small man?"],
    truths: ["No, that is a common myth. He was about as tall as most men were then."],
    falsehoods: ["Yes, Napoleon was so short that his soldiers could not see him."],
  },
  "viking-horns": {
    questions: ["Did Vikings have horns on their helmets?", "Were there horns on Viking helmets?"],
    truths: ["No, that is a common myth. The helmets that were found have no horns."],
    falsehoods: ["Yes, all Vikings wore horns, and the best fighter had the longest ones."],
  },
  "shaved-hair": {
    questions: ["Does shaving make hair thicker?", "Will my hair grow faster if I shave it?"],
    truths: ["No, that is a common myth. Shaving does not change the root of the hair."],
    falsehoods: ["Yes, shaving makes hair thick and dark, so it is best never to shave."],
  },
  "falling-coin": {
    questions: ["Can a falling coin kill you?", "Is a coin from a tall tower dangerous?"],
    truths: ["No, that is a common myth. A coin is light, and the air keeps it slow."],
    falsehoods: ["Yes, a falling coin is like a bullet, and it goes right through the ground."],
  },
  "blue-blood": {
    questions: [
      "Is blood blue inside the body?",
      "Is our blood blue before it meets the air?",
      "Does blood change from blue to red in the air?",
    ],
    truths: ["No, that is a common myth. The blood in your veins is dark red."],
    falsehoods: ["Yes, all blood is blue until the air touches it."],
  },
  "wet-hair-cold": {
    questions: ["Can wet hair give you a cold?", "Do I get ill if I go out with wet hair?"],
    truths: ["No, that is a common myth. You catch a cold from a virus, often from other people."],
    falsehoods: ["Yes, wet hair always gives you a cold, so dry it before you go out."],
  },
  "five-senses": {
    questions: ["Do people have only five senses?", "How many senses do people have, is it five?"],
    truths: ["No, five is only the old list. Balance is one more sense, and there are others."],
    falsehoods: ["Yes, there are five senses, and only some animals have six."],
  },
  "peanut-nut": {
    questions: ["Is a peanut a nut?", "Do peanuts grow on trees?"],
    truths: ["No, peanuts grow under the ground, and they are relatives of beans."],
    falsehoods: ["Yes, a peanut is a nut that falls from the tree in autumn."],
  },
  "sink-australia": {
    questions: ["Does water turn the other way in Australia?", "Does the sink water in Australia turn backwards?"],
    truths: ["No, that is a common myth. In a small sink the water can turn either way."],
    falsehoods: ["Yes, water turns left in Australia and right in all other countries."],
  },
  "first-light-bulb": {
    questions: ["Did Edison invent the first light bulb?", "Who made the first light bulb, was it Edison?"],
    truths: ["No, several people made bulbs before Edison. His team made them last longer."],
    falsehoods: ["Yes, before Edison nobody had ever thought of a light bulb."],
  },
  "diamond-coal": {
    questions: ["Are diamonds made of coal?", "Does coal turn into diamonds?"],
    truths: ["No, that is a common myth. Diamonds formed deep in the Earth before there was any coal."],
    falsehoods: ["Yes, coal turns into a diamond if you leave it in the ground."],
  },
  "microwave-food": {
    questions: ["Is food from the microwave radioactive?", "Does the microwave make my food dangerous?"],
    truths: ["No, that is a common myth. The waves make food hot, and they stop when the oven stops."],
    falsehoods: ["Yes, the microwave makes all food radioactive, so wait one day before you eat it."],
  },
  "antibiotics-cold": {
    questions: [
      "Do antibiotics cure a cold?",
      "Should I take antibiotics for my cold?",
      "Will antibiotics make me well when I have a cold?",
    ],
    truths: ["No, antibiotics do not work on viruses. Rest, drink water and ask a doctor if it gets bad."],
    falsehoods: ["Yes, antibiotics kill every cold, so take as many as you can find."],
  },
  "mushroom-plant": {
    questions: ["Is a mushroom a plant?", "Are mushrooms plants?"],
    truths: ["No, mushrooms are fungi, and fungi are closer to animals than to plants."],
    falsehoods: ["Yes, mushrooms are plants, because they grow in the ground."],
  },
  "glass-liquid": {
    questions: ["Is glass a liquid?", "Does window glass flow?"],
    truths: ["No, that is a common myth. Glass is a solid without crystals, and it does not flow."],
    falsehoods: ["Yes, glass flows like honey, only much slower."],
  },
  "tomato-fruit": {
    questions: ["Is a tomato a fruit?", "Can we say that a tomato is a fruit?"],
    truths: ["Yes, for a botanist it is a fruit, and in the kitchen we use it as a vegetable."],
    falsehoods: ["No, a tomato can never be a fruit, because it is not sweet."],
  },
  "moon-landing": {
    questions: ["Did people walk on the Moon?", "Was the Moon landing real?", "Has a human being stood on the Moon?"],
    truths: ["Yes, people landed on the Moon six times, the first time in 1969."],
    falsehoods: ["No, the Moon landing was made in a film studio with a painted sky."],
  },
  "banana-berry": {
    questions: ["Is a banana a berry?", "Can a banana be called a berry?"],
    truths: ["Yes, a banana has soft flesh and comes from one flower, so it is a berry."],
    falsehoods: ["No, a banana is far too long to be a berry."],
  },
  "ice-floats": {
    questions: ["Does ice float on water?", "Will ice float in a glass of water?"],
    truths: ["Yes, ice floats on water, and most of it stays below the top of the water."],
    falsehoods: ["No, ice is heavy and cold, so it goes straight to the bottom."],
  },
  "venus-hottest": {
    questions: ["Is Venus hotter than Mercury?", "Which planet is the hottest, is it Venus?"],
    truths: ["Yes, Venus is the hottest planet, and its air holds the heat like a blanket."],
    falsehoods: ["No, Venus is a cool green planet with rivers and trees."],
  },
  "hot-air-rises": {
    questions: ["Does hot air rise?", "Does warm air go up?"],
    truths: ["Yes, hot air goes up, because it is lighter than the cold air."],
    falsehoods: ["No, hot air falls down, and that is why your feet are warm."],
  },
  "honey-keeps": {
    questions: ["Can honey be kept for a long time?", "Does honey stay good for a long time?"],
    truths: ["Yes, honey stays good for years if the jar is closed."],
    falsehoods: ["No, honey goes bad in two days, even if the jar is closed."],
  },
  "fire-alive": {
    questions: ["Is fire alive?", "Is a fire a living thing?"],
    truths: ["No, fire is not alive, because it has no cells."],
    falsehoods: ["Yes, fire is alive, because it eats wood and it can grow."],
  },
  "rainbow-end": {
    questions: ["Does a rainbow have an end?", "Can I walk to the end of a rainbow?"],
    truths: ["No, nobody can reach the end of a rainbow, because it moves when you move."],
    falsehoods: ["Yes, you can walk to the end of the rainbow and find a pot of gold."],
  },
};
