/** The options about the reference that DPO and KTO share. */
import type { OptionEntries, OptionValues } from "../../config/index.js";
import { TRAINING_ENTRIES } from "./trainingOptions.js";

const entries = <const T extends OptionEntries>(table: T): T => table;

/** Rows alone: then an untrained policy's log-probs are its reference's to the last bit, whatever the batches. To stand behind TRAINING_ENTRIES. */
export const TOKENS_PER_RUN_WITH_REFERENCE = entries({
  tokens_per_run: {
    ...TRAINING_ENTRIES.tokens_per_run,
    default: 0,
    help: `${TRAINING_ENTRIES.tokens_per_run.help}, the default here: then the rewards of an untrained policy are exactly 0`,
  },
});

export const REFERENCE_ENTRIES = entries({
  sync_ref_model: {
    type: "boolean",
    default: false,
    help: "TR-DPO: let the reference follow the policy every ref_model_sync_steps; it is a second copy of all weights, so not for LoRA",
  },
  ref_model_mixup_alpha: {
    type: "number",
    default: 0.6,
    min: 0,
    max: 1,
    help: "Share of the policy in the new reference: alpha * policy + (1 - alpha) * reference",
  },
  ref_model_sync_steps: {
    type: "integer",
    default: 512,
    min: 1,
    unit: "optimizer steps",
    help: "Steps between two moves of the reference",
  },
  precompute_ref_log_probs: {
    type: "boolean",
    default: false,
    help: "Compute the reference log-probs of all rows and keep them in the cache for later runs; otherwise those of the rows that the run visits",
    differs: "Without it TRL runs the reference again in every step; here each row's log-probs are computed once in either case",
  },
});

/** What TRL refuses, and options that would have no effect. @param refuse throws with the broken rule */
export function rejectReferenceContradictions(values: OptionValues<typeof REFERENCE_ENTRIES>, refuse: (rule: string) => never): void {
  const { sync_ref_model, ref_model_mixup_alpha, ref_model_sync_steps } = values;
  if (sync_ref_model && values.precompute_ref_log_probs)
    refuse("precompute_ref_log_probs needs a reference that stays, got sync_ref_model true; set one of them false");
  if (
    !sync_ref_model &&
    (ref_model_mixup_alpha !== REFERENCE_ENTRIES.ref_model_mixup_alpha.default ||
      ref_model_sync_steps !== REFERENCE_ENTRIES.ref_model_sync_steps.default)
  )
    refuse("ref_model_mixup_alpha and ref_model_sync_steps need sync_ref_model true, got false");
}
