import { ConfigError } from "../../errors.js";

/** One reference a text, or several; the same number for every text. */
export type References = readonly (string | readonly string[])[];

/** References as lists. @throws ConfigError `references` */
export function referenceLists(where: string, hypotheses: readonly string[], references: References): string[][] {
  const lists = references.map((each) => (typeof each === "string" ? [each] : [...each]));
  if (hypotheses.length === 0 || lists.length !== hypotheses.length)
    throw new ConfigError(
      "references",
      `${where}: there must be at least one text and references for each, got ${hypotheses.length} texts and ${lists.length} references`,
    );
  const empty = lists.findIndex((list) => list.length === 0);
  if (empty >= 0) throw new ConfigError("references", `${where}: a text must have at least one reference, got none for text ${empty}`);
  return lists;
}
