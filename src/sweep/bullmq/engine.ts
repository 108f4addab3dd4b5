/**
 * Trials as jobs of BullMQ on Redis. This process keeps the books in the sweep's folder; Redis carries trials to whichever `preflab worker` is
 * free, and their ends back. Redis may be restarted, workers may disappear, and this process too: started again, it enters what came meanwhile.
 */
import type { Queue } from "bullmq";
import { ConfigError } from "../../errors.js";
import type { SentEnd } from "../away.js";
import { Desk } from "../desk.js";
import type { SweepEngine, SweepRunOptions } from "../engine.js";
import { MAX_ATTEMPTS } from "../ledger.js";
import type { SweepPlan } from "../plan.js";
import type { Study } from "../study.js";
import { type JobData, type JobNews, Notes, type RedisInput, connect, jobId, numberOf } from "./redis.js";

export interface BullmqInput extends RedisInput {
  /** Trials at once, of all workers; of the queue, where sweeps share one. Default: as many as there are workers. */
  readonly max_trials_at_once?: number | undefined;
  /** Trials begun a minute, of all workers. Default: no limit. */
  readonly max_trials_per_minute?: number | undefined;
  /** How often a trial is tried again after an error that may be the machine's (disk full, out of memory). Default 2. */
  readonly retries?: number | undefined;
}

/** Trials in the queue at once: Redis holds so many, whatever the sweep's size. */
const WINDOW = 500;
/** Between two looks at everything, ms: what no event has told. */
const LOOK_MS = 5000;
/** Between two looks whether somebody stops the sweep, ms. */
const STOP_MS = 1000;
const NOBODY_MS = 10_000;
/** First pause before a retry, ms; each later one is twice as long. */
const BACKOFF_MS = 1000;

/** @throws ConfigError `sweep_redis` when it runs and Redis cannot be reached */
export function bullmqEngine(input: BullmqInput): SweepEngine {
  return {
    name: "bullmq",
    away: true,
    async run(study, _objective, options) {
      if (options.plan === undefined) throw new ConfigError("sweep_engine", "sweep: bullmq must be given a plan, got none; call sweep()");
      const plan = await options.plan();
      const { bullmq, client, queue: name, connection } = await connect(input, "sweep");
      const queue = new bullmq.Queue<JobData, SentEnd>(name, connection);
      const events = new bullmq.QueueEvents(name, connection);
      // Connections come back by themselves.
      queue.on("error", () => undefined);
      events.on("error", () => undefined);
      try {
        await events.waitUntilReady();
        await setLimits(queue, input);
        await new Coordinator(study, plan, queue, new Notes(client, plan.id), input, options).run(events);
      } finally {
        await Promise.allSettled([events.close(), queue.close()]);
        client.disconnect();
      }
    },
  };
}

async function setLimits(queue: Queue, { max_trials_at_once, max_trials_per_minute }: BullmqInput): Promise<void> {
  if (max_trials_at_once === undefined) await queue.removeGlobalConcurrency();
  else await queue.setGlobalConcurrency(max_trials_at_once);
  if (max_trials_per_minute === undefined) await queue.removeGlobalRateLimit();
  else await queue.setGlobalRateLimit(max_trials_per_minute, 60_000);
}

class Coordinator {
  readonly #study: Study;
  readonly #plan: SweepPlan;
  readonly #queue: Queue<JobData, SentEnd>;
  readonly #notes: Notes;
  readonly #input: BullmqInput;
  readonly #options: SweepRunOptions;
  readonly #desk: Desk;
  /** In Redis, as far as is known. */
  readonly #sent = new Set<number>();
  /** Ended, told by an event. */
  readonly #news: (() => Promise<void>)[] = [];
  #wake: () => void = () => undefined;
  /** Above every number that was sent. */
  #next = 0;
  readonly #first: number;

  constructor(study: Study, plan: SweepPlan, queue: Queue<JobData, SentEnd>, notes: Notes, input: BullmqInput, options: SweepRunOptions) {
    this.#study = study;
    this.#plan = plan;
    this.#queue = queue;
    this.#notes = notes;
    this.#input = input;
    this.#options = options;
    this.#desk = new Desk(study, options);
    this.#first = study.ledger.counts().waiting === 0 ? study.trials().length : 0;
  }

