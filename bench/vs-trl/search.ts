/** Looks for TRL's best setting, so that Preflab is compared with that one. */
import { writeFileSync } from "node:fs";
import { describeMachine } from "../shared/machine.js";
import { type Bench, LONG, PAIRS, SHORT, stepSeconds } from "./bench.js";
import { describeSetting, readRecorded, recordFile, type Search, type SearchedCase, type Tried } from "./recorded.js";
import { MALLOCS, type MallocName, type TrlSetting } from "./requests.js";
import { PLAIN_SETTING, wasKilled } from "./sides.js";

/** The setting of most pairs a second at equal speed of the machine, which drifts by more than the settings differ; undefined when none survived. */
export function chooseFastest(tried: readonly Tried[]): Tried | undefined {
  const rate = ({ pairs_per_second, plain_sgemm }: Tried): number => pairs_per_second! / plain_sgemm;
  return tried
    .filter(({ pairs_per_second }) => pairs_per_second !== null)
    .reduce<Tried | undefined>((best, one) => (best === undefined || rate(one) > rate(best) ? one : best), undefined);
}

/**
 * One thing after the other, each on the best so far: five pairs accumulated one by one, the other attention, checkpointing; then other
 * allocators (under the system's own, torch's activations are page faults), and five at once again.
 * @param batches first batches to try, the largest first, until one survives; with checkpointing, which takes less memory, again from the first on
 */
export async function searchSettings(batches: readonly number[], measure: (setting: TrlSetting) => Promise<Tried>): Promise<Tried[]> {
  const tried: Tried[] = [];
  const attempt = async (setting: TrlSetting): Promise<boolean> => {
    const one = await measure(setting);
    tried.push(one);
    return one.killed === null;
  };
  const largest = async (setting: TrlSetting): Promise<void> => {
    for (const batch of batches)
      if (await attempt({ ...setting, per_device_train_batch_size: batch, gradient_accumulation_steps: 1 })) return;
  };
  const best = (): TrlSetting | undefined => chooseFastest(tried)?.setting;
  await largest(PLAIN_SETTING);
  await attempt({ ...(best() ?? PLAIN_SETTING), per_device_train_batch_size: 1, gradient_accumulation_steps: PAIRS });
  await attempt({ ...(best() ?? PLAIN_SETTING), attn_implementation: "eager" });
  await largest({ ...(best() ?? PLAIN_SETTING), gradient_checkpointing: true });
  const plain = best() ?? PLAIN_SETTING;
  for (const malloc of Object.keys(MALLOCS) as MallocName[]) if (malloc !== plain.malloc) await attempt({ ...plain, malloc });
  const { malloc } = best() ?? plain;
  if (malloc !== plain.malloc && plain.per_device_train_batch_size === 1) await largest({ ...plain, malloc });
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
  const tried = await searchSettings(name === "long" ? [5, 4, 3, 2, 1] : [PAIRS], measure);
  const best = chooseFastest(tried.filter(({ setting }) => setting.malloc === "default"));
  const tuned = chooseFastest(tried);
  if (best === undefined || tuned === undefined) {
    bench.log(`${name}: TRL survived in no setting; nothing is recorded`);
    return false;
  }
  const { cpu, cores, memory_gb } = describeMachine();
  const search: Search = {
    setting: best.setting,
    tuned: tuned.setting,
    tried,
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpu}, ${cores} cores, ${memory_gb.toFixed(0)} GB`,
    shape: bench.options.shape,
  };
  const file = recordFile(bench.options);
  writeFileSync(file, `${JSON.stringify({ ...readRecorded(file), [name]: search }, null, 2)}\n`);
  bench.log(`${name}: the fastest is ${describeTried(best)}; of all ${describeTried(tuned)}; recorded in ${file}`);
  return true;
}

function describeTried({ setting, pairs_per_second }: Tried): string {
  return `${describeSetting(setting)}: ${pairs_per_second!.toFixed(4)} pairs/s`;
}
