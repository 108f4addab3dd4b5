/** Jobs that clients have begun and may ask for. A job that nobody listens to is stopped: nobody would see what it makes. */
import { readInputs, type Endpoint } from "../endpoint.js";
import type { Job, JobListener, JobQueue } from "../jobs.js";
import type { Uploads } from "./uploads.js";

interface Call {
  readonly job: Job;
  /** Gradio's clients get all that they have begun through one stream. */
  readonly session: string | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** How long a job, and then its result, waits for somebody to ask. */
const UNCLAIMED_MS = 60_000;

export class Calls {
  readonly #calls = new Map<string, Call>();
  readonly #listeners = new Map<string, Set<(job: Job) => void>>();

  constructor(
    readonly queue: JobQueue,
    readonly uploads: Uploads,
  ) {}

  /** @throws ConfigError `app_input`; PreflabError `app_queue_full` */
  start(endpoint: Endpoint, data: unknown, session?: string): Job {
    const values = readInputs(endpoint, data).map((value, i) =>
      endpoint.inputs[i]!.type === "file" ? this.uploads.take(endpoint.inputs[i]!.name, value) : value,
    );
    const job = this.queue.submit(endpoint, values);
    const call: Call = { job, session, timer: undefined };
    this.#calls.set(job.id, call);
    this.#wait(call);
    for (const listener of this.#listeners.get(session ?? "") ?? []) listener(job);
    return job;
  }

  find(id: string): Job | undefined {
    return this.#calls.get(id)?.job;
  }

  /** Of a session, those whose end nobody has heard. */
  ofSession(session: string): Job[] {
    return [...this.#calls.values()].filter((call) => call.session === session).map(({ job }) => job);
  }

  /** Told about what a session begins from now on. @returns ends it */
  onStart(session: string, listener: (job: Job) => void): () => void {
    const listeners = this.#listeners.get(session) ?? new Set();
    this.#listeners.set(session, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(session);
    };
  }

  /** Somebody listens until the job ends or `gone` settles; then the job is stopped, if it has not ended, and forgotten. */
  follow(job: Job, listener: JobListener, gone: Promise<void>): void {
    const call = this.#calls.get(job.id);
    clearTimeout(call?.timer);
    const end = job.listen(listener);
    void Promise.race([job.finished, gone]).then(() => {
      end();
      job.stop();
      this.#calls.delete(job.id);
    });
  }

  #wait(call: Call): void {
    call.timer = setTimeout(() => {
      call.job.stop();
      this.#calls.delete(call.job.id);
    }, UNCLAIMED_MS);
    call.timer.unref();
  }

  async stopAll(): Promise<void> {
    const calls = [...this.#calls.values()];
    for (const { job, timer } of calls) {
      clearTimeout(timer);
      job.stop();
    }
    this.#calls.clear();
    await Promise.all(calls.map(({ job }) => job.finished));
  }
}
