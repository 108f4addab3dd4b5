/** Runs a notebook from top to bottom, headless, through a real Jupyter kernel. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ConfigError, EngineError } from "../errors.js";
import { KernelClient, type KernelCommand } from "./client.js";
import { readNotebook, writeNotebook, type CodeCell, type Notebook } from "./nbformat.js";
import { OutputCollector } from "./outputs.js";
import { ownPackageRoot } from "./packageRoot.js";
import { hasTag, injectParameters, type Parameters } from "./parameters.js";
import { killDescendants, watchMemory } from "./processTree.js";
import { recordRun } from "./runRecord.js";
import type { Message } from "./wire.js";

export type RunProgress =
  | { type: "cell_start"; /** Counts code cells from 1. */ number: number; total: number; title: string }
  | { type: "stream"; name: "stdout" | "stderr"; text: string }
  | { type: "cell_end"; number: number; total: number; seconds: number; ok: boolean };

export interface RunCellsOptions {
  onProgress?: (event: RunProgress) => void;
  /** argv of the kernel with `{connection_file}`. Default: Preflab's own kernel. */
  kernel?: KernelCommand;
  /** Longest time until the kernel answers. Default 60,000. */
  startTimeoutMs?: number;
  /** Longest time for one cell, in milliseconds; then it is interrupted and counts as failed. Default: no limit. */
  timeoutMs?: number;
  /** How long an interrupted cell may take to end before its processes are killed. Default 20,000. */
  graceMs?: number;
  /** Longest time for all cells together; then the processes are killed at once. Default: no limit. */
  totalTimeoutMs?: number;
  /** Most memory, in bytes, that the process of the cells and what it starts may hold; beyond it they are killed. Default: no limit. */
  memoryLimitBytes?: number;
  /** After a failed cell: `stop`, or `continue` with the next as long as the variables are there. Default `stop`. */
  onError?: "stop" | "continue";
  env?: Record<string, string>;
  /** Stops the run: the running cell is interrupted, what has been done is written. */
  signal?: AbortSignal;
  /** Called after every cell. */
  onSave?: (notebook: Notebook) => Promise<void>;
}

export interface RunNotebookOptions extends Omit<RunCellsOptions, "onSave"> {
  /** Values for names declared in the cell tagged `parameters`. */
  parameters?: Parameters;
  /** Values for names of the run itself, like the notebook's path; the notebook need not declare them. */
  runParameters?: Parameters;
  /** Where to write the executed notebook: after every cell, so that a killed run leaves what it had. Default: not written. */
  output?: string;
  /** Working directory of the cells. Default: the notebook's folder. */
  cwd?: string;
  /** Changes the notebook before it is run, after the parameters are in. */
  prepare?: (notebook: Notebook) => Notebook;
}

export interface CellError {
  ename: string;
  evalue: string;
  traceback: string[];
}

export interface FailedCell extends CellError {
  /** Position among all cells, from 0. */
  index: number;
  id: string;
  source: string;
}

/** What became of one code cell. */
export interface CellOutcome {
  /** Position among all cells, from 0. */
  index: number;
  id: string;
  /** First line of the cell that says something. */
  title: string;
  seconds: number;
  error?: CellError;
  /** It failed, and may: it is tagged `raises-exception`. */
  tolerated: boolean;
}

export interface RunNotebookResult {
  ok: boolean;
  /** The executed notebook; cells after a failed one have no outputs and no execution_count. */
  notebook: Notebook;
  /** The first failed cell. */
  failed?: FailedCell;
  /** The cells that were run, in order. */
  cells: CellOutcome[];
  executed: number;
  seconds: number;
}

/** Time for an interrupted cell to end before its kernel is killed. */
const INTERRUPT_GRACE_MS = 20_000;
/** Time for the kernel to say that its cell's process was killed, before it is killed itself. */
const KILL_GRACE_MS = 5_000;

/** The command of Preflab's own kernel, as in a kernelspec. @throws ConfigError when the package has not been built */
export function defaultKernelCommand(): string[] {
  const script = join(ownPackageRoot(), "dist", "kernel-ext", "main.js");
  if (existsSync(script)) return [process.execPath, script, "{connection_file}"];
  throw new ConfigError("kernel_missing", `kernel: must be built, got no ${script}; run \`npm run build\``);
}

const TITLE_LENGTH = 90;

