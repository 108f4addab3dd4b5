import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { pick, spread, talk } from "../conversation.js";

const names = [
  "Lina",
  "Omar",
  "Sara",
  "Ben",
  "Anna",
  "Tom",
  "Mia",
  "Ali",
  "Nora",
  "Sam",
  "Eva",
  "Adam",
  "Maya",
  "Leo",
  "Huda",
  "Jack",
  "Rosa",
  "Yusuf",
  "Clara",
  "David",
  "Salma",
  "Peter",
  "Layla",
  "Max",
  "Julia",
  "Karim",
  "Emma",
  "Noah",
  "Amal",
  "Lucy",
] as const;

const hellos = ["Hello", "Hi", "Hey", "Hello there", "Hi there", "Good morning", "Good evening", "Good afternoon"] as const;
const helloAnswers = [
  "Hello! How can I help you today?",
  "Hello! What would you like to know?",
  "Hi! I am happy to help you. What is your question?",
  "Hello! It is nice to talk with you.",
] as const;

const moods: readonly (readonly [string, string])[] = [
  ["I feel sad today.", "I am sorry that you feel sad. Would you like to tell me what happened?"],
  ["I am very happy today!", "That is good to hear! What made you so happy?"],
  ["I am a little angry.", "I am sorry to hear that. A short walk and a glass of water can help."],
  ["I am bored.", "You could read a book, draw a picture or call a friend."],
  ["I cannot sleep.", "Put your phone away, make the room dark and breathe slowly."],
  ["I am afraid of my test.", "Many people feel like that before a test. Learn a little each day and rest well."],
  ["I had a bad day.", "I am sorry that your day was bad. I hope that tomorrow will be better."],
  ["I passed my test!", "Well done! You worked hard for it."],
  ["I miss my family.", "It is hard to be far away. A message or a call may help you."],
  ["I feel lonely.", "I am sorry that you feel lonely. You could write to a friend or to your family."],
  ["I am so tired.", "Then it is a good time to rest. A short sleep can do wonders."],
  ["Today is my birthday!", "Happy birthday! I hope that you have a lovely day."],
  ["I have a new job.", "That is great news! I wish you a good start."],
  ["My friend is ill.", "I am sorry to hear that. I hope that your friend gets well soon."],
  ["I lost my game.", "That happens to everyone. You can try again next time."],
];

const thanks = ["Thank you.", "Thank you very much.", "Thanks a lot.", "Thanks for your help.", "Many thanks."] as const;
const thanksAnswers = ["You are welcome.", "You are welcome. I am glad that I could help.", "It was a pleasure to help you."] as const;

const goodbyes = ["Goodbye.", "Bye.", "Good night.", "See you later.", "I have to go now."] as const;
const goodbyeAnswers = ["Goodbye! Have a nice day.", "Goodbye, and take care.", "Goodbye! You can come back at any time."] as const;

const wishes: readonly (readonly [string, string])[] = [
  ["Can you help me?", "Yes, of course. Please tell me what you need."],
  ["I have a question.", "Please ask your question. I will do my best."],
  ["Say something nice.", "You are kind, and it is good that you ask questions."],
  ["Please wish me luck.", "Good luck! I hope that all goes well."],
  ["Tell me a joke.", "Why did the book go to the doctor? Because it had a bad cover."],
  ["Tell me another joke.", "What has a face and two hands but no legs? A clock."],
  ["Say good night to me.", "Good night! I hope that you sleep well."],
  ["Write a short poem.", "The moon is high, the night is deep, the birds are quiet, the children sleep."],
  ["Write a poem about the rain.", "Soft rain falls on tree and town, drop by drop it comes on down."],
  ["Write a poem about a cat.", "A little cat sat on the wall, she saw a bird, and that was all."],
  ["Give me some good advice.", "Be kind to others, sleep enough and learn something new each day."],
  ["How can I learn faster?", "Learn a little each day, ask questions and explain things to a friend."],
  ["How can I make friends?", "Smile, say hello and ask people what they like to do."],
  ["How can I say sorry?", "Say what you did, say that you are sorry and try to make it good again."],
];

/** Hello, thank you, goodbye, names and moods. */
export function greetings(random: Random, count: number): Conversation[] {
  const kinds = spread(random, ["hello", "name", "mood", "thanks", "goodbye", "wish", "mood", "wish"] as const, count);
  const moodTurns = spread(random, moods, count);
  const wishTurns = spread(random, wishes, count);
  return kinds.map((kind, i) => {
    switch (kind) {
      case "hello":
        return talk(pick(random, hellos) + pick(random, [".", "!", ""]), pick(random, helloAnswers));
      case "name":
        return introduction(random);
      case "mood":
        return talk(...moodTurns[i]!);
      case "thanks":
        return talk(pick(random, thanks), pick(random, thanksAnswers));
      case "goodbye":
        return talk(pick(random, goodbyes), pick(random, goodbyeAnswers));
      case "wish":
        return talk(...wishTurns[i]!);
    }
  });
}

/** "My name is Lina." The answer repeats the name; one time in three the name is asked for afterwards. */
function introduction(random: Random): Conversation {
  const name = pick(random, names);
  const question = pick(random, [`My name is ${name}.`, `Hello, I am ${name}.`, `Hi, my name is ${name}.`, `Good morning, I am ${name}.`]);
  const answer = pick(random, [`Nice to meet you, ${name}. How can I help you?`, `Hello, ${name}! What can I do for you?`]);
  const first = talk(question, answer);
  if (random.integer(3) > 0) return first;
  return { messages: [...first.messages, ...talk("What is my name?", `Your name is ${name}.`).messages] };
}
