/** MLflow's REST API against a server that knows its rules; a server in trouble never ends training, and secrets stay secret. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/errors.js";
import { DPOConfig, type DPOConfigInput, type LogEntry, type TrainerState } from "../../../src/train/index.js";
import { MlflowNames, batches } from "../../../src/train/report/mlflowNames.js";
import { type ReportContext, reporters } from "../../../src/train/report/reporters.js";
import type { TrainerControl, TrainerCallback as Reporter } from "../../../src/train/loop/callbacks.js";
import { FakeMlflow } from "./mlflowServer.js";

/** The loggers do not look at it. */
const CONTROL = {} as TrainerControl;

const root = mkdtempSync(join(tmpdir(), "preflab-mlflow-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let server: FakeMlflow;
let folder = "";
let runs = 0;
let warned: string[] = [];
beforeEach(async () => {
  server = new FakeMlflow();
  await server.start();
  folder = join(root, `run-${runs++}`);
  warned = [];
});
afterEach(() => server.stop());

const PATIENCE = { tries: 3, firstPauseMs: 1, endMs: 5000 };
const at = (global_step: number, max_steps = 3): TrainerState => ({ global_step, max_steps }) as TrainerState;
const entry = (step: number): LogEntry => ({ loss: 1 / step, "rewards/margins": step / 10, epoch: step / 3, step });

function reporter(options: DPOConfigInput = {}, environment: Record<string, string> = {}, more: Partial<ReportContext> = {}): Reporter {
  const args = new DPOConfig({ output_dir: folder, report_to: "mlflow", ...options });
  const context = { environment: { MLFLOW_TRACKING_URI: server.uri, ...environment }, warn: (text: string) => void warned.push(text) };
  return reporters(args, { patience: PATIENCE, ...context, ...more })[0]!;
}

async function train(logger: Reporter, steps: number[] = [1, 2, 3], begin = 0): Promise<void> {
  await logger.on_train_begin!(at(begin), CONTROL);
  for (const step of steps) await logger.on_log!(at(step), entry(step), CONTROL);
  await logger.on_train_end!(at(steps.at(-1) ?? begin), CONTROL);
}

const onlyRun = () => {
  expect(server.runs.size).toBe(1);
  return [...server.runs.values()][0]!;
};
const losses = (): [number, number][] =>
  onlyRun()
    .metrics.filter(({ key }) => key === "loss")
    .map(({ step, value }) => [step, value]);

describe("a run", () => {
  it("has the options as parameters, every value by step, and ends FINISHED", async () => {
    await train(reporter({ run_name: "mine", beta: 0.25 }, {}, { model_config: { hidden_size: 16 } }));
    const run = onlyRun();
    expect(run).toMatchObject({ run_name: "mine", experiment_id: "0", status: "FINISHED" });
    expect(run.end_time).toBeGreaterThan(1.7e12);
    expect(run.tags["mlflow.runName"]).toBe("mine");
    expect(run.params).toMatchObject({ beta: "0.25", loss_type: '["sigmoid"]', output_dir: folder, hidden_size: "16", run_name: "mine" });
    expect(losses()).toEqual([
      [1, 1],
      [2, 1 / 2],
      [3, 1 / 3],
    ]);
    expect(run.metrics.map(({ key }) => key)).not.toContain("step");
    expect(warned).toEqual([]);
  });

  it("is in the experiment MLFLOW_EXPERIMENT_NAME, made when it is missing", async () => {
    await train(reporter({}, { MLFLOW_EXPERIMENT_NAME: "new one" }));
    await train(reporter({}, { MLFLOW_EXPERIMENT_NAME: "new one" }));
    expect([...server.experiments.values()].map(({ name }) => name)).toEqual(["Default", "new one"]);
    expect([...server.runs.values()].map(({ experiment_id }) => experiment_id)).toEqual(["1", "1"]);
  });

  it("ends KILLED when it was stopped early, FAILED when it threw", async () => {
    await train(reporter(), [1]);
    expect(onlyRun().status).toBe("KILLED");
    const stoppedEarly = reporter({}, {}, { interrupted: () => false });
    await train(stoppedEarly, [1]);
    const failing = reporter();
    await failing.on_train_begin!(at(0), CONTROL);
    await failing.on_log!(at(1), entry(1), CONTROL);
    await failing.on_train_failed!(at(1), new Error("loss is NaN"));
    expect([...server.runs.values()].map(({ status }) => status)).toEqual(["KILLED", "FINISHED", "FAILED"]);
    expect([...server.runs.values()].map(({ metrics }) => metrics.length)).toEqual([3, 3, 3]);
  });

  it("an evaluation before and after training is sent too", async () => {
    const logger = reporter();
    await logger.on_log!(at(0), { eval_loss: 2, step: 0 }, CONTROL);
    expect(onlyRun()).toMatchObject({ status: "FINISHED", metrics: [{ key: "eval_loss", value: 2, step: 0 }] });
    await logger.on_train_begin!(at(0), CONTROL);
    await logger.on_log!(at(1), entry(1), CONTROL);
    await expect.poll(() => onlyRun().metrics.length).toBe(4);
    expect(onlyRun().status).toBe("RUNNING");
    await logger.on_train_end!(at(3), CONTROL);
    await logger.on_log!(at(3), { eval_loss: 1, step: 3 }, CONTROL);
    expect(onlyRun().metrics.filter(({ key }) => key === "eval_loss")).toHaveLength(2);
    expect(onlyRun().status).toBe("FINISHED");
  });

  it("that is resumed goes on under the same id; options that changed are a tag", async () => {
    await train(reporter({ seed: 1, beta: 0.25 }), [1]);
    expect(JSON.parse(readFileSync(join(folder, "runs", "mlflow_run.json"), "utf8"))).toEqual({ run_id: "run1", tracking_uri: server.uri });
    await train(reporter({ seed: 1, beta: 0.5, resume_from_checkpoint: "true" }), [2, 3], 1);
    const run = onlyRun();
    expect(run.status).toBe("FINISHED");
    expect(run.params["beta"]).toBe("0.25");
    expect(JSON.parse(run.tags["preflab.resumed_params"]!)).toEqual({ beta: 0.5, resume_from_checkpoint: "true" });
    expect(losses().map(([step]) => step)).toEqual([1, 2, 3]);
    // Started anew in the same folder: another run.
    await train(reporter());
    expect(server.runs.size).toBe(2);
  });

  it("MLFLOW_RUN_ID goes on with that run", async () => {
    await train(reporter({}, { MLFLOW_EXPERIMENT_NAME: "e" }), [1]);
    await train(reporter({ output_dir: `${folder}-other` }, { MLFLOW_RUN_ID: "run1" }), [2, 3], 1);
    expect(losses().map(([step]) => step)).toEqual([1, 2, 3]);
  });
});

describe("what MLflow refuses", () => {
  it("names: other letters become _, paths are straightened, two never become one", async () => {
    const names = new MlflowNames();
    const given = ["rewards/margins", "a(b", "a)b", "/x//y/", "a/../b", "é", "n".repeat(300), "", "a(b"];
    const made = given.map((name) => names.of(name));
    expect(made.map((name) => name.slice(0, 20))).toEqual([
      "rewards/margins",
      "a_b",
      "a_b_2",
      "x/y",
      "a/__/b",
      "_",
      "n".repeat(20),
      "__2",
      "a_b",
    ]);
    const logger = reporter();
    await logger.on_train_begin!(at(0), CONTROL);
    await logger.on_log!(at(1), { ...Object.fromEntries(given.map((name, i) => [name, i])), nan: NaN, inf: -Infinity, step: 1 }, CONTROL);
    await logger.on_train_end!(at(3), CONTROL);
    const values = Object.fromEntries(onlyRun().metrics.map(({ key, value }) => [key, value]));
    expect(values).toMatchObject({ a_b: 8, a_b_2: 2, "x/y": 3, nan: NaN, inf: -Infinity });
    expect(warned).toEqual([]);
  });

  it("values too long for it are cut, at the limit that the server names", async () => {
    server.paramLength = 500;
    await train(reporter({ run_name: "n".repeat(7000) }), []);
    expect(onlyRun().params["run_name"]).toBe("n".repeat(500));
    expect(onlyRun().params["beta"]).toBe("0.1");
    expect(warned).toEqual([]);
  });

  it("more than 1000 metrics, 100 parameters or a megabyte go in several requests", async () => {
    server.trouble.push("hang");
    const model_config = Object.fromEntries(Array.from({ length: 180 }, (_, i) => [`option ${i}`, "é".repeat(5000)]));
    const logger = reporter({}, { MLFLOW_HTTP_REQUEST_TIMEOUT: "0.2" }, { model_config });
    const many = (step: number): LogEntry => ({
      ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`m${i}`, i])),
      step,
    });
    await logger.on_train_begin!(at(0), CONTROL);
    // All wait behind the first request, which hangs.
    for (let step = 1; step <= 70; step++) await logger.on_log!(at(step, 70), many(step), CONTROL);
    await logger.on_train_end!(at(70, 70), CONTROL);
    expect(Object.keys(onlyRun().params).length).toBeGreaterThan(200);
    expect(onlyRun().metrics).toHaveLength(2100);
    expect(onlyRun().metrics.map(({ step }) => step)).toEqual(Array.from({ length: 2100 }, (_, i) => Math.floor(i / 30) + 1));
    expect(batches([1, 2, 3], 2)).toEqual([[1, 2], [3]]);
  });
});

