/** The sweep: one call, one ranked table. */
import { join } from "node:path";
import type { JsonObject, JsonValue } from "../config/index.js";
import type { Dataset } from "../data/index.js";
import { ConfigError, EngineError } from "../errors.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import { cardWriter, copyBest } from "./bestModel.js";
import { type Objective, type SweepEngine, type TrialProgress, localEngine } from "./engine.js";
import { LiveView, kernelHost } from "./live.js";
import { dataOf, keepsAll, trainingRuns, trialFolder } from "./materials.js";
import { splitOptions } from "./methods.js";
import { type SweepPlan, writePlan } from "./plan.js";
import { type PrunerInput, createPruner } from "./pruner.js";
import { SweepResult } from "./result.js";
import { type Sampler, gridSampler, haltonSampler, randomSampler, withSeeds } from "./sampler.js";
import { type DimensionInput, type SearchSpace, dimensionJson } from "./space.js";
import { SqliteLedger } from "./sqlite.js";
import { type Goal, Study } from "./study.js";
import { type SweepFileInput, type SweepValues, methodOf, readBudget, readDimensions, readSweepOptions } from "./sweepOptions.js";
import { type TrainingPlan, forgetWeights } from "./training.js";

/** The study's file in a sweep's folder. */
export const STUDY_FILE = "study.sqlite";
const TABLE_FILE = "results.csv";

/** What `sweep` takes: the options of a sweep file, and what only code can give. */
export interface SweepInput extends Omit<SweepFileInput, "data" | "grid" | "space" | "budget" | "pruner" | "options"> {
  /** A file, folder or Hub id, or data sets; without `eval` trials are judged by the training log. */
  data?: string | Dataset | { readonly train: Dataset; readonly eval?: Dataset };
  grid?: Readonly<Record<string, JsonValue | readonly JsonValue[]>>;
  space?: Readonly<Record<string, DimensionInput>>;
  budget?: { readonly trials?: number; readonly seconds?: number };
  pruner?: PrunerInput;
  /** Of the trainer and of LoRA, the same in all trials. */
  options?: Readonly<Record<string, unknown>>;
  /** Instead of base, data, method and options: a trial is a call of this function, and its value what it returns. */
  objective?: Objective;
  /** Ends the sweep: the running trial goes back, for the next start. */
  signal?: AbortSignal;
  /** Trials at once; only with `objective`. Default 1. */
  concurrency?: number;
  /** Show what happens; default true. */
  progress?: boolean;
  /** Who runs the trials; default this process. `bullmqEngine`, `slurmEngine` */
  engine?: SweepEngine;
  /** Called when a trial that runs on another machine begins or reports. */
  on_progress?: (event: TrialProgress) => void;
}

/** A sweep that was opened and has not run. */
export interface OpenSweep {
  readonly study: Study;
  readonly values: SweepValues;
  readonly space: SearchSpace;
  readonly metric: string;
  /** Runs a trial. */
  readonly objective: Objective;
  /** Trials of the whole sweep. */
  readonly planned: number;
  /** Writes down what workers on other machines need. @throws ConfigError `sweep_engine` where that cannot be written */
  plan(): Promise<SweepPlan>;
  /** The present table. */
  result(): SweepResult;
  /** Copies the best trial's model to its folder, writes the table, and frees everything. @param failed nothing is copied then */
  close(failed?: boolean): Promise<SweepResult>;
}

/**
 * Tries settings and ranks them. Trials end one by one into `output_dir`/study.sqlite: started again with the same options, a sweep goes on
 * where it was, and several processes started on one folder share the trials. One trial's error ends that trial, with its reason in the table.
 * @throws ConfigError for wrong options before any trial; `sweep_changed` when the folder holds another sweep
 * @throws EngineError `interrupted` when `signal`, or the interrupt button of a notebook, has ended it
 */
