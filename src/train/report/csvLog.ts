import { appendFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { ConfigError } from "../../errors.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import { csvLine } from "../../text/csvLine.js";
import type { LogEntry, TrainerState } from "../loop/trainerState.js";
import { FileReporter } from "./fileReporter.js";

export const CSV_NAME = "log.csv";

/** Cells by column; an absent one is an empty cell. */
type CsvRow = ReadonlyMap<string, string>;

/**
 * Writes `log.csv` (RFC 4180): one row a log entry, `step` and `epoch` first, further columns as they come. A new column rewrites
 * the file, in one piece; other rows are appended. A resumed run goes on in it; a run that starts anew replaces it.
 */
export class CsvReporter extends FileReporter {
  readonly #file: string;
  #columns: string[] = [];
  /** Rows of earlier processes, and of this one. */
  #old: CsvRow[] = [];
  #own: CsvRow[] = [];
  #torn = false;

  constructor(folder: string, resuming: boolean, warn: (text: string) => void) {
    super("csv", folder, resuming, warn);
    this.#file = join(folder, CSV_NAME);
  }

  protected async open(): Promise<void> {
    this.#old = await readLog(this.#file);
    this.#columns = columnsOf(this.#old);
    // Ends in a whole row, whatever a killed process has left.
    if (this.#old.length > 0) await this.#rewrite();
  }

  protected async begin(_state: TrainerState, keptStep: number | undefined): Promise<void> {
    this.#old = keptStep === undefined ? [] : this.#old.filter((row) => Number(row.get("step")) <= keptStep);
    this.#columns = columnsOf([...this.#old, ...this.#own]);
    await this.#rewrite();
  }

  protected async write(entry: LogEntry): Promise<void> {
    const { step, epoch, ...values } = entry;
    const cells = Object.entries({ step, epoch, ...values }).filter(([, value]) => value !== undefined);
    const row: CsvRow = new Map(cells.map(([name, value]) => [name, String(value)]));
    const fresh = [...row.keys()].filter((name) => !this.#columns.includes(name));
    this.#columns.push(...fresh);
    this.#own.push(row);
    // A write that fails may leave a part of a row: the next one starts over.
    const whole = this.#torn || fresh.length > 0;
    this.#torn = true;
    try {
      if (whole) await this.#rewrite();
      else await appendFile(this.#file, this.#line(row));
      this.#torn = false;
    } finally {
      if (this.#torn) this.#own.pop();
    }
  }

  async #rewrite(): Promise<void> {
    if (this.#columns.length === 0) return rm(this.#file, { force: true });
    const rows = [...this.#old, ...this.#own].map((row) => this.#line(row));
    await writeFileAtomic(this.#file, csvLine(this.#columns) + rows.join(""));
  }

  #line(row: CsvRow): string {
    return csvLine(this.#columns.map((name) => row.get(name) ?? ""));
  }
}

function columnsOf(rows: readonly CsvRow[]): string[] {
  return [...new Set(rows.flatMap((row) => [...row.keys()]))];
}

/** The rows of an earlier process; its last line may be cut. @throws ConfigError `logging_dir` if the file is another's */
async function readLog(file: string): Promise<CsvRow[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole === "") return [];
  const refuse = (got: string, cause?: unknown): never => {
    throw new ConfigError("logging_dir", `logging_dir: ${file} must be a log of an earlier run, got ${got}; move it away`, { cause });
  };
  let rows: Record<string, string>[] = [];
  try {
    rows = parse(whole, { columns: true });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    refuse(error.message, error);
  }
  if (!/^"?step"?[,\r\n]/.test(whole)) refuse(`the header ${JSON.stringify(whole.slice(0, 60))}`);
  return rows.map((row) => new Map(Object.entries(row).filter(([, cell]) => cell !== "")));
}
