/**
 * Showing values in a notebook. A kernel and this library meet at two symbols, so that neither has to import the other:
 *   - `Symbol.for("Jupyter.display")` on a value: a method that returns the value's MIME bundle (Deno and nodejs-polars use the same);
 *   - `Symbol.for("preflab.notebookHost")` on globalThis: what the running kernel offers to the library, absent in a plain program.
 */
import { inspect } from "node:util";
import type { CommHost } from "../app/comms.js";
import { ConfigError } from "../errors.js";
import { type FrameLike, frameKind, showFrame } from "./frames.js";
import { checkBundle, displaySymbol, type Displayable, type MimeBundle } from "./mime.js";
import { describeTensor, isTensor } from "./tensors.js";

const hostSymbol = Symbol.for("preflab.notebookHost");

/** What a kernel offers to code in its cells. */
export interface NotebookHost {
  display(data: MimeBundle, options: { display_id?: string; update: boolean }): void;
  clearOutput(wait: boolean): void;
  /** Asks the user for one line. Rejects when the front end cannot ask. */
  input(prompt: string, password: boolean): Promise<string>;
  /** The cell does not end before this promise has settled. */
  waitFor(work: Promise<unknown>): void;
  /** Aborted when the user interrupts the running cell. Long work should stop at its next safe point and reject. */
  interruptSignal(): AbortSignal;
  /** Channels to the front end. */
  comms: CommHost;
}

/** The kernel that runs this code, or undefined in a plain program. */
export function notebookHost(): NotebookHost | undefined {
  return (globalThis as { [hostSymbol]?: NotebookHost })[hostSymbol];
}

export function setNotebookHost(host: NotebookHost | undefined): void {
  (globalThis as { [hostSymbol]?: NotebookHost | undefined })[hostSymbol] = host;
}

/**
 * The MIME bundle of any value: its own `Jupyter.display`, a table for danfojs frames and series, shape, summary and first values for
 * TensorFlow.js tensors, and `util.inspect` for the rest. Returns a promise only where the value itself needs one.
 * @throws ConfigError when `Jupyter.display` returns no MIME bundle
 */
export function toMimeBundle(value: unknown): MimeBundle | Promise<MimeBundle> {
  if ((typeof value === "object" && value !== null) || typeof value === "function") {
    const display = (value as Partial<Displayable>)[displaySymbol];
    if (typeof display === "function") {
      const bundle = display.call(value as Displayable);
      return bundle instanceof Promise ? bundle.then(checkBundle) : checkBundle(bundle);
    }
    const kind = frameKind(value);
    if (kind !== undefined) return showFrame(value as FrameLike, kind);
    if (isTensor(value)) return describeTensor(value);
  }
  return { "text/plain": inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 }) };
}

/** A place in the output of a cell that can be filled again. */
export interface DisplayHandle {
  display_id: string;
  update(value: unknown): Promise<void>;
}

let nextDisplay = 0;

/**
 * Shows a value in the running cell, before the cell ends. In a plain program it prints the value's plain text.
 * @param options.display_id names the place; showing it again with `update` from the handle replaces it. Default: a new name
 */
export function display(value: unknown, options: { display_id?: string } = {}): Promise<DisplayHandle> {
  const host = notebookHost();
  const display_id = options.display_id ?? `preflab-${process.pid}-${nextDisplay++}`;
  const show = async (shown: unknown, update: boolean): Promise<void> => {
    const made = toMimeBundle(shown);
    const bundle = made instanceof Promise ? await made : made;
    if (host === undefined) {
      const text = bundle["text/plain"];
      process.stdout.write(`${typeof text === "string" ? text : Object.keys(bundle).join(", ")}\n`);
    } else {
      host.display(bundle, { display_id, update });
    }
  };
  const track = (work: Promise<void>): Promise<void> => {
    host?.waitFor(work);
    return work;
  };
  return track(show(value, false)).then(() => ({ display_id, update: (next) => track(show(next, true)) }));
}

/** Removes what the running cell has shown; with `wait`, only when the next output comes. */
export function clear_output(options: { wait?: boolean } = {}): void {
  notebookHost()?.clearOutput(options.wait ?? false);
}

/** Asks the reader of the notebook for one line of text. @throws ConfigError outside a notebook or where the front end cannot ask */
export function input(prompt = "", options: { password?: boolean } = {}): Promise<string> {
  const host = notebookHost();
  if (host === undefined)
    return Promise.reject(
      new ConfigError("input_unavailable", "input: must run in a notebook cell, got a plain program; read process.stdin instead"),
    );
  return host.input(prompt, options.password ?? false);
}
