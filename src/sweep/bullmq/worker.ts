/** A worker of BullMQ sweeps: takes one trial after the other from the queue, whichever sweep it is of. */
import type { Job } from "bullmq";
import { type SentEnd, ownName, runAway } from "../away.js";
import type { Objective } from "../engine.js";
import { type OpenPlan, openPlan } from "../plan.js";
import { MAX_ATTEMPTS } from "../ledger.js";
import { type JobData, type JobNews, Notes, type RedisInput, connect } from "./redis.js";

export interface BullmqWorkerInput extends RedisInput {
  /** Ends the worker; its trial goes back to the queue, for another. */
  readonly signal?: AbortSignal;
  /** The worker ends when it had nothing to do for so long; default: never. */
  readonly idle_seconds?: number | undefined;
  /** A worker that is silent for so long loses its trial; default 60. The same on all machines. */
  readonly lease_seconds?: number | undefined;
  /** Runs a trial of a sweep of function calls. */
  readonly objective?: Objective;
  /** Told of each trial. */
  readonly onTrial?: (text: string) => void;
}

const WHERE = "preflab worker";
/** Between two looks whether the sweep was stopped, ms. */
const STOP_MS = 1000;
const CLOSE_MS = 10_000;
/** How long a trial waits for the pruner's answer to a report, ms; without one it goes on. */
const VERDICT_MS = 3000;

/**
 * Serves until `signal`, or until it has been idle.
 * @throws ConfigError `sweep_redis`; `worker_folder`, `worker_differs` when this machine has not what a sweep needs: its trial goes back
 */
export async function serveBullmq(input: BullmqWorkerInput): Promise<void> {
  const { signal = new AbortController().signal, idle_seconds = Infinity, lease_seconds = 60, objective, onTrial } = input;
  const { bullmq, client, queue, connection } = await connect(input, WHERE);
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  signal.addEventListener("abort", leave);
  let open: OpenPlan | undefined;
  let refusal: Error | undefined;
  const losers = new Map<string, AbortController>();

  const prepare = async ({ folder, sweep }: JobData): Promise<OpenPlan> => {
    if (open?.plan.id === sweep) return open;
    await open?.dispose();
    open = undefined;
    return (open = await openPlan(folder, sweep, objective, WHERE));
  };
  const tell = (job: Job<JobData>, news: JobNews): Promise<void> => job.updateProgress(news);

  const processTrial = async (job: Job<JobData, SentEnd>, token?: string): Promise<SentEnd> => {
    const { number, params, sweep } = job.data;
    const worker = ownName();
    const notes = new Notes(client, sweep);
    if (await notes.isStopped()) return { state: "stopped", worker, reports: [] };
    const giveBack = async (): Promise<never> => {
      leave();
      await job.moveToWait(token);
      throw new bullmq.WaitingError();
    };
    let ready: OpenPlan;
    try {
      ready = await prepare(job.data);
    } catch (error) {
      refusal = error as Error;
      await tell(job, { type: "refused", worker, reason: `${worker}: ${refusal.message}` });
      return giveBack();
    }
    const [stop, lost] = [new AbortController(), new AbortController()];
    losers.set(job.id!, lost);
    const look = setInterval(() => {
      notes.isStopped().then(
        (stopped) => stopped && stop.abort(),
        () => undefined,
      );
    }, STOP_MS);
    try {
      await tell(job, { type: "begun", worker });
      const end = await runAway(
        { number, params, attempt: job.attemptsStarted },
        ready.objective,
        {
          async report(step, value) {
            await tell(job, { type: "report", worker, step, value });
            return ready.plan.prunes ? await askVerdict(notes, number, step) : undefined;
          },
        },
        { lost: lost.signal, stop: AbortSignal.any([stop.signal, leaving.signal]), retry: job.attemptsMade + 1 < (job.opts.attempts ?? 1) },
      );
      onTrial?.(`trial ${number}: ${end.state}${"value" in end && end.value !== null ? ` ${end.value}` : ""}`);
      if (end.state === "stopped" && leaving.signal.aborted && !stop.signal.aborted) return await giveBack();
      return end;
    } finally {
      clearInterval(look);
      losers.delete(job.id!);
    }
  };

  let idleSince = performance.now();
  const processAlone = async (job: Job<JobData, SentEnd>, token?: string): Promise<SentEnd> => {
    idleSince = Infinity;
    try {
      return await processTrial(job, token);
    } finally {
      // A trial that was lost ends here too, and in no event.
      idleSince = performance.now();
    }
  };

  const worker = new bullmq.Worker<JobData, SentEnd>(queue, processAlone, {
    ...connection,
    name: ownName(),
    concurrency: 1,
    lockDuration: lease_seconds * 1000,
    stalledInterval: (lease_seconds * 1000) / 2,
    maxStalledCount: MAX_ATTEMPTS - 1,
  });
  worker.on("error", () => undefined);
  worker.on("lockRenewalFailed", (ids) => ids.forEach((id) => losers.get(id)?.abort()));
  const idle = setInterval(() => {
    if ((performance.now() - idleSince) / 1000 > idle_seconds) leave();
  }, 200);
  try {
    if (!leaving.signal.aborted) await new Promise<void>((resolve) => leaving.signal.addEventListener("abort", () => resolve()));
  } finally {
    clearInterval(idle);
    signal.removeEventListener("abort", leave);
    // A Redis that is gone would be waited for without end.
    await Promise.race([worker.close(), new Promise((resolve) => setTimeout(resolve, CLOSE_MS))]);
    await open?.dispose();
    client.disconnect();
  }
  if (refusal !== undefined) throw refusal;
}

async function askVerdict(notes: Notes, number: number, step: number): Promise<string | undefined> {
  for (const until = performance.now() + VERDICT_MS; performance.now() < until;) {
    const verdict = await notes.verdict(number, step);
    if (verdict !== undefined) return verdict.reason;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return undefined;
}
