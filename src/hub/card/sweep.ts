/** The model card of a sweep's best model: the card of its run, with the table by which its settings were chosen. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setCardWriter } from "../../sweep/bestModel.js";
import type { SweepResult } from "../../sweep/index.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import "../createModelCard.js";

const HEADING = "### How the settings were chosen";

/** Puts a sweep's table into a card, in front of its results; a card that has one gets the new one instead. */
export function addSweepSection(card: string, result: SweepResult): string {
  const without = card.replace(new RegExp(`${HEADING}\\n[\\s\\S]*?(?=\\n##+ |$)`), "").replace(/\n{3,}/g, "\n\n");
  const before = /\n## (Results|Samples|Limitations)\n/.exec(without)?.index ?? without.length;
  return `${without.slice(0, before).trimEnd()}\n\n${result.to_card_section()}\n${without.slice(before)}`;
}

setCardWriter({
  trial: (trainer) => trainer.create_model_card(),
  best: async (folder, result) => {
    const file = join(folder, "README.md");
    await writeFileAtomic(file, addSweepSection(await readFile(file, "utf8"), result));
  },
});