describe("a server in trouble", () => {
  it("429, 503 and silence are tried again, after the pause it asks for", async () => {
    server.trouble.push({ status: 429, headers: { "retry-after": "0.05" } }, "hang");
    await train(reporter({}, { MLFLOW_HTTP_REQUEST_TIMEOUT: "0.2" }));
    expect(losses()).toHaveLength(3);
  });

  it("that comes back gets everything that was logged meanwhile", async () => {
    const logger = reporter();
    await server.stop();
    await logger.on_train_begin!(at(0), CONTROL);
    await logger.on_log!(at(1), entry(1), CONTROL);
    await expect.poll(() => warned.length).toBe(1);
    await logger.on_log!(at(2), entry(2), CONTROL);
    await server.start();
    await logger.on_log!(at(3), entry(3), CONTROL);
    await logger.on_train_end!(at(3), CONTROL);
    expect(losses().map(([step]) => step)).toEqual([1, 2, 3]);
    expect(warned).toEqual([
      `mlflow: ${server.uri} must answer, got ECONNREFUSED; training goes on, entries wait and are sent when it answers`,
    ]);
  });

  it("that stays down loses the entries: told once, and summed up at the end", async () => {
    await server.stop();
    await train(reporter());
    expect(warned).toEqual([
      `mlflow: ${server.uri} must answer, got ECONNREFUSED; training goes on, entries wait and are sent when it answers`,
      `mlflow: 3 log entries were lost; ${server.uri} must answer, got ECONNREFUSED`,
    ]);
  });

  it("that hangs at the end is not waited for longer than endMs", async () => {
    const started = performance.now();
    const logger = reporter({}, {}, { patience: { ...PATIENCE, endMs: 300 } });
    server.trouble.push(...Array.from({ length: 20 }, () => "hang" as const));
    await train(logger);
    expect(performance.now() - started).toBeLessThan(5000);
    expect(warned.at(-1)).toMatch(/^mlflow: 3 log entries were lost; .* must answer, got no answer until the end of training$/);
  });

  it("that refuses the login is not asked again, and no message holds the secret", async () => {
    server.authorization = "Bearer right";
    await train(reporter({}, { MLFLOW_TRACKING_TOKEN: "s3cret-token" }));
    expect(server.requests).toEqual(["POST runs/create"]);
    expect(warned).toEqual([
      `mlflow: ${server.uri} must accept runs/create, got 401 UNAUTHENTICATED: not you: Bearer ***; training goes on, without MLflow`,
      `mlflow: 3 log entries were lost; ${server.uri} must accept runs/create, got 401 UNAUTHENTICATED: not you: Bearer ***`,
    ]);
  });

  it("a deleted experiment is no place for a run", async () => {
    server.experiments.set("7", { experiment_id: "7", name: "old", lifecycle_stage: "deleted" });
    await train(reporter({}, { MLFLOW_EXPERIMENT_NAME: "old" }));
    expect(server.runs.size).toBe(0);
    expect(warned[0]).toBe(
      "mlflow: experiment old must not be deleted; restore it, or set MLFLOW_EXPERIMENT_NAME to another; training goes on, without MLflow",
    );
  });
});

