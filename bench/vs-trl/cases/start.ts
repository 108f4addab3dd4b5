/** What comes before a step: making programs, and everything from the start of the process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../../../scripts/compare/report.js";
import { type Bench, PAIRS, type PreflabWork, SHORT, stepSeconds } from "../bench.js";
import type { MadeProgram, Measured, TrlSetting } from "../requests.js";
import { wasKilled } from "../sides.js";
import type { TableRow } from "../table.js";

const RANK = 16;

async function withCache<T>(work: (cache: string) => Promise<T>): Promise<T> {
  const cache = mkdtempSync(join(tmpdir(), "preflab-bench-cache-"));
  try {
    return await work(cache);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** Programs over the data, whose sizes differ from row to row. */
export function sizedPrograms(programs: readonly MadeProgram[]): MadeProgram[] {
  return programs.filter(({ sizes }) => sizes !== "");
}

/** Seconds of each program, in a process with an empty cache and in a second one with what the first has left. */
export async function measureCompile(bench: Bench): Promise<TableRow[]> {
  const work: PreflabWork = { rows: bench.pairs(PAIRS, SHORT), pairs: PAIRS, lora_r: RANK, steps: 2, watch: true };
  return withCache(async (cache) => {
    const tell = ({ programs }: Measured): { longest: number; text: string } => {
      for (const { name, sizes, seconds } of programs) bench.log(`  ${name}${sizes === "" ? "" : ` (${sizes})`}: ${seconds.toFixed(2)} s`);
      const sized = sizedPrograms(programs);
      const seconds = sized.map((program) => program.seconds);
      const longest = Math.max(0, ...seconds);
      const others = programs.filter((program) => !sized.includes(program)).reduce((sum, program) => sum + program.seconds, 0);
      return {
        longest,
        text: `${seconds.length} programs over rows of any size, median ${seconds.length === 0 ? "–" : median(seconds).toFixed(2)} s, longest ${longest.toFixed(2)} s (${programs.length - sized.length} others, ${others.toFixed(2)} s together)`,
      };
    };
    const first = tell((await bench.preflab("compile, empty cache", work, undefined, cache)).result);
    const second = tell((await bench.preflab("compile, second process", work, undefined, cache)).result);
    return [
      {
        target: "compile: trace and session of a program",
        goal: "≤ 0.6 s, and ≤ 0.2 s from a disk cache",
        measured: `${first.text}; in a second process with the same PREFLAB_CACHE ${second.text}`,
        other: "–",
        reached: first.longest <= 0.6 && second.longest <= 0.2,
      },
    ];
  });
}

/**
 * From the start of a process to the first step's arithmetic. Reference log-probs are in the cache, as in every run but the first. Once as any
 * process starts and once as in the notebook kernel, which asks for pages of 2 MiB; TRL likewise.
 */
export async function measureStartUp(bench: Bench): Promise<TableRow[]> {
  const work: PreflabWork = { rows: bench.pairs(1, SHORT), pairs: 1, lora_r: RANK };
  const { setting, tuned } = bench.best("lora");
  return withCache(async (cache) => {
    await bench.preflab("start-up, filling the cache", work, undefined, cache);
    return [
      await measureStarts(bench, cache, work, "", setting),
      await measureStarts(bench, cache, { ...work, huge_pages: true }, ", pages of 2 MiB as in the notebook kernel", {
        ...(tuned ?? setting),
        malloc: "kept_huge",
      }),
    ];
  });
}

async function measureStarts(bench: Bench, cache: string, work: PreflabWork, how: string, setting: TrlSetting): Promise<TableRow> {
  const setUps: number[] = [];
  const begins: number[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    const { result } = await bench.preflab(`start-up${how}, round ${round}`, work, undefined, cache);
    setUps.push(setUpSeconds(result));
    begins.push(result.begin_seconds);
  }
  const one = { ...setting, per_device_train_batch_size: 1, gradient_accumulation_steps: 1 };
  const trl = await bench.trl(`start-up${how}`, { rows: work.rows, lora_r: RANK, precompute_ref_log_probs: false, steps: 2 }, one);
  const seconds = median(setUps);
  return {
    target: `start-up of 0.5B bf16: from the start of the process until the first step's program runs${how}`,
    goal: "≤ 2.5 s to the first step",
    measured: `**${seconds.toFixed(2)} s** (${Math.min(...setUps).toFixed(2)} to ${Math.max(...setUps).toFixed(2)}), of these ${(seconds - median(begins)).toFixed(2)} s tracing and sessions`,
    other:
      trl === undefined || wasKilled(trl.result)
        ? "not measured"
        : `TRL: ${trl.result.begin_seconds.toFixed(1)} s from its first import to the first step, reference not computed`,
    reached: seconds <= 2.5,
  };
}

/** Until the first step begins, and what its first run takes more than a later one: tracing and sessions. */
export function setUpSeconds(measured: Measured): number {
  return measured.begin_seconds + measured.first_step_seconds - stepSeconds(measured);
}
