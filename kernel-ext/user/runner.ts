/** Runs one cell at a time through tslab's executor and turns what comes out into events. */
import { createRequire } from "node:module";
import type { Executor } from "tslab/dist/executor.js";
import type { Converter } from "tslab/dist/converter.js";
import { ConfigError } from "../../src/errors.js";
import { toMimeBundle, type NotebookHost } from "../../src/notebook/display.js";
import type { ErrorContent, Request } from "../channel.js";
import { CellCompiler } from "./compiler.js";
import { currentCell, forgetContext, runInCell } from "./context.js";
import { sendEvent } from "./events.js";
import { CellResolution } from "./resolution.js";
import { CellInterrupted, cellFileName, Tracebacks } from "./traceback.js";

const require = createRequire(import.meta.url);

type Assist = Extract<Request, { type: "complete" | "inspect" | "is_complete" }>;

/** How long a cell that listens to the interrupt signal may take to stop by itself: a training step of a large model is long. */
const INTERRUPT_GRACE_MS = 60_000;

interface RunningCell {
  id: string;
  abort: AbortController;
  /** Makes the cell end with this error, whatever its code still does. */
  end: (error: unknown) => void;
  /** The last expression, once the executor has handed it over. */
  value?: unknown;
  /** The error that the executor caught. */
  thrown?: { error: unknown };
  /** Promises that were rejected while nobody listened. */
  unheard: Map<Promise<unknown>, unknown>;
  pending: Set<Promise<unknown>>;
  signalUsed: boolean;
}

export class CellRunner {
  readonly #compiler: CellCompiler;
  readonly #executor: Executor;
  readonly #tracebacks = new Tracebacks();
  readonly #inputs = new Map<string, { resolve: (value: string) => void; reject: (error: Error) => void }>();
  #running: RunningCell | undefined;
  #file = cellFileName(0);
  #nextInput = 0;

  constructor(compiling: (busy: boolean) => void) {
    const cwd = process.cwd();
    const resolution = new CellResolution(cwd);
    resolution.installRuntimeHook();
    this.#compiler = new CellCompiler(resolution, compiling);
    const { createExecutor } = require("tslab/dist/executor.js") as typeof import("tslab/dist/executor.js");
    const node = Object.assign(Object.create(this.#compiler.converter) as Converter, {
      convert: (prevDecl: string, source: string) => this.#compile(prevDecl, source),
    });
    const converters = {
      node,
      get browser(): Converter {
        throw new ConfigError("browser_cell", "@browser: cells run in Node.js, got a cell marked @browser; show HTML with display instead");
      },
      close: () => this.#compiler.close(),
    };
    this.#executor = createExecutor(cwd, converters, {
      log: (value: unknown) => {
        if (this.#running?.id === currentCell()) this.#running.value = value;
      },
      error: (...message: unknown[]) => {
        // More than one argument: a formatted diagnostic of an @module cell. One: what the cell threw.
        if (message.length > 1) console.error(...message);
        else if (this.#running?.id === currentCell()) this.#running.thrown = { error: message[0] };
      },
    });
  }

