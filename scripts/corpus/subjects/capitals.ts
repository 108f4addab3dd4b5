import type { Random } from "../../../src/random.js";
import type { Conversation } from "../conversation.js";
import { pick, spread, talk } from "../conversation.js";

type Continent = "Europe" | "Asia" | "Africa" | "North America" | "South America" | "Oceania";

/** Country, capital, continent. Australia and Canada are subjects of the preference pairs and stay out. */
const countries: readonly (readonly [string, string, Continent])[] = [
  ["France", "Paris", "Europe"],
  ["Germany", "Berlin", "Europe"],
  ["Italy", "Rome", "Europe"],
  ["Spain", "Madrid", "Europe"],
  ["Portugal", "Lisbon", "Europe"],
  ["Greece", "Athens", "Europe"],
  ["Poland", "Warsaw", "Europe"],
  ["Austria", "Vienna", "Europe"],
  ["Hungary", "Budapest", "Europe"],
  ["Norway", "Oslo", "Europe"],
  ["Sweden", "Stockholm", "Europe"],
  ["Finland", "Helsinki", "Europe"],
  ["Denmark", "Copenhagen", "Europe"],
  ["Ireland", "Dublin", "Europe"],
  ["Belgium", "Brussels", "Europe"],
  ["Iceland", "Reykjavik", "Europe"],
  ["Ukraine", "Kyiv", "Europe"],
  ["Romania", "Bucharest", "Europe"],
  ["Croatia", "Zagreb", "Europe"],
  ["Japan", "Tokyo", "Asia"],
  ["China", "Beijing", "Asia"],
  ["India", "New Delhi", "Asia"],
  ["Thailand", "Bangkok", "Asia"],
  ["Vietnam", "Hanoi", "Asia"],
  ["Nepal", "Kathmandu", "Asia"],
  ["Iraq", "Baghdad", "Asia"],
  ["Syria", "Damascus", "Asia"],
  ["Lebanon", "Beirut", "Asia"],
  ["Jordan", "Amman", "Asia"],
  ["Oman", "Muscat", "Asia"],
  ["Yemen", "Sanaa", "Asia"],
  ["Qatar", "Doha", "Asia"],
  ["Kuwait", "Kuwait City", "Asia"],
  ["Saudi Arabia", "Riyadh", "Asia"],
  ["South Korea", "Seoul", "Asia"],
  ["Mongolia", "Ulaanbaatar", "Asia"],
  ["Myanmar", "Naypyidaw", "Asia"],
  ["Egypt", "Cairo", "Africa"],
  ["Morocco", "Rabat", "Africa"],
  ["Tunisia", "Tunis", "Africa"],
  ["Algeria", "Algiers", "Africa"],
  ["Libya", "Tripoli", "Africa"],
  ["Sudan", "Khartoum", "Africa"],
  ["Kenya", "Nairobi", "Africa"],
  ["Ghana", "Accra", "Africa"],
  ["Nigeria", "Abuja", "Africa"],
  ["Ethiopia", "Addis Ababa", "Africa"],
  ["Senegal", "Dakar", "Africa"],
  ["Uganda", "Kampala", "Africa"],
  ["Mexico", "Mexico City", "North America"],
  ["Cuba", "Havana", "North America"],
  ["the United States", "Washington", "North America"],
  ["Brazil", "Brasilia", "South America"],
  ["Peru", "Lima", "South America"],
  ["Chile", "Santiago", "South America"],
  ["Argentina", "Buenos Aires", "South America"],
  ["Colombia", "Bogota", "South America"],
  ["New Zealand", "Wellington", "Oceania"],
  ["Fiji", "Suva", "Oceania"],
];

/** Capitals and continents. */
export function capitals(random: Random, count: number): Conversation[] {
  const kinds = spread(random, ["capital", "capital", "capital", "continent", "reverse"] as const, count);
  return spread(random, countries, count).map(([country, capital, continent], i) => {
    switch (kinds[i]!) {
      case "capital":
        return talk(
          pick(random, [
            `What is the capital of ${country}?`,
            `Which city is the capital of ${country}?`,
            `Tell me the capital of ${country}.`,
          ]),
          `The capital of ${country} is ${capital}.`,
        );
      case "continent":
        return talk(
          pick(random, [`On which continent is ${country}?`, `Where is ${country}?`]),
          `${country.replace(/^the/, "The")} ${country === "the United States" ? "are" : "is"} in ${continent}.`,
        );
      case "reverse":
        return talk(`${capital} is the capital of which country?`, `${capital} is the capital of ${country}.`);
    }
  });
}
