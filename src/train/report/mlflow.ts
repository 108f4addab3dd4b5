import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../text/atomicFile.js";
import type { LogEntry, TrainerState } from "../loop/trainerState.js";
import { PATIENCE, type Patience, TrackerFailure } from "./mlflowClient.js";
import { METRICS_PER_BATCH, MlflowNames, metricValue } from "./mlflowNames.js";
import { type Metric, MlflowRun, type RunStatus } from "./mlflowRun.js";
import type { MlflowSettings } from "./mlflowSettings.js";
import type { TrainerCallback } from "../loop/callbacks.js";
import { LostEntries } from "./reporter.js";
import { wallMs } from "./wallTime.js";

/** Which run a later process may go on with. */
const RUN_FILE = "mlflow_run.json";
/** Entries that wait for a server that does not answer; beyond them the oldest are dropped. */
const MOST_WAITING = 10_000;

export interface MlflowOptions {
  readonly settings: MlflowSettings;
  readonly runName: string;
  /** Logged once as the run's parameters. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Where the run's id is kept for a resumed run. */
  readonly folder: string;
  readonly resuming: boolean;
  /** Whether the user ended the run before its last step. */
  readonly interrupted: (state: TrainerState) => boolean;
  readonly warn: (text: string) => void;
  readonly patience?: Patience;
}

/**
 * Sends entries to an MLflow server, in the background and in order: training never waits for it. What a silent server has not
 * taken is kept and sent with later entries; what is left at the end, after some patience, is lost and told.
 */
export class MlflowReporter implements TrainerCallback {
  readonly #options: MlflowOptions;
  #resuming: boolean;
  readonly #patience: Patience;
  readonly #lost: LostEntries;
  readonly #names = new MlflowNames();
  #run: MlflowRun | undefined;
  #waiting: Metric[][] = [];
  #paramsDue = true;
  #training = false;
  /** The server has refused for good. */
  #refused = false;
  /** The status was set to an end. */
  #ended = false;
  #rememberedId: string | undefined;
  #sending: Promise<void> | undefined;
  #limit = new AbortController();

  constructor(options: MlflowOptions) {
    this.#options = options;
    this.#resuming = options.resuming;
    this.#patience = options.patience ?? PATIENCE;
    this.#lost = new LostEntries("mlflow", options.warn);
  }

  on_train_begin(state: TrainerState): void {
    this.#training = true;
    this.#resuming ||= state.global_step > 0;
    void this.#send();
  }

  async on_log(_state: TrainerState, { step = 0, ...values }: LogEntry): Promise<void> {
    const timestamp = wallMs();
    this.#waiting.push(
      Object.entries(values).map(([name, value]) => ({ key: this.#names.of(name), value: metricValue(value), timestamp, step })),
    );
    if (this.#training) void this.#send();
    // An evaluation before or after training: nothing else will wait for it.
    else await this.#end("FINISHED");
  }

  async on_train_end(state: TrainerState): Promise<void> {
    await this.#end(this.#options.interrupted(state) ? "KILLED" : "FINISHED");
  }

  async on_train_failed(): Promise<void> {
    await this.#end("FAILED");
  }

  /** Sends what is left, sets the status and tells the losses. */
  async #end(status: RunStatus): Promise<void> {
    const timer = setTimeout(() => this.#limit.abort(new Error("no answer until the end of training")), this.#patience.endMs);
    try {
      await this.#sending;
      await this.#send();
      await this.#setEnd(status);
    } finally {
      clearTimeout(timer);
    }
    this.#limit = new AbortController();
    this.#drop(this.#waiting.length);
    this.#lost.tell();
    this.#training = false;
  }

  async #setEnd(status: RunStatus): Promise<void> {
    if (this.#run?.id === undefined || this.#refused) return;
    try {
      await this.#run.setStatus(status, this.#limit.signal);
      this.#ended = true;
    } catch (error) {
      this.#lost.fail(messageOf(error), `the run's status is not ${status}`);
    }
  }

  /** Sends what waits; one such work at a time. Never rejects. */
  #send(): Promise<void> {
    this.#sending ??= this.#sendAll(this.#limit.signal)
      .catch((error: unknown) => this.#failed(error))
      .finally(() => (this.#sending = undefined));
    return this.#sending;
  }

  async #sendAll(signal: AbortSignal): Promise<void> {
    if (this.#refused) return this.#drop(this.#waiting.length);
    const { settings, params } = this.#options;
    this.#run ??= new MlflowRun(settings, this.#patience, this.#options.runName, settings.runId ?? (await this.#remembered()));
    await this.#run.open(signal);
    if (this.#training) await this.#beginRun(this.#run, signal);
    if (this.#paramsDue) {
      this.#paramsDue = false;
      await this.#sendParams(this.#run, params, signal);
    }
    while (this.#waiting.length > 0) {
      const entries = this.#nextEntries();
      try {
        await this.#run.logMetrics(entries.flat(), signal);
      } catch (error) {
        // One entry that is refused must not hold up the others.
        if (!(error instanceof TrackerFailure) || error.status !== 400) throw error;
        this.#lost.fail(error.message, "without what was refused");
        this.#lost.add(entries.length);
      }
      this.#waiting = this.#waiting.slice(entries.length);
    }
  }

  async #beginRun(run: MlflowRun, signal: AbortSignal): Promise<void> {
    await this.#remember(run.id!);
    if (!this.#ended) return;
    // An evaluation before training has ended it.
    await run.setStatus("RUNNING", signal);
    this.#ended = false;
  }

  /** The entries of the next request. */
  #nextEntries(): Metric[][] {
    let metrics = 0;
    const past = this.#waiting.findIndex((entry) => (metrics += entry.length) > METRICS_PER_BATCH);
    return this.#waiting.slice(0, past === -1 ? undefined : Math.max(1, past));
  }

  async #sendParams(run: MlflowRun, params: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void> {
    try {
      await run.logParams(params, signal);
    } catch (error) {
      if (!(error instanceof TrackerFailure) || error.status !== 400) {
        this.#paramsDue = true;
        throw error;
      }
      this.#lost.fail(error.message, "without the options among the run's parameters");
    }
  }

  #failed(error: unknown): void {
    if (error instanceof TrackerFailure && error.passing) {
      this.#lost.fail(error.message, "entries wait and are sent when it answers");
      this.#drop(this.#waiting.length - MOST_WAITING);
      return;
    }
    this.#refused = true;
    this.#lost.fail(messageOf(error), "without MLflow");
    this.#drop(this.#waiting.length);
  }

  #drop(count: number): void {
    if (count <= 0) return;
    this.#waiting = this.#waiting.slice(count);
    this.#lost.add(count);
  }

  /** The run of the process that this one goes on for. */
  async #remembered(): Promise<string | undefined> {
    const { folder, settings } = this.#options;
    if (!this.#resuming) return undefined;
    try {
      const saved = JSON.parse(await readFile(join(folder, RUN_FILE), "utf8")) as { run_id?: unknown; tracking_uri?: unknown };
      return typeof saved.run_id === "string" && saved.tracking_uri === settings.uri ? saved.run_id : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  async #remember(run_id: string): Promise<void> {
    if (this.#rememberedId === run_id) return;
    const { folder, settings } = this.#options;
    this.#rememberedId = run_id;
    try {
      await mkdir(folder, { recursive: true });
      await writeFileAtomic(join(folder, RUN_FILE), `${JSON.stringify({ run_id, tracking_uri: settings.uri }, null, 2)}\n`);
    } catch (error) {
      this.#lost.fail(messageOf(error), "a resumed run will be a new run of MLflow");
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
