/** TRL's best settings as `--search` found them, kept in trlBest.json beside this file's source. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../scripts/corpus/pairs.js";
import type { BenchOptions } from "./options.js";
import type { TrlSetting } from "./requests.js";
import { PLAIN_SETTING } from "./sides.js";

export type SearchedCase = "lora" | "long" | "full";

/** One setting that was tried. */
export interface Tried {
  readonly setting: TrlSetting;
  /** null where it was stopped. */
  readonly step_seconds: number | null;
  readonly pairs_per_second: number | null;
  readonly peak_bytes: number | null;
  readonly killed: string | null;
  /** Plain sgemm beside it, GFLOP/s. */
  readonly plain_sgemm: number;
}

/** What `--search` found for a case. */
export interface Search {
  /** The fastest with the system's own allocator, as every user of TRL has it. */
  readonly setting: TrlSetting;
  /** The fastest of all, glibc's allocator told to keep memory and to take large pages. */
  readonly tuned: TrlSetting;
  readonly tried: readonly Tried[];
  /** ISO date. */
  readonly date: string;
  readonly machine: string;
  readonly shape: string;
}

export type Recorded = Partial<Record<SearchedCase, Search>>;

/** The file given with `--record`, or the one of the repository. */
export function recordFile({ record }: Pick<BenchOptions, "record">): string {
  return record ?? join(packageRoot(), "bench", "vs-trl", "trlBest.json");
}

export function readRecorded(file: string): Recorded {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Recorded) : {};
}

/** What is used where nobody has searched: a choice, not a finding. Long pairs do not fit five at a time. */
const UNSEARCHED: Readonly<Record<SearchedCase, TrlSetting>> = {
  lora: PLAIN_SETTING,
  full: PLAIN_SETTING,
  long: { ...PLAIN_SETTING, per_device_train_batch_size: 1, gradient_accumulation_steps: 5 },
};

export interface Best {
  readonly setting: TrlSetting;
  /** undefined where nobody has searched, and where no allocator was faster. */
  readonly tuned: TrlSetting | undefined;
  readonly note: string;
}

/** The settings to use, and where they are from. */
export function findBest(name: SearchedCase, recorded: Recorded): Best {
  const search = recorded[name];
  const setting = search?.setting ?? UNSEARCHED[name];
  const tuned = search?.tuned.malloc === "default" ? undefined : search?.tuned;
  const source =
    search === undefined
      ? `not searched for; --search --cases ${name} finds the best`
      : `the fastest of ${search.tried.length} tried on ${search.date}, ${search.shape}, ${search.machine}`;
  const besides = tuned === undefined ? "" : `; with a tuned allocator: ${describeSetting(tuned)}`;
  return { setting, tuned, note: `TRL's setting for ${name}: ${describeSetting(setting)}${besides} (${source}).` };
}

/** In words. */
export function describeSetting(setting: TrlSetting): string {
  const { per_device_train_batch_size: batch, gradient_accumulation_steps: accumulation } = setting;
  return [
    `batch ${batch}${accumulation > 1 ? ` × ${accumulation} accumulated` : ""}`,
    setting.attn_implementation,
    `checkpointing ${setting.gradient_checkpointing ? "on" : "off"}`,
    `reference precomputed`,
    `allocator ${setting.malloc}`,
  ].join(", ");
}