describe("login and address", () => {
  it("name and password go before the token, and may stand in the address", async () => {
    const basic = `Basic ${Buffer.from("ann:p w").toString("base64")}`;
    server.authorization = basic;
    await train(reporter({}, { MLFLOW_TRACKING_USERNAME: "ann", MLFLOW_TRACKING_PASSWORD: "p w", MLFLOW_TRACKING_TOKEN: "t" }), [1]);
    await train(reporter({}, { MLFLOW_TRACKING_URI: server.uri.replace("://", "://ann:p%20w@") }), [1]);
    server.authorization = "Bearer t";
    await train(reporter({}, { MLFLOW_TRACKING_TOKEN: "t" }), [1]);
    expect(server.runs.size).toBe(3);
    expect(warned).toEqual([]);
    expect(readFileSync(join(folder, "runs", "mlflow_run.json"), "utf8")).not.toContain("ann");
  });

  it.each([
    [{ MLFLOW_TRACKING_URI: " " }, "mlflow_uri", 'report_to "mlflow": MLFLOW_TRACKING_URI must be set, got nothing; set it to the server'],
    [
      { MLFLOW_TRACKING_URI: "sqlite:///s3cret" },
      "mlflow_uri",
      "MLFLOW_TRACKING_URI: must be the http or https address of an MLflow server, got an address with sqlite:",
    ],
    [{ MLFLOW_TRACKING_URI: "mlruns s3cret" }, "mlflow_uri", "got text that is no address"],
    [
      { MLFLOW_TRACKING_USERNAME: "s3cret" },
      "mlflow_login",
      "a name and a password must come together, got only MLFLOW_TRACKING_USERNAME; set MLFLOW_TRACKING_PASSWORD too",
    ],
    [{ MLFLOW_TRACKING_TOKEN: "s3cret two" }, "mlflow_login", "MLFLOW_TRACKING_TOKEN: must be one word, got something else (not shown)"],
    [{ MLFLOW_HTTP_REQUEST_TIMEOUT: "soon" }, "mlflow_timeout", 'MLFLOW_HTTP_REQUEST_TIMEOUT: must be seconds > 0, got "soon"'],
  ])("is checked before training: %o", (environment: Record<string, string>, code, message) => {
    const make = (): Reporter => reporter({}, environment);
    expect(make).toThrow(ConfigError);
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error);
    expect(make).not.toThrow(/s3cret/);
  });
});
