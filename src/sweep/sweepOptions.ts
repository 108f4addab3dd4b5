/** What a sweep is made of, as a file, a cell or a command line says it. */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { type JsonObject, type JsonValue, type OptionInput, type OptionValues, defineOptions, loadOptionFile } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { METHODS } from "./methods.js";
import { SAMPLERS } from "./sampler.js";
import { type Dimension, type SearchSpace, readGrid, readSpace } from "./space.js";

export const SWEEP_OPTIONS = defineOptions("Sweep", {
  extends: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "An instructor's sweep file: what it does not leave to students stays as it is there",
  },
  base: {
    ...{ type: "string", default: null, nullable: true, aliases: ["model_name_or_path"], placeholder: "DIR_OR_HUB_ID" },
    help: "The model that every trial starts from",
  },
  quantization: { type: "json", default: null, nullable: true, help: 'Options of BitsAndBytesConfig, e.g. {"load_in_4bit": true}' },
  data: {
    ...{ type: "string", default: null, nullable: true, aliases: ["dataset_name"], placeholder: "FILE_OR_DIR_OR_HUB_ID" },
    help: "Rows to train on and to judge by",
  },
  dataset_config: { type: "string", default: null, nullable: true, help: "Configuration of a Hub data set that has several" },
  train_split: { type: "string", default: "train", help: 'Split to train on; "train[:100]" is its first 100 rows' },
  test_split: {
    type: "string",
    default: "test",
    nullable: true,
    help: "Split to judge trials by; null: none, trials are judged by the training log",
  },
  method: { type: "string", default: "dpo", choices: ["sft", "dpo", "kto", "cpo", "orpo"], help: "How trials are trained" },
  options: { type: "json", default: {}, help: "Options of the trainer and of LoRA that are the same in all trials, by their own names" },
  peft: { type: "boolean", default: null, nullable: true, help: "Train an adapter; null: when options or dimensions name one of LoRA's" },
  grid: { type: "json", default: null, nullable: true, help: "Values of each option that is varied: every combination is tried" },
  space: {
    ...{ type: "json", default: null, nullable: true },
    help: 'What is drawn for each option that is varied: a list, or {"log_uniform": [a, b]}, {"uniform": …}, {"integer": …}, {"log_integer": …}',
  },
  sampler: {
    type: "string",
    default: null,
    nullable: true,
    choices: SAMPLERS,
    help: "How settings are chosen; null: grid for a grid, halton for a space",
  },
  seed: { type: "integer", default: 42, min: 0, help: "Of the sampler" },
  seeds: {
    type: "integer",
    list: true,
    default: null,
    nullable: true,
    min: 0,
    help: "Train each setting once with each of these seeds; settings are ranked by the mean",
  },
  metric: {
    type: "string",
    default: null,
    nullable: true,
    help: "The logged value that decides, e.g. eval_loss; null: the method's usual one",
  },
  goal: {
    type: "string",
    default: null,
    nullable: true,
    choices: ["minimize", "maximize"],
    help: "null: minimize a loss or perplexity, maximize anything else",
  },
  budget: {
    type: "json",
    default: {},
    help: 'Where the sweep ends: {"trials": 12, "seconds": 3600}; a grid needs none. More can be given when it is started again',
  },
  pruner: {
    type: "json",
    default: null,
    nullable: true,
    help: 'Ends poor trials early: {"type": "asha"} or {"type": "median"}, with options; needs eval_strategy, or a metric of the training log',
  },
  keep: { type: "string", default: "best", choices: ["best", "all"], help: "Whose weights stay on disk" },
  output_dir: {
    type: "string",
    default: "runs/sweep",
    placeholder: "DIR",
    help: "Trials, the table, the best model, and the file study.sqlite by which a sweep goes on",
  },
  lease_seconds: {
    type: "number",
    default: 60,
    exclusiveMin: 0,
    unit: "s",
    help: "A process that is silent for so long loses its trial to another",
  },
  students: {
    ...{ type: "json", default: null, nullable: true },
    help: 'For instructors: what a file that extends this one may vary, e.g. {"learning_rate": {"min": 1e-6, "max": 1e-2}, "beta": [0.1, 0.5], "r": true, "trials": 24}',
  },
});

export type SweepValues = OptionValues<(typeof SWEEP_OPTIONS)["entries"]>;
export type SweepFileInput = OptionInput<(typeof SWEEP_OPTIONS)["entries"]>;

/** What a student's file may say beside dimensions. */
const OPEN = ["extends", "grid", "space", "sampler", "budget", "output_dir"];

/**
 * Checks a sweep's options, and merges those of the file that it extends.
 * @param where the file, or "sweep", for errors @param folder that `extends` starts from
 * @throws ConfigError `sweep_fixed` for what the instructor has not left open
 */
