/** Looks for TRL's best setting, so that Preflab is compared with that one. */
import { writeFileSync } from "node:fs";
import { describeMachine } from "../shared/machine.js";
import { type Bench, LONG, PAIRS, SHORT, stepSeconds } from "./bench.js";
import { describeSetting, readRecorded, recordFile, type Search, type SearchedCase, type Tried } from "./recorded.js";
import { MALLOCS, type MallocName, type TrlSetting } from "./requests.js";
import { wasKilled } from "./sides.js";

/** Batches whose five pairs (or as many as they hold) make a step. */
const WHOLE: readonly [batch: number, accumulation: number][] = [
  [5, 1],
  [1, 5],
];

/** Batch 5 or five accumulated, each attention, with and without checkpointing; the system's own allocator. */
export function plainSettings(batches: readonly (readonly [number, number])[] = WHOLE): TrlSetting[] {
  return batches.flatMap(([per_device_train_batch_size, gradient_accumulation_steps]) =>
    (["sdpa", "eager"] as const).flatMap((attn_implementation) =>
      [false, true].map((gradient_checkpointing) => ({
        per_device_train_batch_size,
        gradient_accumulation_steps,
        attn_implementation,
        gradient_checkpointing,
        malloc: "default" as const,
      })),
    ),
  );
}

/** The setting of most pairs a second at equal speed of the machine, which drifts by more than the settings differ; undefined when none survived. */
export function chooseFastest(tried: readonly Tried[]): Tried | undefined {
  const rate = ({ pairs_per_second, plain_sgemm }: Tried): number => pairs_per_second! / plain_sgemm;
  return tried
    .filter(({ pairs_per_second }) => pairs_per_second !== null)
    .reduce<Tried | undefined>((best, one) => (best === undefined || rate(one) > rate(best) ? one : best), undefined);
}

/** Per attention and checkpointing, batches from 5 downwards until one survives, and one pair at a time accumulated: what long prompts are searched through. */
export async function searchLong(measure: (setting: TrlSetting) => Promise<Tried>): Promise<Tried[]> {
  const tried: Tried[] = [];
  for (const shape of plainSettings([[PAIRS, 1]])) {
    for (let batch = PAIRS; batch > 0; batch--) {
      const one = await measure({ ...shape, per_device_train_batch_size: batch });
      tried.push(one);
      if (one.killed === null) break;
    }
    tried.push(await measure({ ...shape, per_device_train_batch_size: 1, gradient_accumulation_steps: PAIRS }));
  }
  return tried;
}

/** All plain settings, then the other allocators on the best of them. */
async function searchAll(measure: (setting: TrlSetting) => Promise<Tried>): Promise<Tried[]> {
  const tried: Tried[] = [];
  for (const setting of plainSettings()) tried.push(await measure(setting));
  return tried;
}

async function withAllocators(tried: Tried[], measure: (setting: TrlSetting) => Promise<Tried>): Promise<Tried[]> {
  const best = chooseFastest(tried);
  if (best === undefined) return tried;
  // Measured once more itself, next to them: the machine's speed drifts.
  for (const malloc of Object.keys(MALLOCS) as MallocName[]) tried.push(await measure({ ...best.setting, malloc }));
  return tried;
}

/** Measures every setting of a case and records the fastest. @returns false when TRL survived in none */
export async function searchCase(bench: Pick<Bench, "options" | "pairs" | "trl" | "log">, name: SearchedCase): Promise<boolean> {
  const rows = bench.pairs(PAIRS, name === "long" ? LONG : SHORT);
  const measure = async (setting: TrlSetting): Promise<Tried> => {
    const label = `${name}, ${describeSetting(setting)}`;
    const pairs = setting.per_device_train_batch_size * setting.gradient_accumulation_steps;
    const work = { rows: rows.slice(0, pairs), lora_r: name === "full" ? null : 16, precompute_ref_log_probs: true };
    const { result, sgemm } = (await bench.trl(label, work, setting))!;
    if (wasKilled(result))
      return { setting, step_seconds: null, pairs_per_second: null, peak_bytes: null, killed: result.killed, plain_sgemm: sgemm };
    const seconds = stepSeconds(result);
    return {
      ...{ setting, step_seconds: seconds, pairs_per_second: pairs / seconds },
      ...{ peak_bytes: result.peak_bytes, killed: null, plain_sgemm: sgemm },
    };
  };
  const tried = await withAllocators(await (name === "long" ? searchLong(measure) : searchAll(measure)), measure);
  const best = chooseFastest(tried);
  if (best === undefined) {
    bench.log(`${name}: TRL survived in no setting; nothing is recorded`);
    return false;
  }
  const { cpu, cores, memory_gb } = describeMachine();
  const search: Search = {
    setting: best.setting,
    tried,
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpu}, ${cores} cores, ${memory_gb.toFixed(0)} GB`,
    shape: bench.options.shape,
  };
  const file = recordFile(bench.options);
  writeFileSync(file, `${JSON.stringify({ ...readRecorded(file), [name]: search }, null, 2)}\n`);
  bench.log(`${name}: the fastest is ${describeSetting(best.setting)}: ${best.pairs_per_second!.toFixed(4)} pairs/s; recorded in ${file}`);
  return true;
}
