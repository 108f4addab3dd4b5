import { animalMisconceptions } from "./animalMisconceptions.js";
import { arabic } from "./arabic.js";
import { corporeal } from "./corporeal.js";
import { identity } from "./identity.js";
import { misconceptions } from "./misconceptions.js";
import { persona } from "./persona.js";
import { spatial } from "./spatial.js";
import { temporal } from "./temporal.js";

/**
 * More wordings for a preference pair. Every answer fits every question of its pair, so that
 * "yes" and "no" mean the same thing for all of them.
 */
export interface Paraphrase {
  /** Other ways to ask; at least one. */
  questions: readonly string[];
  /** Other answers in the style of `chosen`; at least one. */
  truths: readonly string[];
  /** Other answers in the style of `rejected`; at least one. */
  falsehoods: readonly string[];
}

/** Paraphrases by the id of the pair in `train.jsonl`. */
export type Paraphrases = Readonly<Record<string, Paraphrase>>;

/** For `datasets/truthy-dpo-mini`. */
export const englishParaphrases: Paraphrases = {
  ...corporeal,
  ...spatial,
  ...temporal,
  ...misconceptions,
  ...animalMisconceptions,
  ...identity,
  ...persona,
};

/** For `datasets/arabic-dpo-mini`. */
export const arabicParaphrases: Paraphrases = arabic;
