/**
 * Trials as tasks of `sbatch --array`. This process keeps the books in the sweep's folder, which all machines share, and enters what workers
 * write there. It may disappear: Slurm goes on, and the same command finds the arrays by their name, enters what came meanwhile, and submits
 * again what was lost.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ConfigError } from "../../errors.js";
import type { SentEnd, SentTrial } from "../away.js";
import { Desk } from "../desk.js";
import type { SweepEngine, SweepRunOptions } from "../engine.js";
import { MAX_ATTEMPTS } from "../ledger.js";
import type { SweepPlan } from "../plan.js";
import type { Study } from "../study.js";
import { type SlurmCluster, slurmCluster } from "./cluster.js";
import { type ArrayFile, type Progress, SlurmFiles } from "./files.js";

export interface SlurmInput {
  /** Options of sbatch, as on its command line: `["--partition=gpu", "--time=1:00:00"]`. */
  readonly sbatch?: readonly string[] | undefined;
  /** Tasks at once. Default: as many as Slurm lets run. */
  readonly max_trials_at_once?: number | undefined;
  /** Tasks of the array; each runs its share of the trials one after the other, on a model loaded once. Default: one for each trial, as far as
   *  the cluster's MaxArraySize goes. */
  readonly tasks?: number | undefined;
  /** Instead of the cluster that the commands reach. */
  readonly cluster?: SlurmCluster | undefined;
}

/** Between two looks into the folder, ms. */
const POLL_MS = 1000;
/** Between two questions to Slurm, ms; its controller serves many. */
const ASK_MS = 5000;
/** A trial's way from one submission to the next. */
interface Sent extends SentTrial {
  readonly array: number;
  readonly task: number;
  /** When Slurm first said that its task is over, ms. */
  goneSince: number | undefined;
}

/** @throws ConfigError `slurm` when it runs and Slurm's commands are not there or refuse */
export function slurmEngine(input: SlurmInput = {}): SweepEngine {
  return {
    name: "slurm",
    away: true,
    async run(study, _objective, options) {
      if (options.plan === undefined) throw new ConfigError("sweep_engine", "sweep: slurm must be given a plan, got none; call sweep()");
      if (options.seconds !== undefined || study.limit === Infinity)
        throw new ConfigError(
          "sweep_budget",
          "sweep: an array of Slurm must have a known number of trials and no end in seconds; give budget: { trials: 20 }, and limit the time by --sbatch --time=…",
        );
      const plan = await options.plan();
      const files = new SlurmFiles(plan.folder, plan.id);
      await files.prepare();
      await new Coordinator(study, plan, files, input, options).run();
    },
  };
}

class Coordinator {
  readonly #study: Study;
  readonly #plan: SweepPlan;
  readonly #files: SlurmFiles;
  readonly #input: SlurmInput;
  readonly #cluster: SlurmCluster;
  readonly #options: SweepRunOptions;
  readonly #desk: Desk;
  /** Trials that have not ended, by number. */
  readonly #sent = new Map<number, Sent>();
  /** Arrays that may have tasks in Slurm. */
  readonly #arrays = new Set<number>();
  #last = 0;
  readonly #reported = new Map<number, number>();

