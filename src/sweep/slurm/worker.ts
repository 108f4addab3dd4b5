/** A task of a Slurm array: runs its share of the trials, one after the other, and writes each end into the sweep's folder. */
import { ConfigError } from "../../errors.js";
import { type SentReport, ownName, runAway } from "../away.js";
import { MAX_ATTEMPTS } from "../ledger.js";
import { openPlan, readPlan } from "../plan.js";
import { SlurmFiles, type Verdict } from "./files.js";

export interface SlurmTaskInput {
  /** The sweep's folder. */
  readonly folder: string;
  /** Which of its arrays. */
  readonly array: number;
  /** From 0. */
  readonly task: number;
  /** How often Slurm has put this task back: its trial may go on from a checkpoint. */
  readonly restarts?: number;
  readonly signal?: AbortSignal;
  readonly onTrial?: (text: string) => void;
}

const WHERE = "preflab worker";
const STOP_MS = 1000;
/** How long a trial waits for the pruner's answer to a report, ms; without one it goes on. */
const VERDICT_MS = 5000;

/** @throws ConfigError `worker_folder`, `worker_differs`; MachineFault for an error that may be this machine's */
export async function runSlurmTask(input: SlurmTaskInput): Promise<void> {
  const { folder, array, task, restarts = 0, signal = new AbortController().signal, onTrial } = input;
  const { id } = await readPlan(folder, WHERE);
  const files = new SlurmFiles(folder, id);
  const { tasks, trials } = await files.array(array);
  if (!(task >= 0 && task < tasks))
    throw new ConfigError("worker_task", `${WHERE}: the task must be 0 to ${tasks - 1}, got ${task}; sbatch --array starts it`);
  const own = trials.filter((_, i) => i % tasks === task);
  const open = await openPlan(folder, id, undefined, WHERE).catch(async (error: unknown) => {
    await files.refuse(`${ownName()}: ${(error as Error).message}`);
    throw error;
  });
  const stop = new AbortController();
  const look = setInterval(() => files.stopped && stop.abort(), STOP_MS);
  const worker = ownName();
  try {
    for (const trial of own) {
      if (signal.aborted || files.stopped) return;
      const { number } = trial;
      if (files.isThere("results", number)) continue;
      const reports: SentReport[] = [];
      await files.write("progress", number, { worker, reports });
      const end = await runAway(
        { ...trial, attempt: trial.attempt + restarts },
        open.objective,
        {
          async report(step, value) {
            reports.push([step, value]);
            await files.write("progress", number, { worker, reports });
            return open.plan.prunes ? await askVerdict(files, number, step) : undefined;
          },
        },
        // After an error of the machine the task ends without a result, and the trial is submitted again.
        { stop: AbortSignal.any([stop.signal, signal]), lost: new AbortController().signal, retry: trial.attempt < MAX_ATTEMPTS },
      );
      if (end.state === "stopped") return;
      await files.write("results", number, end);
      await files.forget("progress", number);
      await files.forget("verdicts", number);
      onTrial?.(`trial ${number}: ${end.state}${end.value === null ? "" : ` ${end.value}`}`);
    }
  } finally {
    clearInterval(look);
    await open.dispose();
  }
}

async function askVerdict(files: SlurmFiles, number: number, step: number): Promise<string | undefined> {
  for (const until = performance.now() + VERDICT_MS; performance.now() < until;) {
    const verdict = await files.read<Verdict>("verdicts", number);
    if (verdict !== undefined && verdict.step >= step) return verdict.reason;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return undefined;
}
