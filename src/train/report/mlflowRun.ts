/** One run of an MLflow server: found or made, with its parameters, metrics and status. */
import { type Json, MlflowClient, type Patience, TrackerFailure } from "./mlflowClient.js";
import { MlflowNames, PARAMS_PER_BATCH, PARAM_LENGTH, RUN_NAME_LENGTH, TAG_LENGTH, batches, namedLimit, valueText } from "./mlflowNames.js";
import type { MlflowSettings } from "./mlflowSettings.js";
import { wallMs } from "./wallTime.js";

export type RunStatus = "RUNNING" | "FINISHED" | "FAILED" | "KILLED";

export interface Metric {
  readonly key: string;
  readonly value: number | string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

/** Parameters of a resumed run that differ from those it began with, which MLflow does not let change. */
const CHANGED_TAG = "preflab.resumed_params";

export class MlflowRun {
  readonly #client: MlflowClient;
  readonly #settings: MlflowSettings;
  readonly #name: string;
  #id: string | undefined;
  #known = new Map<string, string>();
  #attached = false;

  /** @param name of a new run, cut at 250 characters @param id a run to go on with */
  constructor(settings: MlflowSettings, patience: Patience, name: string, id: string | undefined) {
    this.#client = new MlflowClient(settings, patience);
    this.#settings = settings;
    this.#name = valueText(name, RUN_NAME_LENGTH);
    this.#id = id;
  }

  /** undefined before `open`. */
  get id(): string | undefined {
    return this.#attached ? this.#id : undefined;
  }

  /** Makes the run, or goes on with the given one; safe to repeat. @throws TrackerFailure */
  async open(signal: AbortSignal): Promise<void> {
    if (this.#attached) return;
    if (this.#id === undefined) {
      const experiment_id = await this.#experiment(signal);
      const tags = [
        { key: "mlflow.runName", value: this.#name },
        { key: "mlflow.source.name", value: "preflab" },
      ];
      const body = { experiment_id, run_name: this.#name, start_time: wallMs(), tags };
      const { info } = runOf(await this.#client.post("runs/create", body, signal));
      this.#id = String(info["run_id"]);
    } else {
      const { info, data } = runOf(await this.#client.get("runs/get", { run_id: this.#id }, signal));
      if (info["lifecycle_stage"] === "deleted") throw refusal(`run ${this.#id} must not be deleted; restore it, or unset MLFLOW_RUN_ID`);
      const params = (data["params"] ?? []) as { key: string; value: string }[];
      this.#known = new Map(params.map(({ key, value }) => [key, value]));
      await this.setStatus("RUNNING", signal);
    }
    this.#attached = true;
  }

  /** The experiment's id; it is made if there is none of that name. */
  async #experiment(signal: AbortSignal): Promise<string> {
    const { experimentName: name, experimentId } = this.#settings;
    if (name === undefined) return experimentId;
    for (let tried = 1; ; tried++) {
      try {
        const { experiment } = await this.#client.get("experiments/get-by-name", { experiment_name: name }, signal);
        const { experiment_id, lifecycle_stage } = experiment as Json;
        if (lifecycle_stage === "deleted")
          throw refusal(`experiment ${name} must not be deleted; restore it, or set MLFLOW_EXPERIMENT_NAME to another`);
        return String(experiment_id);
      } catch (error) {
        if (!(error instanceof TrackerFailure) || error.errorCode !== "RESOURCE_DOES_NOT_EXIST") throw error;
      }
      try {
        return String((await this.#client.post("experiments/create", { name }, signal))["experiment_id"]);
      } catch (error) {
        // Another run has made it meanwhile.
        if (tried > 1 || !(error instanceof TrackerFailure) || error.errorCode !== "RESOURCE_ALREADY_EXISTS") throw error;
      }
    }
  }

  /** Logs parameters that the run does not have yet; values are cut at the server's limit. @throws TrackerFailure */
  async logParams(params: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void> {
    const names = new MlflowNames();
    let length = PARAM_LENGTH;
    const all = Object.entries(params).map(([name, value]) => ({ key: names.of(name), value }));
    const changed = all.filter(({ key, value }) => !sameStart(this.#known.get(key), valueText(value, PARAM_LENGTH)));
    if (changed.length > 0) {
      const value = valueText(Object.fromEntries(changed.map((param) => [param.key, param.value])), TAG_LENGTH);
      await this.#log({ tags: [{ key: CHANGED_TAG, value }] }, signal);
    }
    const pending = batches(
      all.filter(({ key }) => !this.#known.has(key)),
      PARAMS_PER_BATCH,
    );
    for (let group = pending.shift(); group !== undefined;) {
      try {
        await this.#log({ params: group.map(({ key, value }) => ({ key, value: valueText(value, length) })) }, signal);
        group.forEach(({ key, value }) => this.#known.set(key, valueText(value, length)));
        group = pending.shift();
      } catch (error) {
        // 500 before MLflow 2.10, 250 before 1.28: the server says which.
        const limit = error instanceof TrackerFailure && error.status === 400 ? namedLimit(error.detail) : undefined;
        if (limit === undefined || limit >= length) throw error;
        length = limit;
      }
    }
  }

  /** @param metrics at most METRICS_PER_BATCH @throws TrackerFailure */
  async logMetrics(metrics: readonly Metric[], signal: AbortSignal): Promise<void> {
    await this.#log({ metrics }, signal);
  }

  async #log(values: Json, signal: AbortSignal): Promise<void> {
    await this.#client.post("runs/log-batch", { run_id: this.#id, ...values }, signal);
  }

  /** @throws TrackerFailure */
  async setStatus(status: RunStatus, signal: AbortSignal): Promise<void> {
    await this.#client.post("runs/update", { run_id: this.#id, status, ...(status === "RUNNING" ? {} : { end_time: wallMs() }) }, signal);
  }
}

/** Whether a stored value, which may have been cut, stands for `value`; true where none is stored. */
function sameStart(stored: string | undefined, value: string): boolean {
  return stored === undefined || stored === value || (stored.length >= 250 && value.startsWith(stored));
}

function runOf(answer: Json): { info: Json; data: Json } {
  const { info, data } = (answer["run"] ?? {}) as { info?: Json; data?: Json };
  if (info === undefined) throw refusal("the answer must hold a run, got none; check that MLFLOW_TRACKING_URI is an MLflow server");
  return { info, data: data ?? {} };
}

function refusal(rule: string): TrackerFailure {
  return new TrackerFailure(rule, 400, "", false, "");
}
