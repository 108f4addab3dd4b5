/**
 * Calls wait here for their turn. A job has one state, which every listener is told when it comes and then at each change, so a front end
 * that connects late, or twice, sees the same as one that was there from the start.
 */
import { randomUUID } from "node:crypto";
import { PreflabError } from "../errors.js";
import type { Endpoint, Outputs } from "./endpoint.js";

export interface QueueOptions {
  /** Calls that run at the same time; default 1. */
  concurrency_limit: number;
  /** Calls that may wait; more are refused; default 64. */
  max_size: number;
  /** Seconds that a call may run; default 300. */
  time_limit: number;
}

export type JobState =
  /** `rank` calls are before it, of `size` that wait. */
  | { type: "queued"; rank: number; size: number }
  | { type: "running" }
  | { type: "output"; outputs: Outputs }
  /** `stopped`: what there was when the user stopped it; null if nothing. */
  | { type: "done"; outputs: Outputs | null; stopped: boolean; seconds: number }
  | { type: "failed"; error: Error; seconds: number };

export type JobListener = (state: JobState) => void;

export class Job {
  readonly id = randomUUID();
  readonly #listeners = new Set<JobListener>();
  readonly #abort = new AbortController();
  #state: JobState = { type: "queued", rank: 0, size: 0 };
  #outputs: Outputs | null = null;
  #finished: () => void = () => undefined;
  /** Never rejects. */
  readonly finished = new Promise<void>((resolve) => (this.#finished = resolve));

  constructor(
    readonly endpoint: Endpoint,
    readonly values: readonly unknown[],
  ) {}

  get state(): JobState {
    return this.#state;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get ended(): boolean {
    return this.#state.type === "done" || this.#state.type === "failed";
  }

  /** The listener is told the present state at once. @returns ends it */
  listen(listener: JobListener): () => void {
    this.#listeners.add(listener);
    listener(this.#state);
    return () => this.#listeners.delete(listener);
  }

  /** The queue's business. */
  set(state: JobState): void {
    if (this.ended) return;
    if (state.type === "output") this.#outputs = state.outputs;
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
    if (!this.ended) return;
    this.#listeners.clear();
    this.#finished();
  }

  /** The user wants no more. What there is counts as the result. */
  stop(): void {
    this.#abort.abort(new PreflabError("app_stopped", "The call was stopped"));
  }

  get outputs(): Outputs | null {
    return this.#outputs;
  }

  fail(error: Error): void {
    this.#abort.abort(error);
  }
}

/** A function that does not listen to its signal keeps its place in the queue for so long after it was told to end. */
const GRACE_MS = 10_000;

export class JobQueue {
  readonly options: QueueOptions;
  readonly #waiting: Job[] = [];
  readonly #running = new Set<Job>();

  constructor(options: QueueOptions) {
    this.options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running.size;
  }

  /** @throws PreflabError `app_queue_full` */
  submit(endpoint: Endpoint, values: readonly unknown[]): Job {
    const { concurrency_limit, max_size } = this.options;
    const job = new Job(endpoint, values);
    if (endpoint.immediate === true) {
      void this.#run(job);
      return job;
    }
    if (this.#running.size >= concurrency_limit && this.#waiting.length >= max_size)
      throw new PreflabError("app_queue_full", `Too many wait already: ${this.#waiting.length} calls; try again later`);
    this.#waiting.push(job);
    job.signal.addEventListener("abort", () => this.#leave(job), { once: true });
    this.#next();
    return job;
  }

  #leave(job: Job): void {
    const at = this.#waiting.indexOf(job);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    job.set({ type: "done", outputs: null, stopped: true, seconds: 0 });
    this.#tellRanks();
  }

  #next(): void {
    while (this.#running.size < this.options.concurrency_limit && this.#waiting.length > 0) {
      const job = this.#waiting.shift()!;
      this.#running.add(job);
      void this.#run(job).finally(() => {
        this.#running.delete(job);
        this.#next();
      });
    }
    this.#tellRanks();
  }

  #tellRanks(): void {
    const size = this.#waiting.length;
    this.#waiting.forEach((job, rank) => job.set({ type: "queued", rank, size }));
  }

  /** Settles when the function has ended, or some time after it should have. */
  async #run(job: Job): Promise<void> {
    const { time_limit } = this.options;
    const started = performance.now();
    const seconds = (): number => Number(((performance.now() - started) / 1000).toFixed(3));
    const timer = setTimeout(
      () => job.fail(new PreflabError("app_time_limit", `The call took longer than ${time_limit} s and was ended`)),
      time_limit * 1000,
    );
    job.set({ type: "running" });
    let grace: NodeJS.Timeout | undefined;
    const ended = new Promise<void>((resolve) => {
      job.signal.addEventListener(
        "abort",
        () => {
          // The signal is heard by the function first, which may add a last output.
          setTimeout(() => job.set(endState(job, seconds())), 0);
          grace = setTimeout(resolve, GRACE_MS);
        },
        { once: true },
      );
    });
    try {
      await Promise.race([consume(job), ended]);
      job.set(job.signal.aborted ? endState(job, seconds()) : { type: "done", outputs: job.outputs, stopped: false, seconds: seconds() });
    } catch (error) {
      if (job.signal.aborted) job.set(endState(job, seconds()));
      else job.set({ type: "failed", error: error instanceof Error ? error : new Error(String(error)), seconds: seconds() });
    } finally {
      clearTimeout(timer);
      clearTimeout(grace);
    }
  }
}

async function consume(job: Job): Promise<void> {
  for await (const outputs of job.endpoint.run(job.values, { signal: job.signal })) {
    job.set({ type: "output", outputs });
    if (job.signal.aborted) return;
  }
}

function endState(job: Job, seconds: number): JobState {
  const reason = job.signal.reason as Error;
  const isStop = reason instanceof PreflabError && reason.code === "app_stopped";
  return isStop ? { type: "done", outputs: job.outputs, stopped: true, seconds } : { type: "failed", error: reason, seconds };
}