  async run(events: import("bullmq").QueueEvents): Promise<void> {
    const { signal, seconds = Infinity } = this.#options;
    this.#listen(events);
    await this.#notes.goOn();
    const started = performance.now();
    const isLate = (): boolean => (performance.now() - started) / 1000 >= seconds;
    const wake = (): void => this.#wake();
    signal.addEventListener("abort", wake);
    let [looked, asked, warned] = [-Infinity, performance.now(), performance.now()];
    let stopped = false;
    try {
      for (;;) {
        const now = performance.now();
        if (!stopped && now - asked > STOP_MS) {
          asked = now;
          stopped = await this.#notes.isStopped();
        }
        if (signal.aborted || stopped) break;
        if (!isLate()) await this.#send();
        else await this.#takeBack();
        if (now - looked > LOOK_MS) {
          looked = now;
          await this.#look();
        }
        await this.#enter();
        if (this.#sent.size === 0 && (isLate() || this.#isDone())) return;
        if (now - warned > NOBODY_MS && (await this.#queue.getWorkersCount()) === 0) {
          warned = now;
          console.error(`sweep: no worker is connected; start preflab worker --redis URL --queue ${this.#queue.name} on a machine`);
        }
        if (this.#news.length === 0 && !signal.aborted) await this.#pause(STOP_MS);
      }
      await this.#stop();
      if (stopped && !signal.aborted)
        throw new ConfigError("sweep_cancelled", "sweep: it was cancelled from elsewhere; the same command goes on from there");
    } finally {
      signal.removeEventListener("abort", wake);
      this.#desk.close();
      this.#study.ledger.withdraw(this.#first);
    }
  }

  #listen(events: import("bullmq").QueueEvents): void {
    const hear = (id: string, news: (number: number) => Promise<void>): void => {
      const number = numberOf(this.#plan.id, id);
      if (number === undefined) return;
      this.#news.push(() => news(number));
      this.#wake();
    };
    events.on("progress", ({ jobId: id, data }) => hear(id, (number) => this.#hear(number, data as JobNews)));
    const ended = ({ jobId: id }: { jobId: string }): void => hear(id, (number) => this.#end(number));
    events.on("completed", ended);
    events.on("failed", ended);
  }

  async #hear(number: number, news: JobNews): Promise<void> {
    if (news.type === "refused") console.error(`sweep: a worker refuses trials: ${news.reason}`);
    else if (news.type === "begun") this.#desk.begun(number, news.worker);
    else {
      const reason = this.#desk.report(number, news.worker, news.step, news.value);
      if (this.#plan.prunes) await this.#notes.judge(number, news.step, reason);
    }
  }

  /** Fills the window. A job that is there already stays as it is. */
  async #send(): Promise<void> {
    if (this.#sent.size > WINDOW / 2) return;
    const { ledger } = this.#study;
    const room = WINDOW - this.#sent.size;
    let open = ledger.open(this.#next, room);
    if (open.length < room) {
      this.#study.plan(this.#next + room);
      open = ledger.open(this.#next, room);
    }
    if (open.length === 0) return;
    await this.#add(open);
    this.#next = open.at(-1)!.number + 1;
  }

  async #add(trials: readonly Pick<JobData, "number" | "params">[]): Promise<void> {
    const { id: sweep, folder } = this.#plan;
    const attempts = (this.#input.retries ?? 2) + 1;
    await this.#queue.addBulk(
      trials.map(({ number, params }) => ({
        name: "trial",
        data: { sweep, folder, number, params },
        opts: { jobId: jobId(sweep, number), attempts, backoff: { type: "exponential", delay: BACKOFF_MS } },
      })),
    );
    for (const { number } of trials) this.#sent.add(number);
  }

  #isDone(): boolean {
    return this.#next >= this.#study.limit && this.#study.ledger.open(0, 1).length === 0;
  }

  /** Looks at every job: ends whose event was lost with a connection, and jobs that Redis has forgotten. */
  async #look(): Promise<void> {
    const numbers = [...this.#sent];
    const states = await Promise.all(numbers.map((number) => this.#queue.getJobState(jobId(this.#plan.id, number))));
    const gone: number[] = [];
    for (const [i, number] of numbers.entries()) {
      if (states[i] === "completed" || states[i] === "failed") this.#news.push(() => this.#end(number));
      else if (states[i] === "unknown") gone.push(number);
    }
    if (gone.length === 0) return;
    const open = new Map(this.#study.ledger.open(0, WINDOW * 2).map((trial) => [trial.number, trial]));
    for (const number of gone) if (this.#desk.isOver(number)) this.#sent.delete(number);
    const again = gone.flatMap((number) => open.get(number) ?? []);
    if (again.length > 0) await this.#add(again);
  }

  async #enter(): Promise<void> {
    for (const news of this.#news.splice(0)) await news();
  }

  /** Enters how a job ended, and only then takes it out of Redis. */
  async #end(number: number): Promise<void> {
    if (!this.#sent.has(number)) return;
    const job = await this.#queue.getJob(jobId(this.#plan.id, number));
    if (job === undefined) return;
    const end = job.returnvalue as SentEnd | null;
    if (end !== null && end !== undefined) await this.#desk.end(number, end);
    // BullMQ says so where too many workers disappeared with it.
    else if (/stalled/.test(job.failedReason ?? "")) await this.#desk.lost(number, MAX_ATTEMPTS);
    else if (job.finishedOn !== undefined) await this.#desk.fail(number, job.failedReason);
    else return;
    await job.remove();
    if (this.#plan.prunes) await this.#notes.forget(number);
    if (this.#desk.isOver(number)) this.#sent.delete(number);
    // Stopped at an earlier end of this process: it begins anew.
    else await this.#add(this.#study.ledger.open(number, 1));
  }

  /** Takes jobs back that nobody has begun. */
  async #takeBack(): Promise<void> {
    for (const number of await removeWaiting(this.#queue, this.#plan.id)) this.#sent.delete(number);
  }

  /** Workers end their trials at the next step; those that are silent for a lease are left to the next start. */
  async #stop(): Promise<void> {
    await this.#notes.stop();
    const until = performance.now() + 2 * this.#plan.lease_ms;
    for (;;) {
      await this.#takeBack();
      const ended: number[] = [];
      for (const number of this.#sent) {
        const job = await this.#queue.getJob(jobId(this.#plan.id, number));
        if (job?.finishedOn === undefined && job !== undefined) continue;
        if (job?.returnvalue !== undefined && job.returnvalue !== null) await this.#desk.end(number, job.returnvalue as SentEnd);
        await job?.remove();
        ended.push(number);
      }
      for (const number of ended) this.#sent.delete(number);
      if (this.#sent.size === 0 || performance.now() > until) return;
      await this.#pause(200);
    }
  }

  async #pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  }
}

/** @returns numbers of the trials whose jobs were removed */
async function removeWaiting(queue: Queue<JobData, SentEnd>, sweep: string): Promise<number[]> {
  const jobs = await queue.getJobs(["waiting", "delayed", "prioritized"]);
  const own = jobs.filter((job) => job?.data?.sweep === sweep);
  const removed = await Promise.all(
    // Between the two calls a worker may have begun it.
    own.map((job) =>
      job.remove().then(
        () => [job.data.number],
        () => [],
      ),
    ),
  );
  return removed.flat();
}

/** Stops a sweep from anywhere: jobs that wait are taken back, trials that run end at their next step. @returns how many waited */
export async function cancelBullmq(input: RedisInput, plan: SweepPlan): Promise<number> {
  const { bullmq, client, queue: name, connection } = await connect(input, "sweep");
  const queue = new bullmq.Queue<JobData, SentEnd>(name, connection);
  try {
    await new Notes(client, plan.id).stop();
    return (await removeWaiting(queue, plan.id)).length;
  } finally {
    await queue.close();
    client.disconnect();
  }
}
