/** What the gradient passes of all methods take beside a row: its place in the step's sum. */
import { EngineError } from "../../errors.js";
import type { Random } from "../../random.js";

export interface MicroBatchPlace {
  /** Micro-batches in this optimizer step. */
  readonly of: number;
  /** Position among them, from 0; 0 starts the gradient anew. */
  readonly index: number;
  /** Random numbers of this micro-batch. */
  readonly random: Random;
}

/** @param rows that the loss is of @param trainer for the error, e.g. "DPOTrainer" @throws EngineError `loss_not_finite` naming the rows */
export function requireFiniteLoss(loss: number, rows: readonly { readonly origin: string }[], trainer: string): void {
  if (Number.isFinite(loss)) return;
  const which = rows.length === 1 ? "this row" : "these rows";
  throw new EngineError(
    "loss_not_finite",
    `${trainer}: the loss must be finite, got ${loss} at ${rows.map(({ origin }) => origin).join(", ")}; lower learning_rate or max_grad_norm, and check ${which}`,
  );
}
