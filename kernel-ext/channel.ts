/**
 * What the kernel and the user process say to each other.
 *
 * The kernel owns the sockets and never runs user code, so a loop, a crash or `process.exit()` in a cell cannot silence it.
 * Events go up through one pipe that the user process writes *synchronously*: text, displays and results keep
 * their order, a busy loop is heard at once, and nothing is lost when the process dies on the next line.
 * Requests go down through a second pipe that a watchdog thread reads, so that a busy main thread can still be interrupted.
 * Both carry one JSON object a line. `cell` is the msg_id of the execute_request that an output belongs to.
 */
export const EVENT_FD = 3;
export const REQUEST_FD = 4;

export interface MimeBundle {
  [mime: string]: unknown;
}

export interface ErrorContent {
  ename: string;
  evalue: string;
  traceback: string[];
}

export type Request =
  | { type: "execute"; cell: string; execution_count: number; code: string }
  /** Asks the running cell to stop; answered by `interrupting` as soon as the main thread hears it. */
  | { type: "interrupt" }
  /** Handled by the watchdog thread: stop the JavaScript that blocks the main thread, keep its variables. */
  | { type: "terminate" }
  | { type: "complete"; request: string; code: string; position: number }
  | { type: "inspect"; request: string; code: string; position: number }
  | { type: "is_complete"; request: string; code: string }
  | { type: "input_reply"; request: string; value?: string; error?: string }
  | { type: "shutdown" };

export type UserEvent =
  | { type: "ready" }
  | { type: "stream"; cell: string; name: "stdout" | "stderr"; text: string }
  | { type: "display"; cell: string; data: MimeBundle; metadata: MimeBundle; display_id?: string; update: boolean }
  | { type: "clear_output"; cell: string; wait: boolean }
  | { type: "result"; cell: string; data: MimeBundle; metadata: MimeBundle }
  /** End of a cell. The pipes of file descriptors 1 and 2 have been marked with `flushMark(cell)` before. */
  | { type: "done"; cell: string; error?: ErrorContent }
  | { type: "interrupting" }
  | { type: "reply"; request: string; content: Record<string, unknown> }
  | { type: "input_request"; cell: string; request: string; prompt: string; password: boolean };

/** Written to file descriptors 1 and 2 at the end of a cell, so that the kernel knows it has read all native output of the cell. */
export function flushMark(cell: string): string {
  return `\u0000preflab-flush ${cell}\u0000`;
}

/** Splits a byte stream into lines of JSON. A line may arrive in many pieces. */
export class LineReader<T> {
  #pieces: Buffer[] = [];

  constructor(readonly onMessage: (message: T) => void) {}

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(10, start); end >= 0; end = chunk.indexOf(10, start)) {
      this.#pieces.push(chunk.subarray(start, end));
      const line = Buffer.concat(this.#pieces).toString("utf8");
      this.#pieces = [];
      start = end + 1;
      this.onMessage(JSON.parse(line) as T);
    }
    if (start < chunk.length) this.#pieces.push(chunk.subarray(start));
  }
}
