/** The largest resident memory of a step. */
import { gigabytes } from "../../shared/child.js";
import { type Bench, PAIRS, type PreflabWork, SHORT, stepSeconds } from "../bench.js";
import type { Measured } from "../requests.js";
import { PLAIN_SETTING, wasKilled } from "../sides.js";
import type { TableRow } from "../table.js";

/** Rank of the adapter. */
const RANK = 16;
const STEPS = 2;

/** As it is, and with gradient checkpointing if that does not reach the goal. */
async function smallest(
  bench: Bench,
  label: string,
  work: PreflabWork,
  shape: string,
  goal: number,
): Promise<{ text: string; bytes: number }> {
  const tell = ({ peak_bytes, weights_bytes }: Measured): string => `${gigabytes(peak_bytes)} (weights ${gigabytes(weights_bytes ?? 0)})`;
  const { result: plain } = await bench.preflab(label, work, shape);
  if (plain.peak_bytes <= goal) return { text: tell(plain), bytes: plain.peak_bytes };
  const options = { ...work.options, gradient_checkpointing: true };
  const { result } = await bench.preflab(`${label}, checkpointing`, { ...work, options }, shape);
  return { text: `${tell(plain)}; ${tell(result)} with gradient_checkpointing`, bytes: Math.min(plain.peak_bytes, result.peak_bytes) };
}

export async function measureMemory(bench: Bench): Promise<TableRow[]> {
  const { shape, large_shape } = bench.options;
  const rows = bench.pairs(PAIRS, SHORT);
  const work: PreflabWork = { rows, pairs: PAIRS, lora_r: RANK, steps: STEPS };
  const row = async (target: string, label: string, given: PreflabWork, of: string, goal: number, other: string): Promise<TableRow> => {
    const { text, bytes } = await smallest(bench, label, given, of, goal);
    return { target, goal: `≤ ${(goal / 1e9).toFixed(1)} GB`, measured: text, other, reached: bytes <= goal };
  };
  const setting = { ...PLAIN_SETTING, per_device_train_batch_size: 1, gradient_accumulation_steps: PAIRS, gradient_checkpointing: true };
  const trl = await bench.trl("memory", { rows, lora_r: RANK, precompute_ref_log_probs: true, steps: STEPS }, setting);
  const other =
    trl === undefined
      ? "not measured"
      : wasKilled(trl.result)
        ? `TRL was stopped: ${trl.result.killed}`
        : `TRL, one pair at a time with checkpointing: ${gigabytes(trl.result.peak_bytes)} (${stepSeconds(trl.result).toFixed(0)} s a step)`;
  const large = { ...work, rows: bench.pairs(PAIRS, SHORT, large_shape) };
  const quantization = { load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true } as const;
  return [
    await row(`peak memory (RSS) of the LoRA step, ${shape}`, "memory", work, shape, 2.8e9, other),
    await row(`peak memory, LoRA at ${large_shape}`, "memory, large LoRA", large, large_shape, 8.5e9, "–"),
    await row(
      `peak memory, QLoRA (NF4, double quantisation, 8-bit AdamW) at ${large_shape}`,
      "memory, large QLoRA",
      { ...large, quantization, options: { optim: "paged_adamw_8bit" } },
      large_shape,
      3.5e9,
      "–",
    ),
  ];
}