export async function sweep(input: SweepInput): Promise<SweepResult> {
  const { progress = true, concurrency = 1, engine = localEngine } = input;
  if (concurrency !== 1 && input.objective === undefined)
    throw new ConfigError(
      "sweep_option",
      `sweep: concurrency must be 1 for trainings, which use all cores, got ${concurrency}; start a second process on the same output_dir`,
    );
  const open = await openSweep(input);
  const signals = [input.signal, kernelHost()?.interruptSignal()].filter((signal) => signal !== undefined);
  const signal = AbortSignal.any(signals);
  const view = new LiveView(() => open.result(), open.planned);
  let failed = true;
  try {
    const { seconds } = readBudget(open.values.budget, "sweep");
    await engine.run(open.study, open.objective, {
      signal,
      seconds,
      concurrency,
      plan: () => open.plan(),
      ...(input.on_progress === undefined ? {} : { onProgress: input.on_progress }),
      onTrialEnd: async (trial) => {
        // A worker elsewhere cannot know whether its trial leads.
        if (engine.away === true && input.objective === undefined && !keepsAll(open.values) && open.study.best?.number !== trial.number)
          await forgetWeights(trialFolder(open.values.output_dir, trial.number));
        if (!progress) return;
        // Reading all trials for every line would be slow for very many short ones.
        const few = trial.number < 10_000;
        view.trialEnded(trial, open.study.ledger.trial(trial.number), few ? open.study.best : undefined, open.metric);
      },
    });
    if (progress) view.draw(true);
    failed = false;
  } finally {
    if (failed) await open.close(true);
  }
  const result = await open.close();
  if (signal.aborted) {
    const { output_dir } = open.values;
    throw new EngineError("interrupted", `sweep: stopped; ${output_dir} holds what is done, and the same call goes on from there`);
  }
  return result;
}

/** Opens or goes on with a sweep, without running it: for `ask` and `tell`, and for looking at one. @throws as `sweep` */
export async function openSweep(input: SweepInput, where = "sweep"): Promise<OpenSweep> {
  const {
    objective,
    signal: _signal,
    concurrency: _concurrency,
    progress: _progress,
    engine: _engine,
    on_progress: _listener,
    data,
    pruner,
    ...plain
  } = input;
  const written = {
    ...plain,
    ...(typeof data === "string" ? { data } : {}),
    ...(pruner === undefined ? {} : { pruner: prunerJson(pruner) }),
  };
  const values = await readSweepOptions({ ...written, options: jsonOf(plain.options ?? {}) }, where);
  const space = readDimensions(values, where);
  const method = methodOf(values.method);
  if (objective === undefined) requireKnown(values, space, where);
  const sets = objective === undefined ? await dataOf(values, data, where) : undefined;
  const metric =
    objective === undefined
      ? (values.metric ?? (sets!.eval === undefined ? method.metric : `eval_${method.metric}`))
      : (values.metric ?? "value");
  const goal: Goal = values.goal ?? (/loss|perplexity/.test(metric) ? "minimize" : "maximize");
  const sampler = samplerOf(values, space, where);
  const trials = trialsOf(values, sampler, where);
  const definition = {
    ...(objective === undefined
      ? { base: values.base, quantization: values.quantization, method: values.method, data: sets!.record }
      : { objective: true }),
    ...{ dimensions: [...space.dimensions].map(([name, dimension]) => [name, dimensionJson(dimension)]), sampler: values.sampler },
    ...{ seed: values.seed, seeds: values.seeds, options: values.options, peft: values.peft, metric, goal, pruner: values.pruner },
  };
  const database = join(values.output_dir, STUDY_FILE);
  const ledger = SqliteLedger.open(database, JSON.stringify(definition), (stored) =>
    difference(JSON.parse(stored) as JsonObject, definition),
  );
  try {
    const study = new Study({
      ...{ ledger, sampler, goal, trials, lease_ms: values.lease_seconds * 1000 },
      pruner: values.pruner === null ? undefined : createPruner(values.pruner as never, ledger, goal === "maximize"),
    });
    const folder = (number: number): string => trialFolder(values.output_dir, number);
    const options = { ...values.options, ...plain.options };
    const onComplete: TrainingPlan["onComplete"] = async (trial, trainer, value) => {
      const { best } = study;
      const leads = best === undefined || study.isBetter(value, best.value!) || (value === best.value && trial.number < best.number);
      if (!leads && !keepsAll(values)) return;
      await trainer.save_model();
      await cardWriter()?.trial(trainer);
    };
    const runs = objective === undefined ? await trainingRuns(values, sets!, options, metric, onComplete) : undefined;
    const planned = Math.min(trials, sampler.size);
    const result = (best_dir?: string): SweepResult => {
      const all = ledger.trials();
      return new SweepResult({
        ...{ metric, goal, trials: all, planned, severalSeeds: (values.seeds?.length ?? 0) > 1, database, best_dir },
        reports: new Map(all.length > REPORTED ? [] : all.map(({ number }) => [number, ledger.reports(number)])),
        definition: objective === undefined && (data === undefined || typeof data === "string") ? writtenDefinition(values) : undefined,
      });
    };
    const close = async (failed = false): Promise<SweepResult> => {
      try {
        await runs?.dispose();
        let best_dir: string | undefined;
        const found = result();
        if (!failed && runs !== undefined && found.best !== undefined) {
          best_dir = join(values.output_dir, "best");
          await copyBest(folder(found.best.number), best_dir, found);
        }
        if (!failed && runs !== undefined && values.keep === "best") {
          for (const { number, state } of found.trials)
            if (state !== "running" && state !== "waiting" && number !== found.best?.number) await forgetWeights(folder(number));
        }
        if (!failed) await writeFileAtomic(join(values.output_dir, TABLE_FILE), found.to_csv());
        return result(best_dir);
      } finally {
        study.close();
      }
    };
    const run: Objective = runs === undefined ? objective! : async (trial, signal) => runs.run(trial, signal);
    const plan = (): Promise<SweepPlan> => {
      if (objective === undefined) requireWritten(data, plain.options ?? {}, where);
      return writePlan({ id: ledger.id, values, metric, rows: sets?.record });
    };
    return { study, values, space, metric, objective: run, planned, plan, result: () => result(), close };
  } catch (error) {
    ledger.close();
    throw error;
  }
}

