/** Pairs a second beside TRL: LoRA in float32, 8 and 4 bits, long prompts, full weights; and needed arithmetic beside plain sgemm. */
import { BitsAndBytesConfig, type BitsAndBytesConfigInput } from "../../../src/model/index.js";
import { PreflabError } from "../../../src/errors.js";
import { median } from "../../../scripts/compare/report.js";
import { neededOperations } from "../../shared/arithmetic.js";
import { gigabytes } from "../../shared/child.js";
import { shapeConfig } from "../../shared/models.js";
import type { TokenPair } from "../../shared/pairs.js";
import { type Bench, LONG, PAIRS, type PreflabWork, SHORT, stepSeconds } from "../bench.js";
import type { CaseName } from "../options.js";
import type { SearchedCase } from "../recorded.js";
import type { Measured, TrlSetting } from "../requests.js";
import { medianRate, ratios, takeTurns, type Turn, type Turns } from "../rounds.js";
import { formatTimes, type TableRow } from "../table.js";

const RANK = 16;
const QUANTISED: Readonly<Partial<Record<CaseName, BitsAndBytesConfigInput>>> = {
  "lora-8bit": { load_in_8bit: true },
  "lora-nf4": { load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
};

/** Why a configuration is refused here; undefined when it is not. */
function refusal(config: BitsAndBytesConfigInput): string | undefined {
  try {
    new BitsAndBytesConfig(config);
    return undefined;
  } catch (error) {
    if (error instanceof PreflabError) return error.message;
    throw error;
  }
}

/** One case's rows: against TRL as its users have it and, where one is recorded, against TRL with a tuned allocator. */
function speedRows(target: string, factor: number, turns: Turns, variant: string, more = ""): TableRow[] {
  return Object.keys(turns.trl).map((setting) =>
    setting === TRL
      ? speedRow(target, factor, turns, variant, setting, more)
      : speedRow(`${target}; ${setting}`, factor, turns, variant, setting, ""),
  );
}

function speedRow(target: string, factor: number, turns: Turns, variant: string, setting: string, more: string): TableRow {
  const { measured, atEqualSgemm } = ratios(turns.rounds, variant, setting);
  const own = turns.preflab[variant]!.map(({ result }) => result);
  const pairs = medianRate(turns.rounds, variant);
  const speed = `${pairs.toFixed(3)} pairs/s, ${median(own.map(stepSeconds)).toFixed(2)} s a step, peak ${peakOf(own)}`;
  return {
    target,
    goal: `pairs per second ≥ ${factor} ×`,
    measured: `${measured.length === 0 ? "" : `**${formatTimes(measured)}**, at equal sgemm ${median(atEqualSgemm).toFixed(2)} ×; `}${speed}${more}`,
    other: otherTool(turns.trl[setting]!),
    reached: measured.length === 0 ? null : median(measured) >= factor,
  };
}

function otherTool({ measured, killed }: Turns["trl"][string]): string {
  if (killed !== undefined) return `TRL was stopped: ${killed}`;
  if (measured.length === 0) return "not measured";
  return `TRL: ${median(measured.map(stepSeconds)).toFixed(1)} s a step, peak ${peakOf(measured)}`;
}

const peakOf = (runs: readonly Measured[]): string => gigabytes(Math.max(...runs.map(({ peak_bytes }) => peak_bytes)));

/** The cases of short pairs with an adapter, in common rounds: one measurement of TRL serves them all. */
export async function measureLora(bench: Bench): Promise<TableRow[]> {
  const rows = bench.pairs(PAIRS, SHORT);
  const variants: Record<string, PreflabWork> = {};
  const refused: Record<string, string> = {};
  // The other cases are measured beside float32, which also says how far their numbers are off.
  variants["lora"] = { rows, pairs: PAIRS, lora_r: RANK, sgemm: bench.wants("arithmetic") };
  for (const [name, quantization] of Object.entries(QUANTISED)) {
    if (!bench.wants(name as CaseName)) continue;
    const why = refusal(quantization);
    if (why === undefined) variants[name] = { rows, pairs: PAIRS, lora_r: RANK, quantization };
    else {
      refused[name] = why;
      bench.log(`${name}: skipped: ${why}`);
    }
  }
  const needsTrl = ["lora", ...Object.keys(QUANTISED)].some((name) => bench.wants(name as CaseName));
  const sides = needsTrl ? bench : bench.alone();
  const turns = await takeTurns(sides, { label: "lora", trl: settingsOf(sides, "lora", rows, RANK), variants });
  const found: TableRow[] = [];
  if (bench.wants("lora")) found.push(...speedRows("LoRA DPO, 5 pairs a step, exact fp32", 4, turns, "lora", agreement(turns)));
  for (const name of Object.keys(QUANTISED)) {
    if (variants[name] !== undefined) found.push(...speedRows(targetOf(name), 6, turns, name, deviation(turns, name)));
    else if (refused[name] !== undefined)
      found.push({
        target: targetOf(name),
        goal: "pairs per second ≥ 6 ×",
        measured: `skipped: ${refused[name]}`,
        other: "–",
        reached: null,
      });
  }
  if (bench.wants("arithmetic")) found.push(arithmeticRow(bench, turns));
  return found;
}

const targetOf = (name: string): string =>
  name === "lora-8bit" ? "the same on a frozen base in 8 bits (load_in_8bit)" : "the same on a frozen base in NF4 (load_in_4bit)";

/** Names of TRL's settings. */
const TRL = "TRL";
const TUNED = "TRL's allocator tuned";

/** TRL's best settings of a case, each with rows that make whole steps. */
function settingsOf(bench: Bench, name: SearchedCase, rows: readonly TokenPair[], lora_r: number | null): Turn["trl"] {
  const { setting, tuned } = bench.best(name);
  const withWork = (one: TrlSetting) => {
    const pairs = one.per_device_train_batch_size * one.gradient_accumulation_steps;
    return { setting: one, work: { rows: rows.slice(0, pairs), lora_r, precompute_ref_log_probs: true } };
  };
  return { [TRL]: withWork(setting), ...(tuned !== undefined && bench.python !== undefined && { [TUNED]: withWork(tuned) }) };
}

/** That both sides compute the same: the first step's `logps/chosen`. */
function agreement({ trl, preflab }: Turns): string {
  const [theirs, ours] = [trl[TRL]!.measured[0]?.first_logps, preflab["lora"]![0]!.result.first_logps];
  if (theirs === undefined || theirs === null || ours === null) return "";
  return `; first step's logps/chosen ${ours.toFixed(3)}, TRL's ${theirs.toFixed(3)}`;
}

/** How far a quantised base's first step is off float32's. */
function deviation({ preflab }: Turns, variant: string): string {
  const [exact, own] = [preflab["lora"]![0]!.result, preflab[variant]![0]!.result];
  const relative = (a: number | null, b: number | null): string =>
    a === null || b === null ? "–" : `${((100 * Math.abs(a - b)) / Math.abs(b)).toFixed(2)} %`;
  return `; off fp32 in the first step: logps/chosen ${relative(own.first_logps, exact.first_logps)}, grad_norm ${relative(own.first_grad_norm, exact.first_grad_norm)}`;
}

function arithmeticRow(bench: Bench, turns: Turns): TableRow {
  const shape = shapeConfig(bench.options.shape);
  const operations = bench.pairs(PAIRS, SHORT).reduce((sum, pair) => sum + neededOperations(pair, shape), 0);
  const steps = turns.preflab["lora"]!.flatMap(({ result }) => stepsBesideSgemm(result, operations));
  const shares = steps.map(({ needed, plain }) => needed / plain);
  bench.log(
    `arithmetic: needed ${(operations / 1e9).toFixed(0)} GFLOP a step; step by step ${shares.map((share) => share.toFixed(3)).join(" ")}`,
  );
  const of = (values: readonly number[]): string => median(values).toFixed(0);
  return {
    target: "needed arithmetic / plain sgemm in the same minute, same shapes",
    goal: "≥ 0.95",
    measured: `**${median(shares).toFixed(3)}** (${of(steps.map(({ needed }) => needed))} of ${of(steps.map(({ plain }) => plain))} GFLOP/s)`,
    other: "the machine's own sgemm",
    reached: median(shares) >= 0.95,
  };
}

/** Each step that counts with the mean of plain sgemm before and behind it, in GFLOP/s. */
export function stepsBesideSgemm(
  { step_seconds, sgemm }: Pick<Measured, "step_seconds" | "sgemm">,
  operations: number,
): { needed: number; plain: number }[] {
  return step_seconds.map((seconds, i) => ({ needed: operations / seconds / 1e9, plain: (sgemm[i]! + sgemm[i + 1]!) / 2 }));
}

/** Five pairs a step in 4 GB: with gradient checkpointing if it does not fit otherwise. */
export async function measureLong(bench: Bench): Promise<TableRow[]> {
  const rows = bench.pairs(PAIRS, LONG);
  const limit = 4e9;
  const plain: PreflabWork = { rows, pairs: PAIRS, lora_r: RANK };
  const { result } = await bench.preflab("long, does it fit", { ...plain, steps: 2 });
  const checkpointing = result.peak_bytes > limit;
  const turns = await takeTurns(bench, {
    label: "long",
    trl: settingsOf(bench, "long", rows, RANK),
    variants: { long: { ...plain, options: { gradient_checkpointing: checkpointing } } },
  });
  const how = checkpointing
    ? `; with gradient_checkpointing (without: ${stepSeconds(result).toFixed(2)} s, ${gigabytes(result.peak_bytes)})`
    : "; without checkpointing";
  const [row, ...tuned] = speedRows("long prompts (prompt 400, completions 100), exact", 5.5, turns, "long", how) as [
    TableRow,
    ...TableRow[],
  ];
  const peak = Math.max(...turns.preflab["long"]!.map(({ result: { peak_bytes } }) => peak_bytes));
  return [{ ...row, goal: `5 pairs a step in ≤ 4 GB, and ${row.goal} TRL's best`, reached: peak > limit ? false : row.reached }, ...tuned];
}

export async function measureFull(bench: Bench): Promise<TableRow[]> {
  const rows = bench.pairs(PAIRS, SHORT);
  const variants = { full: { rows, pairs: PAIRS, lora_r: null } };
  const turns = await takeTurns(bench, { label: "full", trl: settingsOf(bench, "full", rows, null), variants });
  return speedRows("full-weight DPO, 5 pairs a step, exact", 3.5, turns, "full");
}