/** First line of a cell that says something. */
function title(source: string): string {
  const line =
    source
      .split("\n")
      .find((text) => text.trim() !== "")
      ?.trim() ?? "";
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1)}…` : line;
}

/**
 * Runs every code cell of a notebook file in order and stops at the first error, unless told to continue. Cells tagged
 * `raises-exception` may fail; cells tagged `skip-execution` are left out.
 * @throws ConfigError for wrong parameters, DataError for a broken file, EngineError when the kernel cannot be started
 */
export async function runNotebook(path: string, options: RunNotebookOptions = {}): Promise<RunNotebookResult> {
  const injected = injectParameters(await readNotebook(path), options.parameters ?? {}, options.runParameters);
  const notebook = options.prepare === undefined ? injected : options.prepare(injected);
  const { output } = options;
  return runCells(notebook, options.cwd ?? dirname(resolve(path)), {
    ...options,
    ...(output === undefined ? {} : { onSave: (present) => writeNotebook(output, present) }),
  });
}

/** As `runNotebook`, for a notebook in memory, which is changed: outputs and counts are put into its cells. @param cwd of the cells */
export async function runCells(notebook: Notebook, cwd: string, options: RunCellsOptions = {}): Promise<RunNotebookResult> {
  const started = performance.now();
  const code = notebook.cells.flatMap((cell, index) =>
    cell.cell_type === "code" && cell.source.trim() !== "" && !hasTag(cell, "skip-execution") ? [{ cell, index }] : [],
  );
  for (const cell of notebook.cells) if (cell.cell_type === "code") Object.assign(cell, { outputs: [], execution_count: null });
  const client = await KernelClient.start({
    command: options.kernel ?? defaultKernelCommand(),
    cwd,
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.startTimeoutMs === undefined ? {} : { startTimeoutMs: options.startTimeoutMs }),
  });
  const killKernel = (): void => client.killNow();
  process.once("exit", killKernel);

  const collector = new OutputCollector();
  const progress = options.onProgress ?? ((): void => undefined);
  const stopListening = client.listen((message, channel) => {
    if (channel !== "iopub") return;
    collector.take(message);
    if (message.header.msg_type === "stream")
      progress({ type: "stream", name: message.content.name as "stdout", text: String(message.content.text) });
  });
  const save = async (): Promise<void> => options.onSave?.(notebook);

  let failed: FailedCell | undefined;
  const cells: CellOutcome[] = [];
  const limits = new RunLimits(client, options);
  try {
    const info = await client.request("shell", "kernel_info_request", {}, { timeoutMs: INTERRUPT_GRACE_MS });
    // Answered when cells can run, so that a time limit does not count the kernel's start.
    await client.request("shell", "is_complete_request", { code: "1" });
    notebook.metadata = { ...notebook.metadata, language_info: (info.content.language_info ?? {}) as Record<string, unknown> };
    limits.begin();
    for (const [at, { cell, index }] of code.entries()) {
      const place = { number: at + 1, total: code.length };
      progress({ type: "cell_start", ...place, title: title(cell.source) });
      const cellStarted = performance.now();
      const error = await runCell(client, collector, cell, options, limits);
      const tolerated = error !== undefined && hasTag(cell, "raises-exception") && options.signal?.aborted !== true && !isLoss(error);
      const seconds = (performance.now() - cellStarted) / 1000;
      progress({ type: "cell_end", ...place, seconds, ok: error === undefined || tolerated });
      cells.push({ index, id: cell.id, title: title(cell.source), seconds, tolerated, ...(error === undefined ? {} : { error }) });
      if (error !== undefined && !tolerated) {
        failed ??= { index, id: cell.id, source: cell.source, ...error };
        if (options.onError !== "continue" || options.signal?.aborted === true || isLoss(error)) break;
      }
      await save();
    }
  } finally {
    limits.end();
    await client.shutdown();
    recordRun(notebook, cells);
    stopListening();
    process.removeListener("exit", killKernel);
    await save();
  }
  return {
    ok: failed === undefined,
    notebook,
    ...(failed === undefined ? {} : { failed }),
    cells,
    executed: cells.length,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Errors after which the variables of earlier cells are gone. */
function isLoss(error: CellError): boolean {
  return ["KernelDied", "ProcessDied", "InterruptedStateLost", "MemoryLimit", "RunTimeout"].includes(error.ename) || lostBehind(error);
}

/** A time limit hides the error that ended the cell in the traceback. */
function lostBehind(error: CellError): boolean {
  return error.ename === "CellTimeout" && error.traceback.some((line) => /^(KernelDied|ProcessDied|InterruptedStateLost)/.test(line));
}

/** Kills the cells' processes when all cells together take too long, or too much memory. */
class RunLimits {
  readonly #client: KernelClient;
  readonly #options: RunCellsOptions;
  #timer: NodeJS.Timeout | undefined;
  #memory: { stop: () => void } | undefined;
  /** Why the processes were killed. */
  exceeded: CellError | undefined;

  constructor(client: KernelClient, options: RunCellsOptions) {
    this.#client = client;
    this.#options = options;
  }

  begin(): void {
    const { pid } = this.#client.process;
    const { totalTimeoutMs, memoryLimitBytes } = this.#options;
    if (pid === undefined) return;
    if (totalTimeoutMs !== undefined)
      this.#timer = setTimeout(() => {
        this.#exceed("RunTimeout", `all cells together must end within ${totalTimeoutMs} ms, and were ended`);
        void killDescendants(pid);
        setTimeout(() => this.#client.killNow(), KILL_GRACE_MS).unref();
      }, totalTimeoutMs);
    if (memoryLimitBytes !== undefined)
      this.#memory = watchMemory(pid, memoryLimitBytes, (bytes) =>
        this.#exceed(
          "MemoryLimit",
          `the cells must hold at most ${mebibytes(memoryLimitBytes)} MiB, got ${mebibytes(bytes)} MiB, and were ended`,
        ),
      );
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#memory?.stop();
  }

  #exceed(ename: string, evalue: string): void {
    this.exceeded ??= { ename, evalue, traceback: [`${ename}: ${evalue}`] };
  }
}

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

async function runCell(
  client: KernelClient,
  collector: OutputCollector,
  cell: CodeCell,
  options: RunCellsOptions,
  limits: RunLimits,
): Promise<CellError | undefined> {
  let timedOut = false;
  let giveUp: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    if (giveUp !== undefined) return;
    giveUp = setTimeout(() => client.killNow(), options.graceMs ?? INTERRUPT_GRACE_MS);
    client.interrupt().catch(() => client.killNow());
  };
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          interrupt();
        }, options.timeoutMs);
  options.signal?.addEventListener("abort", interrupt);
  if (options.signal?.aborted === true) interrupt();
  let error: CellError | undefined;
  try {
    const reply = await client.execute(cell.source, (msg_id) => collector.begin(msg_id, cell));
    if (typeof reply.content.execution_count === "number") cell.execution_count = reply.content.execution_count;
    error = errorOf(reply);
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    error = { ename: "KernelDied", evalue: cause.message, traceback: [`KernelDied: ${cause.message}`] };
    cell.outputs.push({ output_type: "error", ...error });
  } finally {
    clearTimeout(timer);
    clearTimeout(giveUp);
    options.signal?.removeEventListener("abort", interrupt);
  }
  if (error === undefined) return undefined;
  const evalue = `the cell must end within ${options.timeoutMs} ms, and was interrupted`;
  const known = limits.exceeded ?? (timedOut ? { ename: "CellTimeout", evalue, traceback: [`CellTimeout: ${evalue}`] } : undefined);
  if (known === undefined) return error;
  const recorded = { ...known, traceback: [...known.traceback, ...error.traceback] };
  cell.outputs = [...cell.outputs.filter((output) => output.output_type !== "error"), { output_type: "error", ...recorded }];
  return recorded;
}

function errorOf(reply: Message): CellError | undefined {
  const { content } = reply;
  if (content.status === "ok") return undefined;
  const ename = String(content.ename ?? content.status);
  return {
    ename,
    evalue: String(content.evalue ?? "the kernel did not run the cell"),
    traceback: Array.isArray(content.traceback) ? (content.traceback as string[]) : [ename],
  };
}

/** Prints progress for people: number, first line of the cell, what it prints, seconds. */
export function terminalProgress(write: (text: string) => void = (text) => void process.stdout.write(text)): (event: RunProgress) => void {
  let fresh = true;
  const line = (text: string): void => {
    write(`${fresh ? "" : "\n"}${text}\n`);
    fresh = true;
  };
  return (event) => {
    if (event.type === "cell_start") line(`[${event.number}/${event.total}] ${event.title}`);
    else if (event.type === "cell_end")
      line(`[${event.number}/${event.total}] ${event.ok ? "done" : "FAILED"} in ${event.seconds.toFixed(1)} s`);
    else {
      const indented = event.text.replace(/\n(?!$)/g, "\n    ");
      write(fresh ? `    ${indented}` : indented);
      fresh = event.text.endsWith("\n");
    }
  };
}
