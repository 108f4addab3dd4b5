import { TRAINING_ENTRIES } from "./trainingOptions.js";

/** What a built-in loss may look at, as a JSON value: the options that not every trainer has. undefined for a loss that a user wrote. */
export function lossKey(args: object): unknown {
  const entries = Object.entries(args).filter(([name]) => !Object.hasOwn(TRAINING_ENTRIES, name));
  return entries.some(([, value]) => typeof value === "function") ? undefined : Object.fromEntries(entries);
}
