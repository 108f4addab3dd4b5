/** An MLflow tracking server in memory that refuses what MLflow's own validation refuses (mlflow/utils/validation.py). */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { posix } from "node:path";

type Json = Record<string, unknown>;

export interface StoredRun {
  run_id: string;
  experiment_id: string;
  run_name: string;
  status: string;
  end_time?: number;
  params: Record<string, string>;
  tags: Record<string, string>;
  metrics: { key: string; value: number; timestamp: number; step: number }[];
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
const invalid = (message: string): never => {
  throw new Refusal(400, "INVALID_PARAMETER_VALUE", message);
};

export class FakeMlflow {
  readonly runs = new Map<string, StoredRun>();
  readonly experiments = new Map<string, { experiment_id: string; name: string; lifecycle_stage: string }>([
    ["0", { experiment_id: "0", name: "Default", lifecycle_stage: "active" }],
  ]);
  /** `METHOD path` of each request that came. */
  readonly requests: string[] = [];
  /** Longest parameter; MLflow: 6000, before 2.10 500. */
  paramLength = 6000;
  /** The header Authorization that is asked for. */
  authorization: string | undefined;
  /** Answers the next requests instead: a status, or "hang" for none at all. */
  readonly trouble: (number | "hang" | { status: number; headers: Record<string, string> })[] = [];
  #server: Server | undefined;
  #port = 0;

  get uri(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => (this.#server === undefined ? resolve(0) : this.#server.close(resolve)));
    this.#server = undefined;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.uri);
    this.requests.push(`${request.method} ${url.pathname.replace("/api/2.0/mlflow/", "")}`);
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const send = (status: number, body: Json, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(body));
    };
    const trouble = this.trouble.shift();
    if (trouble === "hang") return;
    if (trouble !== undefined) {
      const { status, headers } = typeof trouble === "number" ? { status: trouble, headers: {} } : trouble;
      return send(status, { error_code: "TEMPORARILY_UNAVAILABLE", message: `in trouble, ${request.headers.authorization}` }, headers);
    }
    try {
      if (this.authorization !== undefined && request.headers.authorization !== this.authorization)
        throw new Refusal(401, "UNAUTHENTICATED", `not you: ${request.headers.authorization}`);
      if (request.method === "POST" && request.headers["content-type"] !== "application/json") invalid("content-type must be JSON");
      if (text.length > 1_000_000) invalid("Batched logging API requests must be at most 1000000 bytes");
      send(200, this.#answer(`${request.method} ${url.pathname}`, url.searchParams, text === "" ? {} : (JSON.parse(text) as Json)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(error.status, { error_code: error.code, message: error.message });
    }
  }

  #answer(place: string, query: URLSearchParams, body: Json): Json {
    switch (place) {
      case "GET /api/2.0/mlflow/experiments/get-by-name": {
        const found = [...this.experiments.values()].find(({ name }) => name === query.get("experiment_name"));
        return { experiment: found ?? missing("experiment") };
      }
      case "POST /api/2.0/mlflow/experiments/create": {
        const name = String(body["name"]);
        if ([...this.experiments.values()].some((each) => each.name === name)) throw new Refusal(400, "RESOURCE_ALREADY_EXISTS", "exists");
        const experiment_id = String(this.experiments.size);
        this.experiments.set(experiment_id, { experiment_id, name, lifecycle_stage: "active" });
        return { experiment_id };
      }
      case "POST /api/2.0/mlflow/runs/create":
        return this.#create(body);
      case "GET /api/2.0/mlflow/runs/get": {
        const run = this.#run(query.get("run_id"));
        const params = Object.entries(run.params).map(([key, value]) => ({ key, value }));
        return { run: { info: { run_id: run.run_id, status: run.status, lifecycle_stage: "active" }, data: { params } } };
      }
      case "POST /api/2.0/mlflow/runs/update": {
        const run = this.#run(body["run_id"]);
        if (!["RUNNING", "FINISHED", "FAILED", "KILLED"].includes(String(body["status"]))) invalid("status");
        run.status = String(body["status"]);
        if (body["end_time"] !== undefined) run.end_time = wholeNumber(body["end_time"]);
        return { run_info: { run_id: run.run_id, status: run.status } };
      }
      case "POST /api/2.0/mlflow/runs/log-batch":
        return this.#logBatch(body);
      default:
        throw new Refusal(404, "ENDPOINT_NOT_FOUND", place);
    }
  }

  #create(body: Json): Json {
    if (!this.experiments.has(String(body["experiment_id"]))) missing("experiment");
    wholeNumber(body["start_time"]);
    if (String(body["run_name"]).length > 250) invalid("run_name");
    const run: StoredRun = {
      run_id: `run${this.runs.size + 1}`,
      experiment_id: String(body["experiment_id"]),
      run_name: String(body["run_name"]),
      status: "RUNNING",
      params: {},
      tags: {},
      metrics: [],
    };
    this.runs.set(run.run_id, run);
    this.#tags(run, body["tags"]);
    return { run: { info: { run_id: run.run_id }, data: {} } };
  }

  #logBatch(body: Json): Json {
    const run = this.#run(body["run_id"]);
    const metrics = (body["metrics"] ?? []) as Json[];
    const params = (body["params"] ?? []) as { key: string; value: unknown }[];
    if (metrics.length > 1000 || params.length > 100) invalid("A batch logging request can contain at most 1000 metrics and 100 params");
    for (const { key, value } of params) {
      checkName(key);
      if (typeof value !== "string") return invalid("param value must be a string");
      if (value.length > this.paramLength)
        invalid(`Param value '${value.slice(0, 250)}' had length ${value.length}, which exceeded length limit of ${this.paramLength}`);
      if (run.params[key] !== undefined && run.params[key] !== value) invalid(`Changing param values is not allowed. Param ${key}`);
    }
    const stored = metrics.map(({ key, value, timestamp, step }) => {
      checkName(key);
      const words = ["NaN", "Infinity", "-Infinity"];
      if (typeof value !== "number" && !words.includes(String(value))) invalid(`Got invalid value ${String(value)}`);
      return { key: String(key), value: Number(value), timestamp: wholeNumber(timestamp), step: wholeNumber(step) };
    });
    this.#tags(run, body["tags"]);
    for (const { key, value } of params) run.params[key] = String(value);
    run.metrics.push(...stored);
    return {};
  }

  #tags(run: StoredRun, tags: unknown): void {
    for (const { key, value } of (tags ?? []) as { key: string; value: string }[]) {
      checkName(key);
      if (typeof value !== "string" || value.length > 5000) invalid("tag value");
      run.tags[key] = value;
    }
  }

  #run(id: unknown): StoredRun {
    return this.runs.get(String(id)) ?? missing("run");
  }
}

function missing(what: string): never {
  throw new Refusal(404, "RESOURCE_DOES_NOT_EXIST", `no such ${what}`);
}

function wholeNumber(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : invalid(`must be whole, got ${String(value)}`);
}

/** `_validate_metric_name`, with the rule of servers before MLflow 2.11: no colon. */
function checkName(name: unknown): void {
  if (typeof name !== "string" || name === "" || !/^[/\w.\- ]*$/.test(name)) return invalid(`Invalid metric name: '${String(name)}'`);
  const norm = posix.normalize(name).replace(/\/$/, "");
  if (norm !== name || norm === "." || norm.startsWith("..") || norm.startsWith("/")) invalid(`Invalid metric name: '${name}', path`);
  if (name.length > 250) invalid("had length, which exceeded length limit of 250");
}
