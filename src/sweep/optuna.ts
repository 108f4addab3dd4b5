/**
 * A study as Optuna's RDB storage (SQLite): its dashboard shows it, and `optuna.load_study` reads it. Tables and version are those of Optuna
 * 3.2 to 5.0 (schema 12, alembic v3.2.0.a).
 */
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";
import type { JsonValue } from "../config/index.js";
import type { TrialRecord, TrialState } from "./ledger.js";
import { type Dimension, type SearchSpace, holds } from "./space.js";
import type { Goal } from "./study.js";

const TABLES = `
  CREATE TABLE studies (study_id INTEGER NOT NULL PRIMARY KEY, study_name VARCHAR(512) NOT NULL);
  CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
  CREATE TABLE version_info (version_info_id INTEGER NOT NULL PRIMARY KEY CHECK (version_info_id = 1), schema_version INTEGER, library_version VARCHAR(256));
  CREATE TABLE study_directions (study_direction_id INTEGER NOT NULL PRIMARY KEY, direction VARCHAR(8) NOT NULL, study_id INTEGER NOT NULL REFERENCES studies (study_id), objective INTEGER NOT NULL, UNIQUE (study_id, objective));
  CREATE TABLE study_user_attributes (study_user_attribute_id INTEGER NOT NULL PRIMARY KEY, study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
  CREATE TABLE study_system_attributes (study_system_attribute_id INTEGER NOT NULL PRIMARY KEY, study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
  CREATE TABLE trials (trial_id INTEGER NOT NULL PRIMARY KEY, number INTEGER, study_id INTEGER REFERENCES studies (study_id), state VARCHAR(8) NOT NULL, datetime_start DATETIME, datetime_complete DATETIME);
  CREATE INDEX ix_trials_study_id ON trials (study_id);
  CREATE TABLE trial_user_attributes (trial_user_attribute_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
  CREATE TABLE trial_system_attributes (trial_system_attribute_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
  CREATE TABLE trial_params (param_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER REFERENCES trials (trial_id), param_name VARCHAR(512), param_value FLOAT, distribution_json TEXT, UNIQUE (trial_id, param_name));
  CREATE TABLE trial_values (trial_value_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER NOT NULL REFERENCES trials (trial_id), objective INTEGER NOT NULL, value FLOAT, value_type VARCHAR(7) NOT NULL, UNIQUE (trial_id, objective));
  CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER NOT NULL REFERENCES trials (trial_id), step INTEGER NOT NULL, intermediate_value FLOAT, intermediate_value_type VARCHAR(7) NOT NULL, UNIQUE (trial_id, step));
  CREATE TABLE trial_heartbeats (trial_heartbeat_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER NOT NULL UNIQUE REFERENCES trials (trial_id), heartbeat DATETIME NOT NULL);
  CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
  INSERT INTO version_info VALUES (1, 12, '5.0.0');
  INSERT INTO alembic_version VALUES ('v3.2.0.a');`;

const STATES: Readonly<Record<TrialState, string>> = {
  waiting: "WAITING",
  running: "RUNNING",
  complete: "COMPLETE",
  pruned: "PRUNED",
  fail: "FAIL",
};

export interface OptunaExport {
  readonly name: string;
  readonly goal: Goal;
  readonly space: SearchSpace;
  readonly trials: readonly TrialRecord[];
  readonly reports: (number: number) => readonly (readonly [number, number])[];
}

/** Writes a new file; an earlier one of this name is replaced. */
export function exportToOptuna(file: string, { name, goal, space, trials, reports }: OptunaExport): void {
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  const db = new Database(file);
  try {
    db.exec(TABLES);
    db.exec("BEGIN");
    const insert = (table: string, ...values: (string | number | null)[]): void => {
      db.prepare(`INSERT INTO ${table} VALUES (NULL, ${values.map(() => "?").join(", ")})`).run(...values);
    };
    db.prepare("INSERT INTO studies VALUES (1, ?)").run(name);
    insert("study_directions", goal.toUpperCase(), 1, 0);
    const dimensions = distributionsOf(space, trials);
    for (const trial of trials) {
      const id = trial.number + 1;
      db.prepare("INSERT INTO trials VALUES (?, ?, 1, ?, ?, ?)").run(
        id,
        trial.number,
        STATES[trial.state],
        dateTime(trial.started_ms),
        dateTime(trial.ended_ms),
      );
      for (const [param, value] of Object.entries(trial.params)) {
        const dimension = dimensions.get(param)!;
        insert("trial_params", id, param, internalValue(dimension, value), JSON.stringify(distribution(dimension)));
      }
      if (trial.value !== null && trial.state !== "fail") insert("trial_values", id, 0, trial.value, "FINITE");
      for (const [step, value] of reports(trial.number)) insert("trial_intermediate_values", id, step, value, "FINITE");
      if (trial.reason !== null) insert("trial_user_attributes", id, "reason", JSON.stringify(trial.reason));
      for (const [fact, value] of Object.entries(trial.facts))
        if (fact !== "curve") insert("trial_user_attributes", id, fact, JSON.stringify(value));
    }
    db.exec("COMMIT");
  } finally {
    db.close();
  }
}

/** Optuna wants one distribution a name: values from outside the space (of `ask`, or seeds) make it a list of what occurs. */
function distributionsOf({ dimensions }: SearchSpace, trials: readonly TrialRecord[]): Map<string, Dimension> {
  const found = new Map<string, Dimension>();
  for (const name of new Set(trials.flatMap(({ params }) => Object.keys(params)))) {
    const values = trials.flatMap(({ params }) => (name in params ? [params[name]!] : []));
    const own = dimensions.get(name);
    const different = [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
    found.set(name, own !== undefined && values.every((value) => holds(own, value)) ? own : { kind: "choice", values: different });
  }
  return found;
}

function distribution(dimension: Dimension): object {
  if (dimension.kind === "choice") return { name: "CategoricalDistribution", attributes: { choices: dimension.values.map(optunaChoice) } };
  const { kind, low, high } = dimension;
  const log = kind.startsWith("log_");
  if (kind.endsWith("integer")) return { name: "IntDistribution", attributes: { log, step: 1, low, high } };
  return { name: "FloatDistribution", attributes: { step: null, low, high, log } };
}

/** Lists and objects are no choices to Optuna: they go as text. */
function optunaChoice(value: JsonValue): string | number | boolean | null {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : value;
}

/** A category goes by its place. */
function internalValue(dimension: Dimension, value: JsonValue): number {
  if (dimension.kind !== "choice") return value as number;
  return dimension.values.findIndex((own) => JSON.stringify(own) === JSON.stringify(value));
}

/** UTC, as SQLAlchemy writes it. */
function dateTime(ms: number | null): string | null {
  return ms === null ? null : `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")}000`;
}
