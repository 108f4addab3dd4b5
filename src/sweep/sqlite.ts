/** A ledger in one SQLite file. Rules and promises: ledger.ts. All times are SQLite's own clock, so that its users agree. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import Database from "libsql";
import { ConfigError } from "../errors.js";
import type { Claim, ClaimRules, Claimed, EndOf, Ledger, TrialFacts, TrialRecord, TrialState } from "./ledger.js";
import { MAX_ATTEMPTS, lostReason } from "./ledger.js";
import type { Params } from "./space.js";

/** Raised when older files cannot be read as newer ones are. */
const SCHEMA_VERSION = 1;

const NOW = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS study (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, definition TEXT NOT NULL, created_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS trial (
    number INTEGER PRIMARY KEY, params TEXT NOT NULL, state TEXT NOT NULL, value REAL, reason TEXT, attempt INTEGER NOT NULL DEFAULT 0,
    owner TEXT, lease_ms INTEGER, started_ms INTEGER, ended_ms INTEGER, facts TEXT NOT NULL DEFAULT '{}');
  CREATE INDEX IF NOT EXISTS trial_state ON trial (state, number);
  CREATE TABLE IF NOT EXISTS report (trial INTEGER NOT NULL, step INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (trial, step)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS report_step ON report (step);
  CREATE TABLE IF NOT EXISTS rung (rung INTEGER NOT NULL, trial INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (rung, trial)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS rung_value ON rung (rung, value);`;

/** Waits this long for another process's transaction, which takes less than a millisecond. */
const BUSY_MS = 30_000;

/** What stands in a column. */
type Row = Readonly<Record<string, string | number | null>>;

let workers = 0;

/** Names a worker of this process, so that others on this machine can see whether it lives. */
export function workerName(): string {
  return `${hostname()}:${process.pid}:${workers++}`;
}

export class SqliteLedger implements Ledger {
  readonly #path: string;
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  private constructor(db: Database.Database, path: string) {
    this.#db = db;
    this.#path = path;
  }

  get id(): string {
    const { definition, created_ms } = this.#all("SELECT definition, created_ms FROM study")[0]!;
    return createHash("sha256")
      .update(JSON.stringify([resolve(this.#path), definition, created_ms]))
      .digest("hex")
      .slice(0, 16);
  }

  /**
   * Opens a file, or makes it.
   * @param definition JSON of what the study is; an existing file must hold the same
   * @param explain names what differs between the file's definition and the given one; undefined when that makes no difference
   * @throws ConfigError `sweep_changed`, `sweep_file`
   */
  static open(path: string, definition: string, explain: (stored: string) => string | undefined): SqliteLedger {
    mkdirSync(dirname(path), { recursive: true });
    let db: Database.Database | undefined;
    try {
      db = new Database(path, { timeout: BUSY_MS });
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
      db.exec(SCHEMA);
      const ledger = new SqliteLedger(db, path);
      const stored = ledger.#inTransaction(() => {
        ledger.#run(`INSERT OR IGNORE INTO study VALUES (1, ?, ?, ${NOW})`, SCHEMA_VERSION, definition);
        return ledger.#all("SELECT schema, definition FROM study")[0]!;
      });
      if (stored["schema"] !== SCHEMA_VERSION)
        throw new ConfigError(
          "sweep_file",
          `${path}: must be a sweep's file of version ${SCHEMA_VERSION}, got ${stored["schema"]}; use the version of Preflab that wrote it`,
        );
      const difference = explain(stored["definition"] as string);
      if (difference !== undefined)
        throw new ConfigError(
          "sweep_changed",
          `${path}: a sweep that goes on must be the same, got ${difference}; take another output_dir`,
        );
      return ledger;
    } catch (error) {
      db?.close();
      if (error instanceof ConfigError) throw error;
      throw new ConfigError(
        "sweep_file",
        `${path}: must be the SQLite file of a sweep, got ${(error as Error).message}; take another output_dir`,
        {
          cause: error,
        },
      );
    }
  }

  claim({ owner, lease_ms, limit, point }: ClaimRules): Claimed {
    return this.#inTransaction(() => {
      this.#takeBackLost();
      const waiting = this.#all("SELECT number FROM trial WHERE state = 'waiting' ORDER BY number LIMIT 1")[0];
      if (waiting !== undefined) return this.#begin(waiting["number"] as number, owner, lease_ms);
      const next = this.#next();
      if (next < limit) {
        this.#run("INSERT INTO trial (number, params, state) VALUES (?, ?, 'waiting')", next, JSON.stringify(point(next)));
        return this.#begin(next, owner, lease_ms);
      }
      return this.#all("SELECT 1 FROM trial WHERE state = 'running' LIMIT 1").length > 0 ? "wait" : "done";
    });
  }

  enqueue(params: Params): number {
    return this.#inTransaction(() => {
      const next = this.#next();
      this.#run("INSERT INTO trial (number, params, state) VALUES (?, ?, 'waiting')", next, JSON.stringify(params));
      return next;
    });
  }

  claimNumber(number: number, owner: string, lease_ms: number, mostAttempts?: number): Claim | undefined {
    return this.#inTransaction(() => {
      this.#takeBackLost(mostAttempts);
      const free = this.#all("SELECT 1 FROM trial WHERE number = ? AND state = 'waiting'", number).length > 0;
      return free ? this.#begin(number, owner, lease_ms) : undefined;
    });
  }

  plan(limit: number, point: (number: number) => Params): void {
    this.#inTransaction(() => {
      for (let next = this.#next(); next < limit; next++)
        this.#run("INSERT INTO trial (number, params, state) VALUES (?, ?, 'waiting')", next, JSON.stringify(point(next)));
    });
  }

  open(from: number, most: number): { number: number; params: Params }[] {
    // By the key it would walk over all that have ended.
    const query =
      "SELECT number, params FROM trial INDEXED BY trial_state WHERE state IN ('waiting', 'running') AND number >= ? ORDER BY number LIMIT ?";
    // SQLite's number for all of them is -1.
    return this.#all(query, from, most === Infinity ? -1 : most).map((row) => ({
      number: row["number"] as number,
      params: JSON.parse(row["params"] as string) as Params,
    }));
  }

  withdraw(from: number): void {
    const begun = "(SELECT coalesce(max(number), -1) FROM trial WHERE state != 'waiting')";
    this.#run(`DELETE FROM trial WHERE state = 'waiting' AND number >= ? AND number > ${begun}`, from);
  }

  #next(): number {
    return ((this.#all("SELECT max(number) AS last FROM trial")[0]!["last"] as number | null) ?? -1) + 1;
  }

  /** Running trials whose worker is silent, or whose process is known to be gone, wait again; too often, and they have failed. */
  #takeBackLost(mostAttempts = MAX_ATTEMPTS): void {
    for (const row of this.#all(`SELECT number, owner, attempt, lease_ms < ${NOW} AS silent FROM trial WHERE state = 'running'`)) {
      if (row["silent"] === 0 && !isGone(row["owner"] as string)) continue;
      if ((row["attempt"] as number) < mostAttempts)
        this.#run("UPDATE trial SET state = 'waiting', owner = NULL WHERE number = ?", row["number"]);
      else
        this.#run(
          `UPDATE trial SET state = 'fail', owner = NULL, ended_ms = ${NOW}, reason = ? WHERE number = ?`,
          lostReason(mostAttempts),
          row["number"],
        );
    }
  }

  #begin(number: number, owner: string, lease_ms: number): Claim {
    this.#run(
      `UPDATE trial SET state = 'running', owner = ?, attempt = attempt + 1, lease_ms = ${NOW} + ?, started_ms = coalesce(started_ms, ${NOW}) WHERE number = ?`,
      owner,
      lease_ms,
      number,
    );
    const row = this.#all("SELECT params, attempt FROM trial WHERE number = ?", number)[0]!;
    return { number, params: JSON.parse(row["params"] as string) as Params, attempt: row["attempt"] as number, owner };
  }

  beat(claim: Claim, lease_ms: number): boolean {
    return this.#own(claim, `lease_ms = ${NOW} + ?`, lease_ms);
  }

  report(claim: Claim, step: number, value: number): boolean {
    return this.#inTransaction(() => {
      if (!this.#owns(claim)) return false;
      this.#run("INSERT OR REPLACE INTO report VALUES (?, ?, ?)", claim.number, step, value);
      return true;
    });
  }

  forgetReports(claim: Claim): boolean {
    return this.#inTransaction(() => {
      if (!this.#owns(claim)) return false;
      this.#run("DELETE FROM report WHERE trial = ?", claim.number);
      this.#run("DELETE FROM rung WHERE trial = ?", claim.number);
      return true;
    });
  }

  finish(claim: Claim, { state, value, reason, facts }: EndOf): boolean {
    return this.#own(
      claim,
      `state = ?, value = ?, reason = ?, facts = ?, owner = NULL, ended_ms = ${NOW}`,
      state,
      value,
      reason,
      JSON.stringify(facts),
    );
  }

  release(claim: Claim): boolean {
    return this.#own(claim, "state = 'waiting', owner = NULL, attempt = attempt - 1");
  }

  /** Changes a trial, if it still is this worker's. */
  #own({ number, owner, attempt }: Claim, change: string, ...values: (string | number | null)[]): boolean {
    const held = "number = ? AND owner = ? AND attempt = ? AND state = 'running'";
    return this.#run(`UPDATE trial SET ${change} WHERE ${held}`, ...values, number, owner, attempt) === 1;
  }

  #owns({ number, owner, attempt }: Claim): boolean {
    const held = "number = ? AND owner = ? AND attempt = ? AND state = 'running'";
    return this.#all(`SELECT 1 FROM trial WHERE ${held}`, number, owner, attempt).length === 1;
  }

  trials(): TrialRecord[] {
    return this.#all("SELECT * FROM trial ORDER BY number").map(toRecord);
  }

  trial(number: number): TrialRecord | undefined {
    return this.#all("SELECT * FROM trial WHERE number = ?", number).map(toRecord)[0];
  }

  counts(): Record<TrialState, number> {
    const counts: Record<TrialState, number> = { waiting: 0, running: 0, complete: 0, pruned: 0, fail: 0 };
    for (const row of this.#all("SELECT state, count(*) AS trials FROM trial GROUP BY state"))
      counts[row["state"] as TrialState] = row["trials"] as number;
    return counts;
  }

  reports(number: number): [number, number][] {
    return this.#all("SELECT step, value FROM report WHERE trial = ? ORDER BY step", number).map((row) => [
      row["step"] as number,
      row["value"] as number,
    ]);
  }

  rung({ number }: Claim, rung: number, value: number, maximize: boolean): { values: number; better: number } | undefined {
    return this.#inTransaction(() => {
      if (this.#run("INSERT OR IGNORE INTO rung VALUES (?, ?, ?)", rung, number, value) === 0) return undefined;
      const count = (which: string, ...more: number[]): number =>
        this.#all(`SELECT count(*) AS n FROM rung WHERE rung = ? ${which}`, rung, ...more)[0]!["n"] as number;
      return { values: count(""), better: count(`AND value ${maximize ? ">" : "<"} ?`, value) };
    });
  }

  valuesAt(step: number): number[] {
    const query =
      "SELECT report.value AS value FROM report JOIN trial ON trial.number = report.trial WHERE report.step = ? AND trial.state = 'complete'";
    return this.#all(query, step).map((row) => row["value"] as number);
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  /** Immediate: what is read stays true until the end. */
  #inTransaction<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #all(sql: string, ...values: unknown[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  /** @returns how many rows changed */
  #run(sql: string, ...values: unknown[]): number {
    return this.#statement(sql).run(...values).changes;
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

function toRecord(row: Row): TrialRecord {
  return {
    number: row["number"] as number,
    params: JSON.parse(row["params"] as string) as Params,
    state: row["state"] as TrialState,
    value: row["value"] as number | null,
    reason: row["reason"] as string | null,
    attempt: row["attempt"] as number,
    started_ms: row["started_ms"] as number | null,
    ended_ms: row["ended_ms"] as number | null,
    facts: JSON.parse(row["facts"] as string) as TrialFacts,
  };
}

/** Whether a worker's process was on this machine and has ended. Another machine's is known by its silence only. */
function isGone(owner: string): boolean {
  const [host, pid] = owner.split(":");
  if (host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
