/** Runs a notebook from top to bottom, headless, through a real Jupyter kernel. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError, EngineError } from "../errors.js";
import { KernelClient, type KernelCommand } from "./client.js";
import { readNotebook, writeNotebook, type CodeCell, type Notebook } from "./nbformat.js";
import { OutputCollector } from "./outputs.js";
import { hasTag, injectParameters, type Parameters } from "./parameters.js";
import type { Message } from "./wire.js";

export type RunProgress =
  | { type: "cell_start"; /** Counts code cells from 1. */ number: number; total: number; title: string }
  | { type: "stream"; name: "stdout" | "stderr"; text: string }
  | { type: "cell_end"; number: number; total: number; seconds: number; ok: boolean };

export interface RunNotebookOptions {
  /** Values for names declared in the cell tagged `parameters`. */
  parameters?: Parameters;
  /** Where to write the executed notebook: after every cell, so that a killed run leaves what it had. Default: not written. */
  output?: string;
  onProgress?: (event: RunProgress) => void;
  /** argv of the kernel with `{connection_file}`. Default: Preflab's own kernel. */
  kernel?: KernelCommand;
  /** Working directory of the cells. Default: the notebook's folder. */
  cwd?: string;
  /** Longest time for one cell, in milliseconds; then it is interrupted and counts as failed. Default: no limit. */
  timeoutMs?: number;
  env?: Record<string, string>;
  /** Stops the run: the running cell is interrupted, what has been done is written. */
  signal?: AbortSignal;
}

export interface FailedCell {
  /** Position among all cells, from 0. */
  index: number;
  id: string;
  source: string;
  ename: string;
  evalue: string;
  traceback: string[];
}

export interface RunNotebookResult {
  ok: boolean;
  /** The executed notebook; cells after a failed one have no outputs and no execution_count. */
  notebook: Notebook;
  failed?: FailedCell;
  executed: number;
  seconds: number;
}

/** Time for an interrupted cell to end before its kernel is killed. */
const INTERRUPT_GRACE_MS = 20_000;

/** The command of Preflab's own kernel, as in a kernelspec. @throws ConfigError when the package has not been built */
export function defaultKernelCommand(): string[] {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (!existsSync(file) || (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name !== "preflab") continue;
    const script = join(folder, "dist", "kernel-ext", "main.js");
    if (existsSync(script)) return [process.execPath, script, "{connection_file}"];
    throw new ConfigError("kernel_missing", `kernel: must be built, got no ${script}; run \`npm run build\``);
  }
  throw new ConfigError("kernel_missing", "kernel: must lie in the preflab package, got no such package; reinstall preflab");
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
 * Runs every code cell in order and stops at the first error. Cells tagged `raises-exception` may fail; cells tagged
 * `skip-execution` are left out.
 * @throws ConfigError for wrong parameters, DataError for a broken file, EngineError when the kernel cannot be started
 */
export async function runNotebook(path: string, options: RunNotebookOptions = {}): Promise<RunNotebookResult> {
  const started = performance.now();
  const notebook = injectParameters(await readNotebook(path), options.parameters ?? {});
  const code = notebook.cells.flatMap((cell, index) =>
    cell.cell_type === "code" && cell.source.trim() !== "" && !hasTag(cell, "skip-execution") ? [{ cell, index }] : [],
  );
  for (const cell of notebook.cells) if (cell.cell_type === "code") Object.assign(cell, { outputs: [], execution_count: null });
  const client = await KernelClient.start({
    command: options.kernel ?? defaultKernelCommand(),
    cwd: options.cwd ?? dirname(resolve(path)),
    ...(options.env === undefined ? {} : { env: options.env }),
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
  const save = async (): Promise<void> => {
    if (options.output !== undefined) await writeNotebook(options.output, notebook);
  };

  let failed: FailedCell | undefined;
  let executed = 0;
  try {
    const info = await client.request("shell", "kernel_info_request", {}, { timeoutMs: INTERRUPT_GRACE_MS });
    // Answered when cells can run, so that a time limit does not count the kernel's start.
    await client.request("shell", "is_complete_request", { code: "1" });
    notebook.metadata = { ...notebook.metadata, language_info: (info.content.language_info ?? {}) as Record<string, unknown> };
    for (const [at, { cell, index }] of code.entries()) {
      const place = { number: at + 1, total: code.length };
      progress({ type: "cell_start", ...place, title: title(cell.source) });
      const cellStarted = performance.now();
      const error = await runCell(client, collector, cell, options);
      executed++;
      const tolerated = error === undefined || (hasTag(cell, "raises-exception") && options.signal?.aborted !== true);
      progress({ type: "cell_end", ...place, seconds: (performance.now() - cellStarted) / 1000, ok: tolerated });
      if (!tolerated) {
        failed = { index, id: cell.id, source: cell.source, ...error };
        break;
      }
      await save();
    }
  } finally {
    await client.shutdown();
    stopListening();
    process.removeListener("exit", killKernel);
    await save();
  }
  return {
    ok: failed === undefined,
    notebook,
    ...(failed === undefined ? {} : { failed }),
    executed,
    seconds: (performance.now() - started) / 1000,
  };
}

type CellError = Pick<FailedCell, "ename" | "evalue" | "traceback">;

async function runCell(
  client: KernelClient,
  collector: OutputCollector,
  cell: CodeCell,
  options: RunNotebookOptions,
): Promise<CellError | undefined> {
  let timedOut = false;
  let giveUp: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    if (giveUp !== undefined) return;
    giveUp = setTimeout(() => client.killNow(), INTERRUPT_GRACE_MS);
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
  if (!timedOut || error === undefined) return error;
  const evalue = `the cell must end within ${options.timeoutMs} ms, and was interrupted`;
  const recorded = { ename: "CellTimeout", evalue, traceback: [`CellTimeout: ${evalue}`, ...error.traceback] };
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
