import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { pick, spread, talk } from "../conversation.js";

/** Dish with article or without, how to make it, what goes in. */
const dishes: readonly (readonly [string, string, string])[] = [
  ["tea", "Pour hot water over the tea leaves, wait four minutes and take the leaves out.", "tea leaves and hot water"],
  ["a boiled egg", "Put the egg in boiling water for about ten minutes, then cool it in cold water.", "an egg and water"],
  ["a fruit salad", "Wash some fruit, cut it into small pieces and mix it with a little lemon juice.", "fresh fruit and lemon juice"],
  ["pancakes", "Mix flour, milk and eggs, and bake thin cakes in a hot pan with butter.", "flour, milk, eggs and butter"],
  [
    "tomato soup",
    "Cook onions and tomatoes in a pot, add water and salt, and mix it until it is smooth.",
    "tomatoes, onions, water and salt",
  ],
  ["rice", "Wash the rice, add two cups of water for one cup of rice and cook it on low heat.", "rice, water and salt"],
  ["a cheese sandwich", "Put butter and cheese on a slice of bread and lay another slice on top.", "bread, butter and cheese"],
  [
    "lentil soup",
    "Cook red lentils with onions and carrots for half an hour, then add salt and lemon.",
    "lentils, onions, carrots and lemon",
  ],
  ["mashed potatoes", "Boil the potatoes until they are soft, then mash them with milk and butter.", "potatoes, milk and butter"],
  ["an omelette", "Beat two eggs with salt, pour them into a hot pan and fold the omelette in half.", "eggs, salt and butter"],
  ["lemonade", "Mix lemon juice, cold water and sugar, and stir it well.", "lemons, water and sugar"],
  [
    "hummus",
    "Mix cooked chickpeas with sesame paste, lemon juice, garlic and salt until it is smooth.",
    "chickpeas, sesame paste, lemon and garlic",
  ],
  ["a green salad", "Wash the leaves, dry them and mix them with oil, vinegar and salt.", "green leaves, oil, vinegar and salt"],
  ["noodles", "Boil the noodles in salted water until they are soft, then pour the water away.", "noodles, water and salt"],
  ["bread", "Mix flour, water, yeast and salt, let the dough rise and bake it in a hot oven.", "flour, water, yeast and salt"],
  ["hot chocolate", "Heat the milk slowly and stir cocoa and sugar into it.", "milk, cocoa and sugar"],
  ["baked apples", "Take out the core, fill the apples with nuts and honey and bake them until they are soft.", "apples, nuts and honey"],
  [
    "vegetable soup",
    "Cut the vegetables, cook them in water for twenty minutes and add salt and herbs.",
    "vegetables, water, salt and herbs",
  ],
  ["popcorn", "Heat some oil in a pot, add the corn, close the lid and wait until it is quiet.", "corn, oil and salt"],
  ["fried rice", "Fry cold rice with egg, peas and onions in a hot pan.", "rice, eggs, peas and onions"],
];

const tips: readonly (readonly [string, string])[] = [
  ["How do I keep bread fresh?", "Keep the bread in a closed bag or box, or freeze some slices."],
  ["How can I tell if an egg is fresh?", "Put it in a glass of water. A fresh egg lies flat on the bottom."],
  ["Why do onions make me cry?", "A cut onion gives off a gas that stings the eyes."],
  ["My soup has too much salt. What can I do?", "Add some water or a few pieces of potato and taste it again."],
  ["What can I cook with eggs and potatoes?", "You can make an omelette with fried potatoes."],
  ["What is a good breakfast?", "A good breakfast is bread or oats with fruit and a drink."],
  ["How can I cook when I have little time?", "Noodles with tomato sauce are ready in fifteen minutes."],
  ["What should I do before I cook?", "Wash your hands, read the recipe and put everything on the table."],
  ["How do I cut an onion?", "Cut the onion in half, lay it flat and cut thin slices with a sharp knife."],
  ["How do I peel a tomato?", "Put the tomato in hot water for a short time, and the skin comes off easily."],
  ["Which food is sour?", "Lemons and vinegar are sour."],
  ["Which food is sweet?", "Honey, sugar and ripe fruit are sweet."],
  ["Which food is salty?", "Olives, chips and salted nuts are salty."],
  ["What can I drink when it is hot?", "Cold water with lemon or mint is a good drink on a hot day."],
  ["Is it safe to eat raw chicken?", "No, raw chicken can make you ill. Cook it until no part of it is pink."],
  ["How long can I keep cooked rice?", "Keep it in the fridge and eat it within one day."],
];

/** Simple recipes and kitchen tips. */
export function cooking(random: Random, count: number): Conversation[] {
  const kinds = spread(random, ["how", "how", "what", "tip", "tip"] as const, count);
  const recipes = spread(random, dishes, count);
  const advice = spread(random, tips, count);
  return kinds.map((kind, i) => {
    if (kind === "tip") return talk(...advice[i]!);
    const [dish, steps, parts] = recipes[i]!;
    return kind === "how"
      ? talk(pick(random, [`How do I make ${dish}?`, `How can I make ${dish}?`, `Tell me how to make ${dish}.`]), steps)
      : talk(pick(random, [`What do I need for ${dish}?`, `What goes into ${dish}?`]), `You need ${parts}.`);
  });
}
