/** Generation, one stream: float32 beside transformers, 8 and 4 bits beside llama.cpp. */
import { packageRoot } from "../../../scripts/corpus/pairs.js";
import { compareDecode, type DecodeComparison, type Dtype, DTYPES } from "../../decode/compare.js";
import { shapeConfig } from "../../shared/models.js";
import type { Bench } from "../bench.js";
import { formatTimes, type TableRow } from "../table.js";

/** How much faster than the other tool, in tokens a second made and read; null where no goal is set. */
const GOALS: Readonly<Record<Dtype, { readonly decode: number; readonly prefill: number | null }>> = {
  fp32: { decode: 1.2, prefill: null },
  q8: { decode: 1, prefill: 1 },
  q4: { decode: 1, prefill: 1 },
};

const RIVALS: Readonly<Record<Dtype, string>> = { fp32: "transformers", q8: "llama.cpp Q8_0", q4: "llama.cpp Q4_0" };

export async function measureDecode(bench: Bench): Promise<TableRow[]> {
  const { rounds, threads, alone } = bench.options;
  const setting = {
    ...{
      checkpoint: await bench.model(),
      vocabulary: shapeConfig(bench.options.shape).vocab_size,
      rounds,
      threads,
      promptTokens: 512,
      newTokens: 128,
      batches: [1],
    },
    ...{ llama: process.env["PREFLAB_LLAMA"] ?? packageRoot(), rivals: !alone },
  };
  const rows: TableRow[] = [];
  for (const dtype of DTYPES) rows.push(decodeRow((await compareDecode(dtype, setting, (line) => bench.log(line)))[0]!));
  return rows;
}

export function decodeRow({ dtype, own, other, ratio }: DecodeComparison): TableRow {
  const goal = GOALS[dtype];
  const rates = (of: { prefill: number; decode: number }): string => `${of.decode.toFixed(1)} tokens/s made, ${of.prefill.toFixed(0)} read`;
  const times = ratio === undefined ? "" : `**${formatTimes([ratio.decode])}**, prefill ${formatTimes([ratio.prefill])}; `;
  return {
    target: `decode, one stream, ${dtype}`,
    goal: `≥ ${goal.decode} × ${RIVALS[dtype]}${goal.prefill === null ? "" : `, prefill ≥ ${goal.prefill} ×`}`,
    measured: `${times}${rates(own)}`,
    other: other === undefined ? "not measured" : `${other.name}: ${rates(other)}`,
    reached: ratio === undefined ? null : ratio.decode >= goal.decode && (goal.prefill === null || ratio.prefill >= goal.prefill),
  };
}