  constructor(study: Study, plan: SweepPlan, files: SlurmFiles, input: SlurmInput, options: SweepRunOptions) {
    this.#study = study;
    this.#plan = plan;
    this.#files = files;
    this.#input = input;
    this.#cluster = input.cluster ?? slurmCluster(input.sbatch ?? []);
    this.#options = options;
    this.#desk = new Desk(study, options);
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    await this.#files.goOn();
    const first = this.#study.ledger.counts().waiting === 0 ? this.#study.trials().length : 0;
    this.#study.plan(Infinity);
    try {
      const known = await this.#recall();
      const fresh = this.#study.ledger.open(0, Infinity).filter(({ number }) => !known.has(number));
      await this.#submit(fresh.map((trial) => ({ ...trial, attempt: 1 })));
      let asked = -Infinity;
      while (!signal.aborted && !this.#files.stopped) {
        await this.#gather();
        if (this.#sent.size === 0) return;
        if (performance.now() - asked > Math.min(ASK_MS, this.#plan.lease_ms)) {
          asked = performance.now();
          await this.#findLost();
        }
        await pause(POLL_MS, signal);
      }
      await this.#stop();
      if (!signal.aborted)
        throw new ConfigError("sweep_cancelled", "sweep: it was cancelled from elsewhere; the same command goes on from there");
    } finally {
      this.#desk.close();
      this.#study.ledger.withdraw(first);
    }
  }

  /** The arrays of earlier starts. */
  async #recall(): Promise<Set<number>> {
    const open = new Set(this.#study.ledger.open(0, Infinity).map(({ number }) => number));
    for (const array of await this.#files.arrays()) {
      this.#remember(array, await this.#files.array(array), open);
      this.#last = Math.max(this.#last, array);
    }
    return new Set(this.#sent.keys());
  }

  #remember(array: number, { trials, tasks }: ArrayFile, open: ReadonlySet<number>): void {
    this.#arrays.add(array);
    for (const [i, trial] of trials.entries())
      if (open.has(trial.number)) this.#sent.set(trial.number, { ...trial, array, task: i % tasks, goneSince: undefined });
  }

  async #submit(trials: readonly SentTrial[]): Promise<void> {
    if (trials.length === 0) return;
    const tasks = Math.min(trials.length, this.#input.tasks ?? Infinity, await this.#cluster.mostTasks());
    const array = ++this.#last;
    const content = { tasks, trials };
    const script = await this.#files.writeArray(array, content, this.#script(array));
    const log = join(this.#files.folder, "log");
    const id = await this.#cluster.submit({ name: this.#name(array), tasks, at_once: this.#input.max_trials_at_once, script, log });
    this.#remember(array, content, new Set(trials.map(({ number }) => number)));
    console.error(`sweep: Slurm has ${trials.length} trials as job ${id}, ${tasks} tasks; their output is in ${log}`);
  }

  #name(array: number): string {
    return `preflab-${this.#plan.id}-${array}`;
  }

  #script(array: number): string {
    const cli = join(dirname(createRequire(import.meta.url).resolve("preflab/package.json")), "dist/src/cli.js");
    const words = [process.execPath, cli, "worker", "--slurm", this.#plan.folder, "--array", String(array)];
    // exec: Slurm's signals reach the worker itself.
    return `#!/bin/sh\nexec ${words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")}\n`;
  }

  /** Enters what has come. */
  async #gather(): Promise<void> {
    for (const number of await this.#files.numbers("progress")) {
      if (!this.#sent.has(number)) continue;
      const progress = await this.#files.read<Progress>("progress", number);
      if (progress !== undefined) await this.#hear(number, progress);
    }
    for (const number of await this.#files.numbers("results")) {
      if (!this.#sent.has(number)) continue;
      await this.#desk.end(number, (await this.#files.read<SentEnd>("results", number))!);
      if (this.#desk.isOver(number)) this.#sent.delete(number);
    }
  }

  async #hear(number: number, { worker, reports }: Progress): Promise<void> {
    const heard = this.#reported.get(number);
    if (heard === undefined) this.#desk.begun(number, worker);
    // A later attempt begins its list anew.
    for (const [step, value] of reports.slice((heard ?? 0) > reports.length ? 0 : heard)) {
      const reason = this.#desk.report(number, worker, step, value);
      if (this.#plan.prunes) await this.#files.write("verdicts", number, { step, reason });
    }
    this.#reported.set(number, reports.length);
  }

  /** Trials without an end whose task is over: submitted again, once the folder has had time to show an end. */
  async #findLost(): Promise<void> {
    const refusal = await this.#files.takeRefusal();
    if (refusal !== undefined) {
      await this.#stop();
      throw new ConfigError("worker_differs", `sweep: stopped, because a worker refuses its trials: ${refusal}`);
    }
    const names = new Map([...this.#arrays].map((array) => [array, this.#name(array)]));
    const alive = await this.#cluster.alive([...names.values()]);
    if (alive === undefined) return;
    const now = performance.now();
    const lost: Sent[] = [];
    for (const sent of this.#sent.values()) {
      if (alive.get(names.get(sent.array)!)!.has(sent.task)) sent.goneSince = undefined;
      else if (now - (sent.goneSince ??= now) >= this.#plan.lease_ms) lost.push(sent);
    }
    if (lost.length === 0) return;
    await this.#gather();
    const again: SentTrial[] = [];
    const tasks = new Set<string>();
    for (const { number, params, attempt, array, task } of lost) {
      if (!this.#sent.has(number)) continue;
      await this.#files.forget("progress", number);
      // Of a task with several trials only the first without an end had an attempt.
      const begun = !tasks.has(`${array} ${task}`);
      tasks.add(`${array} ${task}`);
      if (begun && attempt >= MAX_ATTEMPTS) {
        await this.#desk.lost(number, MAX_ATTEMPTS);
        this.#sent.delete(number);
      } else again.push({ number, params, attempt: begun ? attempt + 1 : attempt });
    }
    await this.#submit(again);
  }

  /** Waiting tasks leave Slurm; those that run end at their trial's next step, or are ended when they do not. */
  async #stop(): Promise<void> {
    await this.#files.stop();
    const names = [...this.#arrays].map((array) => this.#name(array));
    await this.#cluster.cancel(names, "waiting");
    const until = performance.now() + this.#plan.lease_ms;
    for (let forced = false; ;) {
      const alive = await this.#cluster.alive(names);
      if (alive !== undefined && [...alive.values()].every((tasks) => tasks.size === 0)) break;
      if (!forced && performance.now() > until) {
        forced = true;
        await this.#cluster.cancel(names, "all");
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    await this.#gather();
    // What was stopped is no lost attempt.
    for (const array of this.#arrays) await this.#files.forgetArray(array);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** Stops a sweep from anywhere: waiting tasks leave Slurm, trials that run end at their next step. @returns how many arrays it had */
export async function cancelSlurm(plan: SweepPlan, cluster: SlurmCluster = slurmCluster([])): Promise<number> {
  const files = new SlurmFiles(plan.folder, plan.id);
  await files.prepare();
  await files.stop();
  const arrays = await files.arrays();
  await cluster.cancel(
    arrays.map((array) => `preflab-${plan.id}-${array}`),
    "waiting",
  );
  return arrays.length;
}
