/** The commands of Slurm that a sweep needs. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ConfigError } from "../../errors.js";

export interface ArrayJob {
  readonly name: string;
  readonly tasks: number;
  /** Tasks at once. */
  readonly at_once: number | undefined;
  readonly script: string;
  /** Folder of the workers' output. */
  readonly log: string;
}

/** What submits and watches; a simulated one measures the engine. */
export interface SlurmCluster {
  /** @returns the job's id @throws ConfigError `slurm` with Slurm's own message */
  submit(job: ArrayJob): Promise<string>;
  /** Tasks that wait or run, by the job's name; undefined where Slurm does not answer just now. */
  alive(names: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<number>> | undefined>;
  cancel(names: readonly string[], which: "waiting" | "all"): Promise<void>;
  /** Most tasks of one array. */
  mostTasks(): Promise<number>;
}

const run = promisify(execFile);
/** A list of 100,000 tasks has some megabytes. */
const OUTPUT_BYTES = 1 << 28;

/** @param options of sbatch, as on its command line */
export function slurmCluster(options: readonly string[]): SlurmCluster {
  return {
    async submit({ name, tasks, at_once, script, log }) {
      const array = `0-${tasks - 1}${at_once === undefined ? "" : `%${at_once}`}`;
      const own = [`--job-name=${name}`, `--array=${array}`, `--output=${log}/%A_%a.out`, "--open-mode=append", "--requeue"];
      const out = await slurm("sbatch", ["--parsable", ...options, ...own, script]);
      return out.trim().split(";")[0]!;
    },

    async alive(names) {
      let out: string;
      try {
        out = await slurm("squeue", ["--noheader", "--array", `--name=${names.join(",")}`, "--format=%K|%j"]);
      } catch {
        // Its controller may be restarting. Nothing is lost as long as nobody says so.
        return undefined;
      }
      const alive = new Map<string, Set<number>>(names.map((name) => [name, new Set()]));
      for (const line of out.split("\n")) {
        const [task, name] = line.trim().split("|");
        if (name !== undefined) alive.get(name)?.add(Number(task));
      }
      return alive;
    },

    async cancel(names, which) {
      const state = which === "waiting" ? ["--state=PENDING"] : [];
      for (const name of names) await slurm("scancel", [`--name=${name}`, ...state]);
    },

    async mostTasks() {
      const size = /^MaxArraySize\s*=\s*(\d+)/m.exec(await slurm("scontrol", ["show", "config"]))?.[1];
      // The least that Slurm is configured with where it says nothing.
      return size === undefined ? 1000 : Number(size) - 1;
    },
  };
}

async function slurm(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(command, args, { maxBuffer: OUTPUT_BYTES });
    return stdout;
  } catch (error) {
    const { code, stderr = "", message } = error as NodeJS.ErrnoException & { stderr?: string };
    const told =
      String(code) === "ENOENT" ? "the program is not there; start the sweep on a machine of the cluster" : stderr.trim() || message;
    throw new ConfigError("slurm", `sweep: ${command} must be able to run, got: ${told}`, { cause: error });
  }
}
