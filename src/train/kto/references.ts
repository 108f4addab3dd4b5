/** How the reference scores a row: its own and its mismatched completion, in one pass. */
import type { ReferenceScoring } from "../sequence/references.js";
import { type PreparedRow, rowInputs } from "./preparedRows.js";
import type { ReferenceLogps } from "./rowBatch.js";
import { scoringProgram } from "./rowProgram.js";

export const ROW_SCORING: ReferenceScoring<PreparedRow, ReferenceLogps> = {
  trainer: "KTOTrainer",
  kind: "kto",
  outputs: ["logps", "mismatchedLogps"],
  compile: (engine, model) => scoringProgram(engine, model, { metrics: false }),
  layout: (row) => row.layout("both"),
  inputs: (rows, form, config) => rowInputs(rows, "both", form, config),
  toLogps: ([own, mismatched]) => ({ own, mismatched }),
  describe: ([own, mismatched]) => `${own} and ${mismatched}`,
  keyOf(row) {
    const { ids, positions, segments, targets } = row.layout("both");
    return [ids, positions, segments, targets];
  },
};