  #compile(prevDecl: string, source: string): ReturnType<Converter["convert"]> {
    const compiled = this.#compiler.compile(prevDecl, source);
    if (compiled.output !== undefined) {
      this.#tracebacks.add(this.#file, source, compiled);
      compiled.output = `${compiled.output}\n//# sourceURL=${this.#file}`;
    }
    return compiled;
  }

  /** Runs a cell. Its outputs are sent as they come; returned is what made it fail, if it failed. */
  async execute(request: Extract<Request, { type: "execute" }>): Promise<ErrorContent | undefined> {
    this.#file = cellFileName(request.execution_count);
    let end: (error: unknown) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    ended.catch(() => undefined);
    const stop = (error: unknown): void => {
      end(error);
      // tslab's executor must let go too, or it would hand over the value of this cell while the next one runs.
      this.#executor.interrupt();
    };
    const cell: RunningCell = {
      id: request.cell,
      abort: new AbortController(),
      end: stop,
      unheard: new Map(),
      pending: new Set(),
      signalUsed: false,
    };
    this.#running = cell;
    try {
      return await runInCell(request.cell, async () => {
        try {
          await Promise.race([this.#run(request.code, cell), ended]);
          return undefined;
        } catch (error) {
          return this.#tracebacks.describe(error, this.#file, request.code);
        }
      });
    } finally {
      this.#running = undefined;
    }
  }

  async #run(code: string, cell: RunningCell): Promise<void> {
    // A turn of its own: when the watchdog cuts off a loop, every frame of the turn dies without a word, and that must not include our caller's.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#executor.execute(code);
    if (cell.thrown !== undefined) throw cell.thrown.error;
    while (cell.pending.size > 0) await Promise.all(cell.pending);
    // Node reports a rejection that nobody handles after the microtasks of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    for (const reason of cell.unheard.values()) throw reason;
    if (cell.value !== undefined && cell.value !== null) {
      const data = await toMimeBundle(cell.value);
      sendEvent({ type: "result", cell: cell.id, data, metadata: {} });
    }
  }

  /** The user pressed stop, and the main thread is free to hear it. Pressed again: end the cell at once. */
  interrupt(): void {
    const cell = this.#running;
    if (cell === undefined) return;
    const error = new CellInterrupted();
    for (const asked of this.#inputs.values()) asked.reject(error);
    this.#inputs.clear();
    const again = cell.abort.signal.aborted;
    cell.abort.abort(error);
    if (cell.signalUsed && !again) setTimeout(() => cell.end(error), INTERRUPT_GRACE_MS).unref();
    else cell.end(error);
  }

  /** The watchdog has cut off the JavaScript that blocked the main thread: its promises will never settle. */
  abandon(): void {
    forgetContext();
    this.#running?.abort.abort(new CellInterrupted());
    this.#running?.end(new CellInterrupted());
  }

  rejected(reason: unknown, promise: Promise<unknown>): void {
    if (reason instanceof CellInterrupted) return;
    if (this.#running !== undefined) this.#running.unheard.set(promise, reason);
    else this.#reportLate("Unhandled rejection", reason);
  }

  handled(promise: Promise<unknown>): void {
    this.#running?.unheard.delete(promise);
  }

  failed(error: unknown): void {
    if (this.#running !== undefined && currentCell() === this.#running.id) this.#running.end(error);
    else this.#reportLate("Uncaught error", error);
  }

  #reportLate(what: string, error: unknown): void {
    const { traceback } = this.#tracebacks.describe(error, this.#file, "");
    sendEvent({
      type: "stream",
      cell: currentCell(),
      name: "stderr",
      text: `${what} after the cell had ended:\n${traceback.join("\n")}\n`,
    });
  }

  assist(request: Assist): Record<string, unknown> {
    if (request.type === "is_complete") {
      const { isCompleteCode } = require("tslab/dist/converter.js") as typeof import("tslab/dist/converter.js");
      const { completed, indent } = isCompleteCode(request.code);
      return completed ? { status: "complete" } : { status: "incomplete", indent: indent ?? "" };
    }
    if (request.type === "complete") {
      const found = this.#executor.complete(request.code, request.position);
      return { matches: found.candidates, start: found.start, end: found.end };
    }
    const { printQuickInfo } = require("tslab/dist/inspect.js") as { printQuickInfo: (info: unknown) => string };
    const info: unknown = this.#executor.inspect(request.code, request.position);
    return info === undefined || info === null ? { found: false, text: "" } : { found: true, text: printQuickInfo(info) };
  }

  answer(reply: Extract<Request, { type: "input_reply" }>): void {
    const asked = this.#inputs.get(reply.request);
    this.#inputs.delete(reply.request);
    if (reply.error === undefined) asked?.resolve(reply.value ?? "");
    else asked?.reject(new ConfigError("input_unavailable", reply.error));
  }

  readonly host: NotebookHost = {
    display: (data, { display_id, update }) =>
      sendEvent({ type: "display", cell: currentCell(), data, metadata: {}, update, ...(display_id === undefined ? {} : { display_id }) }),
    clearOutput: (wait) => sendEvent({ type: "clear_output", cell: currentCell(), wait }),
    input: (prompt, password) =>
      new Promise((resolve, reject) => {
        const request = `input-${this.#nextInput++}`;
        this.#inputs.set(request, { resolve, reject });
        sendEvent({ type: "input_request", cell: currentCell(), request, prompt, password });
      }),
    waitFor: (work) => {
      const cell = this.#running;
      if (cell === undefined || cell.id !== currentCell()) return;
      cell.pending.add(work);
      const forget = (): void => void cell.pending.delete(work);
      work.then(forget, forget);
    },
    interruptSignal: () => {
      const cell = this.#running;
      if (cell === undefined) return new AbortController().signal;
      cell.signalUsed = true;
      return cell.abort.signal;
    },
  };
}
