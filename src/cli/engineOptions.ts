import { type OptionValues, defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import type { SweepEngine } from "../sweep/engine.js";
import type { OpenSweep } from "../sweep/sweep.js";

export const REDIS_OPTIONS = defineOptions("Redis", {
  redis: {
    ...{ type: "string", default: null, nullable: true, placeholder: "URL" },
    help: "For bullmq: address of the Redis server, redis://[user:password@]host:port",
  },
  queue: { type: "string", default: "preflab", help: "For bullmq: name of the queue. Sweeps may share one, and its limits" },
}).entries;

/** Who runs the trials of a sweep. */
export const ENGINE_OPTIONS = defineOptions("Engine", {
  engine: {
    ...{ type: "string", default: "local", choices: ["local", "bullmq", "slurm"] },
    help: "Who runs the trials: this process; workers that are started with preflab worker and reached through Redis; tasks of a Slurm array",
  },
  ...REDIS_OPTIONS,
  max_trials_at_once: {
    ...{ type: "integer", default: null, nullable: true, min: 1 },
    help: "For bullmq and slurm: trials that run at once, on all machines together",
  },
  max_trials_per_minute: {
    ...{ type: "integer", default: null, nullable: true, min: 1 },
    help: "For bullmq: trials that are begun in a minute, on all machines together",
  },
  retries: {
    ...{ type: "integer", default: null, nullable: true, min: 0 },
    help: "For bullmq: how often a trial is tried again after an error that may be its machine's; null: 2",
  },
  sbatch: {
    ...{ type: "string", list: true, default: [], placeholder: "OPTIONS" },
    help: "For slurm: options of sbatch, e.g. --sbatch=--partition=gpu,--time=1:00:00",
  },
  tasks: {
    ...{ type: "integer", default: null, nullable: true, min: 1 },
    help: "For slurm: tasks of the array; each runs its share of the trials. null: one for each trial, up to the cluster's MaxArraySize",
  },
  cancel: { type: "boolean", default: false, help: "For bullmq and slurm: stop this sweep, wherever it was started from, and run nothing" },
});

export type EngineValues = OptionValues<(typeof ENGINE_OPTIONS)["entries"]>;

/** Whose options these are; others must be left alone. */
const OWN: Readonly<Record<string, readonly EngineValues["engine"][]>> = {
  redis: ["bullmq"],
  queue: ["bullmq"],
  max_trials_at_once: ["bullmq", "slurm"],
  max_trials_per_minute: ["bullmq"],
  retries: ["bullmq"],
  sbatch: ["slurm"],
  tasks: ["slurm"],
  cancel: ["bullmq", "slurm"],
};

/** @param given names that were given @throws ConfigError `sweep_engine` for an option of another engine, and without an address of Redis */
export function requireEngine({ engine, redis }: EngineValues, given: ReadonlySet<string>, where: string): void {
  const foreign = Object.keys(OWN).find((name) => given.has(name) && !OWN[name]!.includes(engine));
  if (foreign !== undefined)
    throw new ConfigError("sweep_engine", `${where}: ${foreign} must go with --engine ${OWN[foreign]!.join(" or ")}, got ${engine}`);
  if (engine === "bullmq" && redis === null)
    throw new ConfigError(
      "sweep_engine",
      `${where}: redis must be given with --engine bullmq; the address of a Redis server, redis://host:6379`,
    );
}

/** The engine, with the modules that it needs. */
export async function loadEngine(values: EngineValues): Promise<SweepEngine> {
  const { engine, redis, queue, max_trials_at_once, max_trials_per_minute, retries, sbatch, tasks } = values;
  const { bullmqEngine, localEngine, slurmEngine } = await import("../sweep/index.js");
  const at_once = max_trials_at_once ?? undefined;
  if (engine === "slurm") return slurmEngine({ sbatch, max_trials_at_once: at_once, tasks: tasks ?? undefined });
  if (engine !== "bullmq") return localEngine;
  return bullmqEngine({
    ...{ redis: redis!, queue, max_trials_at_once: at_once },
    ...{ max_trials_per_minute: max_trials_per_minute ?? undefined, retries: retries ?? undefined },
  });
}

/** Stops a sweep that may run elsewhere. @returns in words what was done */
export async function cancelElsewhere({ engine, redis, queue }: EngineValues, open: OpenSweep): Promise<string> {
  const { cancelBullmq, cancelSlurm } = await import("../sweep/index.js");
  const plan = await open.plan();
  if (engine === "slurm") {
    const arrays = await cancelSlurm(plan);
    return arrays === 0
      ? "Slurm has no array of this sweep."
      : "Its waiting tasks have left Slurm; trials that run end at their next step.";
  }
  const waiting = await cancelBullmq({ redis: redis!, queue }, plan);
  return `${waiting} trials that waited were taken back; those that run end at their next step.`;
}
