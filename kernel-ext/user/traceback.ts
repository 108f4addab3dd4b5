/** Errors as Jupyter shows them: name, value, and a traceback that points at lines of the cell, not of compiled code. */
import { inspect } from "node:util";
import { PreflabError } from "../../src/errors.js";
import type { ErrorContent } from "../channel.js";
import { CellCompileError, type CompiledCell, type PositionMap } from "./compiler.js";

/** Raised into a cell that the user stopped. */
export class CellInterrupted extends Error {
  override readonly name = "Interrupted";
  constructor() {
    super("the cell was stopped by the interrupt button; variables are kept");
    this.stack = `${this.name}: ${this.message}`; // the frames would be ours, not the cell's
  }
}

/** Messages of this package read `where: rule, got value; what to do`. */
const ADVICE = /; ([^;]+)$/s;

interface KnownCell {
  source: string;
  position: PositionMap;
  /** Lines of compiled code; tslab's wrapper calls the cell on the line after. */
  compiledLines: number;
}

/** Length of `(async function(exports, require) { `, which tslab puts before the first line of the compiled cell. */
const WRAPPER_COLUMNS = { async: "(async function(exports, require) { ".length, sync: "(function(exports, require) { ".length };

export function cellFileName(execution_count: number): string {
  return `cell[${execution_count}].ts`;
}

function codeFrame(source: string, line: number, column: number, length = 1): string[] {
  const lines = source.split("\n");
  const frame: string[] = [];
  const width = String(Math.min(lines.length, line + 2)).length;
  for (let number = Math.max(0, line - 1); number <= Math.min(lines.length - 1, line + 1); number++) {
    const text = lines[number]!;
    frame.push(`${number === line ? "> " : "  "}${String(number + 1).padStart(width)} | ${text}`);
    if (number === line)
      frame.push(
        `  ${" ".repeat(width)} | ${text.slice(0, column).replace(/[^\t]/g, " ")}${"^".repeat(Math.max(1, Math.min(length, text.length - column)))}`,
      );
  }
  return frame;
}

export class Tracebacks {
  readonly #cells = new Map<string, KnownCell>();

  /** Remembers how to read stack frames of a compiled cell. */
  add(file: string, source: string, compiled: CompiledCell): void {
    const { position, output = "", hasToplevelAwait: isAsync } = compiled;
    const shift = isAsync ? WRAPPER_COLUMNS.async : WRAPPER_COLUMNS.sync;
    this.#cells.set(file, {
      source,
      position: (line, column) => position(line, line === 0 ? Math.max(0, column - shift) : column),
      compiledLines: output.split("\n").length,
    });
  }

  describe(error: unknown, file: string, source: string): ErrorContent {
    if (error instanceof CellCompileError) return this.#describeDiagnostics(error, file, source);
    if (!(error instanceof Error)) {
      const evalue = typeof error === "string" ? error : inspect(error, { depth: 2 });
      return {
        ename: "UncaughtValue",
        evalue,
        traceback: [`UncaughtValue: ${evalue}`, "    a cell threw a value that is not an Error, so there is no stack"],
      };
    }
    const code = (error as { code?: unknown }).code;
    const ename = error.name || error.constructor.name;
    const traceback = [`${ename}${typeof code === "string" ? ` [${code}]` : ""}: ${error.message}`, ...this.#frames(error)];
    for (
      let cause = error.cause, depth = 0;
      cause !== undefined && depth < 5;
      cause = cause instanceof Error ? cause.cause : undefined, depth++
    ) {
      traceback.push(`Caused by: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : inspect(cause, { depth: 2 })}`);
      if (cause instanceof Error) traceback.push(...this.#frames(cause));
    }
    const advice = typeof code === "string" ? ADVICE.exec(error.message)?.[1] : undefined;
    if (error instanceof PreflabError && advice !== undefined) traceback.push("", `What to do: ${advice}`);
    return { ename, evalue: error.message, traceback };
  }

  #frames(error: Error): string[] {
    const stack = typeof error.stack === "string" ? error.stack : "";
    const shown: string[] = [];
    let frame: string[] | undefined;
    for (const line of stack.split("\n")) {
      if (!/^\s+at /.test(line)) continue;
      // Below the cell lies only this kernel and tslab.
      if (/[\\/](tslab[\\/]dist|kernel-ext[\\/]user)[\\/]/.test(line) || /\(?node:(vm|internal)/.test(line)) {
        if (frame !== undefined) break;
        continue;
      }
      const place = /(cell\[\d+\]\.ts):(\d+):/.exec(line);
      if (place !== null && Number(place[2]) > (this.#cells.get(place[1]!)?.compiledLines ?? Infinity)) continue;
      const mapped = line.replace(/(cell\[\d+\]\.ts):(\d+):(\d+)/, (whole, file: string, row: string, column: string) => {
        const cell = this.#cells.get(file);
        const at = cell?.position(Number(row) - 1, Number(column) - 1);
        if (cell === undefined || at === undefined) return whole;
        frame ??= codeFrame(cell.source, at.line, at.column);
        return `${file}:${at.line + 1}:${at.column + 1}`;
      });
      // Functions of earlier cells are called on tslab's table of variables, which is a Proxy.
      shown.push(mapped.replace(/^(\s+at (?:async )?)Proxy\./, "$1"));
    }
    return frame === undefined ? shown : [...shown, "", ...frame];
  }

  #describeDiagnostics(error: CellCompileError, file: string, source: string): ErrorContent {
    const places = error.diagnostics.map((diagnostic) => {
      const { line, character } = diagnostic.start;
      return `${diagnostic.fileName ?? file}:${line + 1}:${character + 1} - TS${diagnostic.code}: ${diagnostic.messageText}`;
    });
    const traceback: string[] = [];
    let previous = -1;
    error.diagnostics.forEach((diagnostic, index) => {
      traceback.push(`${error.name}: ${places[index]!}`);
      const { start, end, fileName } = diagnostic;
      // The parts of one message share a position: one picture for all of them.
      if (fileName === undefined && start.offset !== previous)
        traceback.push(...codeFrame(source, start.line, start.character, end.line === start.line ? end.character - start.character : 1));
      previous = start.offset;
    });
    return { ename: error.name, evalue: places.join("\n"), traceback };
  }
}
