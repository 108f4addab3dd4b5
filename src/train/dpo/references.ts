/** How the reference scores a pair. */
import type { DPOConfig } from "../options/dpoConfig.js";
import { NO_PARTS, type PairParts, pairInputs } from "../sequence/pairLayout.js";
import type { ReferenceScoring } from "../sequence/references.js";
import type { PreparedPair, ReferenceLogps } from "./pairBatch.js";
import { scoringProgram } from "./pairProgram.js";

/** What a reference needs of a pair. */
export function referenceParts({ ld_alpha }: Pick<DPOConfig, "ld_alpha">): PairParts {
  return { ...NO_PARTS, ldAlpha: ld_alpha };
}

export function pairScoring(args: Pick<DPOConfig, "ld_alpha">): ReferenceScoring<PreparedPair, ReferenceLogps> {
  const parts = referenceParts(args);
  return {
    trainer: "DPOTrainer",
    kind: `dpo ld_alpha ${args.ld_alpha}`,
    outputs: ["chosenLogps", "rejectedLogps"],
    compile: (engine, model) => scoringProgram(engine, model, { metrics: false, parts }),
    layout: ({ layout }) => layout,
    inputs: (pairs, form, config) =>
      pairInputs(
        pairs.map(({ layout }) => layout),
        form,
        config,
        parts,
      ),
    toLogps: ([chosen, rejected]) => ({ chosen, rejected }),
    describe: ([chosen, rejected]) => `${chosen} for chosen and ${rejected} for rejected`,
    keyOf: ({ layout }) => [layout.ids, layout.positions, layout.segments, layout.targets],
  };
}
