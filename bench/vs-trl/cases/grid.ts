/** A grid of trials on one base, against as many runs of TRL. */
import { type Bench, PAIRS, SHORT } from "../bench.js";
import { wasKilled } from "../sides.js";
import type { TableRow } from "../table.js";

/** 3 learning rates × 2 betas × 2 ranks. */
export function gridTrials(): { learning_rate: number; beta: number; lora_r: number }[] {
  return [1e-6, 5e-6, 1e-5].flatMap((learning_rate) =>
    [0.1, 0.3].flatMap((beta) => [8, 16].map((lora_r) => ({ learning_rate, beta, lora_r }))),
  );
}

/** Whole processes are compared: imports, weights, reference and steps. */
export async function measureGrid(bench: Bench): Promise<TableRow[]> {
  const rows = bench.pairs(PAIRS, SHORT);
  const trials = gridTrials();
  const { steps } = bench.options;
  const trl = await bench.trl("grid, one run", { rows, lora_r: 16, precompute_ref_log_probs: false }, { defaultsWithBatch: PAIRS });
  const own = await bench.preflab(`grid, ${trials.length} trials`, { rows, pairs: PAIRS, lora_r: 16, trials });
  const seconds = own.result.process_seconds;
  const measured = `${trials.length} trials of ${steps} steps in ${seconds.toFixed(0)} s`;
  const row = { target: `${trials.length}-trial grid on one base`, goal: "≥ 5 × twelve TRL runs with its defaults" };
  if (trl === undefined || wasKilled(trl.result)) return [{ ...row, measured, other: "not measured", reached: null }];
  const theirs = trl.result.process_seconds * trials.length;
  const ratio = theirs / seconds;
  return [
    {
      ...row,
      measured: `**${ratio.toFixed(2)} ×**, at equal sgemm ${((ratio * trl.sgemm) / own.sgemm).toFixed(2)} ×; ${measured}`,
      other: `one TRL run of ${steps} steps with its defaults (bf16 off) and batch ${PAIRS}: ${trl.result.process_seconds.toFixed(0)} s with its start, × ${trials.length} by calculation`,
      reached: ratio >= 5,
    },
  ];
}