export async function readSweepOptions(input: Readonly<Record<string, unknown>>, where: string, folder = "."): Promise<SweepValues> {
  const given = SWEEP_OPTIONS.resolve(input, { where });
  if (given.extends === null) return given;
  const path = isAbsolute(given.extends) ? given.extends : join(folder, given.extends);
  if (!existsSync(path)) throw new ConfigError("config_file", `${where}: extends must be a sweep file, got ${path}, which does not exist`);
  const instructor = SWEEP_OPTIONS.resolve(await loadOptionFile(path), { where: path });
  const { students } = instructor;
  if (students === null || instructor.extends !== null)
    throw new ConfigError(
      "sweep_fixed",
      `${where}: extends must be an instructor's file, got ${path} without students; add what they may vary`,
    );
  for (const name of Object.keys(input)) {
    if (input[name] === undefined || OPEN.includes(SWEEP_OPTIONS.canonicalName(name) ?? name)) continue;
    throw new ConfigError(
      "sweep_fixed",
      `${where}: ${name} is fixed by ${path}, got ${JSON.stringify(input[name])}; may be set: ${OPEN.join(", ")}`,
    );
  }
  const own = given.grid ?? given.space ?? {};
  requireOpen(given.grid !== null ? readGrid(own, where) : readSpace(own as never, where), students, where, path);
  requireTrials(given.budget, students, where);
  const fixed = instructor.grid ?? instructor.space ?? {};
  const toSpace = given.space !== null || (given.grid === null && instructor.space !== null);
  const dimensions = { ...fixed, ...own };
  return {
    ...instructor,
    ...Object.fromEntries(OPEN.filter((name) => input[name] !== undefined).map((name) => [name, given[name as keyof SweepValues]])),
    grid: toSpace ? null : dimensions,
    space: toSpace ? dimensions : null,
  };
}

/** Every dimension must be one of the students', and within what is allowed. */
export function requireOpen(space: SearchSpace, students: JsonObject, where: string, path: string): void {
  for (const [name, dimension] of space.dimensions) {
    const open = students[name];
    const names = Object.keys(students).filter((known) => known !== "trials");
    if (open === undefined || open === false)
      throw new ConfigError("sweep_fixed", `${where}: ${name} is fixed by ${path}; may be varied: ${names.join(", ")}`);
    const outside = valuesOutside(dimension, open);
    if (outside !== undefined)
      throw new ConfigError("sweep_fixed", `${where}: ${name} must be ${describeOpen(open)} by ${path}, got ${JSON.stringify(outside)}`);
  }
}

function valuesOutside(dimension: Dimension, open: JsonValue): JsonValue | undefined {
  if (open === true) return undefined;
  const values = dimension.kind === "choice" ? dimension.values : [dimension.low, dimension.high];
  if (Array.isArray(open)) {
    if (dimension.kind !== "choice") return { [dimension.kind]: [dimension.low, dimension.high] };
    return values.find((value) => !open.some((allowed) => JSON.stringify(allowed) === JSON.stringify(value)));
  }
  const { min = -Infinity, max = Infinity } = open as { min?: number; max?: number };
  return values.find((value) => typeof value !== "number" || value < min || value > max);
}

function describeOpen(open: JsonValue): string {
  if (Array.isArray(open)) return `one of ${open.map((value) => JSON.stringify(value)).join(", ")}`;
  const { min, max } = open as { min?: number; max?: number };
  return [min === undefined ? "" : `>= ${min}`, max === undefined ? "" : `<= ${max}`].filter((part) => part !== "").join(" and ");
}

function requireTrials(budget: JsonObject, students: JsonObject, where: string): void {
  const most = students["trials"];
  const { trials } = budget;
  if (typeof most === "number" && typeof trials === "number" && trials > most)
    throw new ConfigError("sweep_fixed", `${where}: budget.trials must be <= ${most}, got ${trials}`);
}

/** @throws ConfigError `sweep_file` for a file that is no sweep */
export async function readSweepFile(path: string, flags: Readonly<Record<string, unknown>> = {}): Promise<SweepValues> {
  return readSweepOptions({ ...(await loadOptionFile(path)), ...flags }, path, dirname(path));
}

/** @throws ConfigError `sweep_budget` */
export function readBudget(budget: JsonObject, where: string): { trials: number | undefined; seconds: number | undefined } {
  const unknown = Object.keys(budget).find((name) => name !== "trials" && name !== "seconds");
  const { trials, seconds } = budget;
  const fine = (value: JsonValue | undefined, whole: boolean): boolean =>
    value === undefined || (typeof value === "number" && value > 0 && (!whole || Number.isInteger(value)));
  if (unknown !== undefined || !fine(trials, true) || !fine(seconds, false))
    throw new ConfigError(
      "sweep_budget",
      `${where}: budget must be { trials, seconds } with numbers above 0, got ${JSON.stringify(budget)}`,
    );
  return { trials: trials as number | undefined, seconds: seconds as number | undefined };
}

/** A sweep's dimensions; every name must be an option of the method or of LoRA. */
export function readDimensions({ grid, space, sampler }: SweepValues, where: string): SearchSpace {
  if ((grid === null) === (space === null))
    throw new ConfigError("sweep_space", `${where}: one of grid and space must be given, got ${grid === null ? "none" : "both"}`);
  if (grid !== null && (sampler === null || sampler === "grid")) return readGrid(grid, where);
  return readSpace((space ?? grid) as never, where);
}

export const methodOf = (name: SweepValues["method"]) => METHODS[name];
