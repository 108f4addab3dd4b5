/** Runs one cell at a time through tslab's executor and turns what comes out into events. */
import { createRequire } from "node:module";
import type { Executor } from "tslab/dist/executor.js";
import type { Converter } from "tslab/dist/converter.js";
import { ConfigError } from "../../src/errors.js";
import { toMimeBundle, type NotebookHost } from "../../src/notebook/display.js";
import type { CellEnd, Request } from "../channel.js";
import { CellAssistance, type Assist } from "./assistance.js";
import { Comms } from "./comms.js";
import { CellCompiler } from "./compiler.js";
import { currentCell, forgetContext, runInCell } from "./context.js";
import { sendEvent } from "./events.js";
import { AsyncModuleNeeded, CellResolution } from "./resolution.js";
import { CellInterrupted, cellFileName, Tracebacks } from "./traceback.js";

const require = createRequire(import.meta.url);

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
  readonly #resolution: CellResolution;
  readonly #compiler: CellCompiler;
  readonly #executor: Executor;
  readonly #tracebacks = new Tracebacks();
  readonly #inputs = new Map<string, { resolve: (value: string) => void; reject: (error: Error) => void }>();
  #running: RunningCell | undefined;
  #file = cellFileName(0);
  #nextInput = 0;
  readonly #assistance: CellAssistance;
  readonly #declared: (declarations: string) => void;
  /** Declarations that the cells so far have left, and those of the last compilation. */
  #declarations = "";
  #compiledDeclarations = "";

  /**
   * @param compiling told when compilation begins and ends
   * @param declared told what later cells will see, after each cell
   */
  constructor(compiling: (busy: boolean) => void, declared: (declarations: string) => void) {
    this.#declared = declared;
    const cwd = process.cwd();
    this.#resolution = new CellResolution(cwd);
    this.#resolution.installRuntimeHook();
    this.#compiler = new CellCompiler(this.#resolution, compiling);
    this.#assistance = new CellAssistance(this.#compiler.converter);
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
    this.#compiledDeclarations = compiled.declOutput ?? "";
    if (compiled.output !== undefined) {
      this.#tracebacks.add(this.#file, source, compiled);
      compiled.output = `${compiled.output}\n//# sourceURL=${this.#file}`;
    }
    return compiled;
  }

  /** Runs a cell. Its outputs are sent as they come; returned is what made it fail, or the values of the user expressions. */
  async execute(request: Extract<Request, { type: "execute" }>): Promise<CellEnd> {
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
        } catch (error) {
          return { error: this.#tracebacks.describe(error, this.#file, request.code) };
        }
        return { user_expressions: await this.#evaluate(request.user_expressions, cell, ended) };
      });
    } finally {
      this.#running = undefined;
    }
  }

  async #run(code: string, cell: RunningCell): Promise<void> {
    // A turn of its own: when the watchdog cuts off a loop, every frame of the turn dies without a word, and that must not include our caller's.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#execute(code, cell);
    this.#declarations = this.#compiledDeclarations;
    this.#declared(this.#declarations);
    while (cell.pending.size > 0) await Promise.all(cell.pending);
    // Node reports a rejection that nobody handles after the microtasks of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    for (const reason of cell.unheard.values()) throw reason;
    if (cell.value !== undefined && cell.value !== null) {
      const data = await toMimeBundle(cell.value);
      sendEvent({ type: "result", cell: cell.id, data, metadata: {} });
    }
  }

  /** Runs the code; again from its start when a module must be loaded first: imports come before everything else in a cell. */
  async #execute(code: string, cell: RunningCell): Promise<void> {
    for (;;) {
      await this.#executor.execute(code);
      if (cell.thrown === undefined) return;
      const { error } = cell.thrown;
      const { asyncModules } = this.#resolution;
      if (!(error instanceof AsyncModuleNeeded) || asyncModules.has(error.file)) throw error;
      await this.#resolution.loadAsync(error.file);
      cell.thrown = undefined;
    }
  }

  /** Each expression is a cell of its own, whose failure is only its own. */
  async #evaluate(expressions: Record<string, string>, cell: RunningCell, ended: Promise<never>): Promise<Record<string, unknown>> {
    const values: Record<string, unknown> = {};
    for (const [name, expression] of Object.entries(expressions)) {
      this.#file = `user_expression[${name.replace(/[^\w.-]/g, "_")}].ts`;
      cell.value = undefined;
      cell.thrown = undefined;
      try {
        await Promise.race([this.#executor.execute(`(${expression}\n)`), ended]);
        if (cell.thrown !== undefined) throw (cell.thrown as { error: unknown }).error;
        values[name] = { status: "ok", data: await toMimeBundle(cell.value), metadata: {} };
      } catch (error) {
        values[name] = { status: "error", ...this.#tracebacks.describe(error, this.#file, `(${expression}\n)`) };
      }
    }
    return values;
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
  abandon(inListener: boolean): void {
    forgetContext();
    if (inListener) this.#reportLate("The listener of a comm was stopped", new CellInterrupted());
    this.#running?.abort.abort(new CellInterrupted());
    this.#running?.end(new CellInterrupted());
  }

  rejected(reason: unknown, promise: Promise<unknown>): void {
    if (reason instanceof CellInterrupted) return;
    if (this.#running !== undefined) this.#running.unheard.set(promise, reason);
    else this.#reportLate("Unhandled rejection after the cell had ended", reason);
  }

  handled(promise: Promise<unknown>): void {
    this.#running?.unheard.delete(promise);
  }

  failed(error: unknown): void {
    if (this.#running !== undefined && currentCell() === this.#running.id) this.#running.end(error);
    else this.#reportLate("Uncaught error after the cell had ended", error);
  }

  #reportLate(what: string, error: unknown): void {
    const { traceback } = this.#tracebacks.describe(error, this.#file, "");
    sendEvent({ type: "stream", cell: currentCell(), name: "stderr", text: `${what}:\n${traceback.join("\n")}\n` });
  }

  assist(request: Assist): Record<string, unknown> {
    return this.#compiler.guard(() => this.#assistance.answer(request, this.#declarations));
  }

  answer(reply: Extract<Request, { type: "input_reply" }>): void {
    const asked = this.#inputs.get(reply.request);
    this.#inputs.delete(reply.request);
    if (reply.error === undefined) asked?.resolve(reply.value ?? "");
    else asked?.reject(new ConfigError("input_unavailable", reply.error));
  }

  readonly comms = new Comms((what, error) => this.#reportLate(what, error));

  readonly host: NotebookHost = {
    comms: this.comms,
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
