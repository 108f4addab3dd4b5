import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine, refusePositionals } from "./command.js";
import { REDIS_OPTIONS } from "./engineOptions.js";
import { onInterrupt } from "./interrupt.js";

const WORKER_OPTIONS = defineOptions("Options", {
  ...REDIS_OPTIONS,
  idle_seconds: {
    ...{ type: "number", default: null, nullable: true, exclusiveMin: 0, unit: "s" },
    help: "For bullmq: end when there was nothing to do for so long; null: never",
  },
  lease_seconds: {
    ...{ type: "number", default: 60, exclusiveMin: 0, unit: "s" },
    help: "For bullmq: a worker that is silent for so long loses its trial to another. The same on all machines",
  },
  slurm: {
    ...{ type: "string", default: null, nullable: true, placeholder: "DIR" },
    help: "For Slurm, which gives it itself: the sweep's folder",
  },
  array: { type: "integer", default: 1, min: 1, help: "For Slurm, which gives it itself: which array of the sweep" },
});

const WHERE = "preflab worker";

export const worker: Command = {
  name: "worker",
  usage: `${WHERE} --redis URL [flags]`,
  summary:
    "Runs trials of sweeps that were started with --engine bullmq, one after the other. The sweep's folder must be shared with this machine, at the same path; model, rows and program are compared by hash before the first trial.",
  tables: [WORKER_OPTIONS],
  async prepare(argv) {
    const { values, positionals, names } = await readCommandLine(WHERE, [WORKER_OPTIONS], argv);
    refusePositionals(WHERE, positionals);
    const { redis, queue, idle_seconds, lease_seconds, slurm, array } = WORKER_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    if ((redis === null) === (slurm === null))
      throw new ConfigError("worker_source", `${WHERE}: one of --redis and --slurm must be given, got ${redis === null ? "none" : "both"}`);
    const foreign = ["queue", "idle_seconds", "lease_seconds"].find((name) => slurm !== null && names.has(name));
    if (foreign !== undefined) throw new ConfigError("worker_source", `${WHERE}: ${foreign} must go with --redis, got --slurm`);
    if (slurm === null && names.has("array")) throw new ConfigError("worker_source", `${WHERE}: array must go with --slurm, got --redis`);
    return async () => {
      const [{ serveBullmq, runSlurmTask }] = await Promise.all([
        import("../sweep/index.js"),
        // Importing it lets Hub ids stand where a path can, and writes model cards.
        import("../hub/index.js"),
      ]);
      const abort = new AbortController();
      const interrupt = onInterrupt(() => abort.abort(), "Stopping after this step; the trial goes back. Ctrl-C again ends at once.");
      const common = { signal: abort.signal, onTrial: (text: string) => console.log(text) };
      try {
        if (redis !== null) await serveBullmq({ ...common, redis, queue, lease_seconds, idle_seconds: idle_seconds ?? undefined });
        else await runSlurmTask({ ...common, folder: slurm!, array, ...slurmTask(process.env) });
        return interrupt.exitCode ?? 0;
      } finally {
        interrupt.release();
      }
    };
  },
};

/** What Slurm says to the tasks of an array. */
function slurmTask(environment: NodeJS.ProcessEnv): { task: number; restarts: number } {
  const task = environment["SLURM_ARRAY_TASK_ID"];
  if (task === undefined)
    throw new ConfigError(
      "worker_task",
      `${WHERE}: SLURM_ARRAY_TASK_ID must be set with --slurm; preflab sweep --engine slurm starts it by sbatch`,
    );
  return { task: Number(task), restarts: Number(environment["SLURM_RESTART_COUNT"] ?? 0) };
}
