/**
 * What the kernel and the user process say to each other.
 *
 * The kernel owns the sockets and never runs user code, so a loop, a crash or `process.exit()` in a cell cannot silence it.
 * Events go up through one pipe that the user process writes *synchronously*: text, displays and results keep
 * their order, a busy loop is heard at once, and nothing is lost when the process dies on the next line.
 * Requests go down through a second pipe that a watchdog thread reads, so that a busy main thread can still be interrupted.
 * Both carry one JSON object a line. `cell` is the kernel's number of the execute_request that an output belongs to.
 * The watchdog thread answers on the second pipe too, when it must answer for a main thread that is busy.
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

/** A message of the front end to a comm. `request` names the acknowledgement, sent when its listeners have returned. Bytes are base64. */
export interface CommRequest {
  type: "comm";
  request: string;
  msg_type: "comm_open" | "comm_msg" | "comm_close";
  comm_id: string;
  /** Empty unless the comm is opened. */
  target_name: string;
  data: Record<string, unknown>;
  metadata: Record<string, unknown>;
  buffers: string[];
}

/** A message of user code to the front end's side of a comm. */
export interface CommEvent {
  type: "comm";
  cell: string;
  /** The `CommRequest.request` whose listeners are at work: front ends tell by it which answer is whose. */
  answers?: string;
  msg_type: CommRequest["msg_type"];
  comm_id: string;
  target_name?: string;
  data: Readonly<Record<string, unknown>>;
  metadata: Readonly<Record<string, unknown>>;
  buffers: string[];
}

export type Request =
  | CommRequest
  | { type: "execute"; cell: string; execution_count: number; code: string; user_expressions: Record<string, string> }
  /** Asks the running cell to stop; answered by `interrupting` as soon as the main thread hears it. */
  | { type: "interrupt" }
  /** Handled by the watchdog thread: stop the JavaScript that blocks the main thread, keep its variables. */
  | { type: "terminate" }
  | { type: "complete"; request: string; code: string; position: number }
  | { type: "inspect"; request: string; code: string; position: number }
  | { type: "is_complete"; request: string; code: string }
  | { type: "input_reply"; request: string; value?: string; error?: string }
  | { type: "shutdown" };

/** How a cell ended. */
export interface CellEnd {
  error?: ErrorContent;
  /** Values of the expressions that were asked for: MIME bundles or errors, each with `status`. */
  user_expressions?: Record<string, unknown>;
}

export type UserEvent =
  | { type: "ready" }
  | CommEvent
  | { type: "comm_target"; name: string; registered: boolean }
  | { type: "stream"; cell: string; name: "stdout" | "stderr"; text: string }
  | { type: "display"; cell: string; data: MimeBundle; metadata: MimeBundle; display_id?: string; update: boolean }
  | { type: "clear_output"; cell: string; wait: boolean }
  | { type: "result"; cell: string; data: MimeBundle; metadata: MimeBundle }
  /** End of a cell. The pipes of file descriptors 1 and 2 have been marked with `flushMark(cell)` before. */
  | ({ type: "done"; cell: string } & CellEnd)
  | { type: "interrupting" }
  | { type: "reply"; request: string; content: Record<string, unknown> }
  | { type: "input_request"; cell: string; request: string; prompt: string; password: boolean };

/** What the watchdog thread says on the pipe of the requests. */
export type WatchdogEvent =
  | { type: "reply"; request: string; content: Record<string, unknown> }
  /** The main thread was to be cut off, but the type checker is at work in it. Said again until it is done. */
  | { type: "compiling" };

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