/** Above so many trials the curves are left out. */
const REPORTED = 5000;

/** Workers elsewhere read files; they have no part in this process's values. */
function requireWritten(data: SweepInput["data"], options: Readonly<Record<string, unknown>>, where: string): void {
  const called = Object.keys(options).find((name) => typeof options[name] === "function");
  if (called === undefined && (data === undefined || typeof data === "string")) return;
  throw new ConfigError(
    "sweep_engine",
    `${where}: ${called ?? "data"} must be something that can be written down for workers on other machines, got ${called === undefined ? "rows in memory" : "a function"}; take the local engine${called === undefined ? ", or save the rows to a file" : ""}`,
  );
}

function requireKnown(values: SweepValues, space: SearchSpace, where: string): void {
  if (values.base === null) throw new ConfigError("option_missing", `${where}: base must be given; the model that every trial starts from`);
  const method = methodOf(values.method);
  splitOptions(method, values.options, where);
  splitOptions(method, Object.fromEntries([...space.dimensions.keys()].map((name) => [name, null])), where);
  const twice = [...space.dimensions.keys()].find((name) => name in values.options || (name === "seed" && values.seeds !== null));
  if (twice !== undefined)
    throw new ConfigError(
      "sweep_option",
      `${where}: ${twice} must be varied or fixed, got both; take it out of ${twice === "seed" && values.seeds !== null ? "seeds" : "options"}`,
    );
}

function samplerOf(values: SweepValues, space: SearchSpace, where: string): Sampler {
  const name = values.sampler ?? (values.grid !== null ? "grid" : "halton");
  if (name === "grid" && values.space !== null)
    throw new ConfigError("sweep_space", `${where}: sampler grid needs grid, got space; give lists under grid`);
  const sampler =
    name === "grid" ? gridSampler(space) : name === "random" ? randomSampler(space, values.seed) : haltonSampler(space, values.seed);
  return values.seeds === null ? sampler : withSeeds(sampler, values.seeds);
}

function trialsOf(values: SweepValues, sampler: Sampler, where: string): number {
  const { trials, seconds } = readBudget(values.budget, where);
  if (trials === undefined && seconds === undefined && sampler.size === Infinity)
    throw new ConfigError(
      "sweep_budget",
      `${where}: budget must say where a search without end ends, got none; give budget: { trials: 20 }`,
    );
  return trials ?? Infinity;
}

/** The first thing in which two definitions differ, in words. */
function difference(stored: JsonObject, now: Readonly<Record<string, unknown>>): string | undefined {
  const name = [...new Set([...Object.keys(stored), ...Object.keys(now)])].find(
    (key) => JSON.stringify(stored[key]) !== JSON.stringify(now[key]),
  );
  return name === undefined ? undefined : `another ${name}: ${JSON.stringify(now[name])} instead of ${JSON.stringify(stored[name])}`;
}

function writtenDefinition(values: SweepValues): Record<string, JsonValue> {
  const defaults = {
    output_dir: "runs/sweep",
    train_split: "train",
    test_split: "test",
    keep: "best",
    seed: 42,
    lease_seconds: 60,
  } as Record<string, unknown>;
  const empty = (value: unknown): boolean => value === null || JSON.stringify(value) === "{}";
  const given = Object.entries(values).filter(
    ([name, value]) => !empty(value) && value !== defaults[name] && name !== "students" && name !== "extends",
  );
  return Object.fromEntries(given) as Record<string, JsonValue>;
}

function prunerJson(pruner: PrunerInput): JsonObject {
  return typeof pruner === "string" ? { type: pruner } : { ...pruner };
}

/** Functions go by their name, as in a saved config. */
function jsonOf(options: Readonly<Record<string, unknown>>): JsonObject {
  return Object.fromEntries(
    Object.entries(options)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [
        name,
        typeof value === "function" ? `function ${value.name === "" ? "(anonymous)" : value.name}` : (value as JsonValue),
      ]),
  );
}
