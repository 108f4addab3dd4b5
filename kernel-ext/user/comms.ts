/** The comms of user code: targets it has registered, channels that are open, and what their listeners do. */
import { randomUUID } from "node:crypto";
import type { Comm, CommData, CommExtras, CommHost, CommMessage, CommTarget } from "../../src/app/comms.js";
import { ConfigError } from "../../src/errors.js";
import type { CommEvent, CommRequest } from "../channel.js";
import { currentCell, runForCell } from "./context.js";
import { sendEvent } from "./events.js";

/** The request whose listeners are at work now. */
let handling: string | undefined;

type Listener = (message: CommMessage) => void | Promise<void>;

/** What is thrown by a listener has no cell that could fail: it is told on stderr of the cell that the comm belongs to. */
type ReportLate = (what: string, error: unknown) => void;

export class Comms implements CommHost {
  readonly #targets = new Map<string, { target: CommTarget; cell: string }>();
  readonly #open = new Map<string, OpenComm>();
  readonly #report: ReportLate;

  constructor(report: ReportLate) {
    this.#report = report;
  }

  register(name: string, target: CommTarget): () => void {
    const entry = { target, cell: currentCell() };
    this.#targets.set(name, entry);
    sendEvent({ type: "comm_target", name, registered: true });
    return () => {
      if (this.#targets.get(name) !== entry) return;
      this.#targets.delete(name);
      sendEvent({ type: "comm_target", name, registered: false });
    };
  }

  open(target_name: string, data: CommData, extras: CommExtras): Comm {
    const comm = this.#add(randomUUID(), target_name, currentCell());
    try {
      comm.tell("comm_open", data, extras);
    } catch (error) {
      this.#open.delete(comm.comm_id);
      throw error;
    }
    return comm;
  }

  #add(comm_id: string, target_name: string, cell: string): OpenComm {
    const comm = new OpenComm(comm_id, target_name, cell, () => this.#open.delete(comm_id));
    this.#open.set(comm_id, comm);
    return comm;
  }

  /** Takes a message of the front end. Returns when its listeners have returned, not when what they promised is done. */
  deliver(request: CommRequest): void {
    handling = request.request;
    try {
      this.#deliver(request);
    } finally {
      handling = undefined;
    }
  }

  #deliver(request: CommRequest): void {
    const { msg_type, comm_id, target_name } = request;
    const message = { data: request.data, metadata: request.metadata, buffers: request.buffers.map((text) => Buffer.from(text, "base64")) };
    if (msg_type === "comm_open") {
      const known = this.#targets.get(target_name);
      if (known === undefined || this.#open.has(comm_id)) {
        sendEvent({
          type: "comm",
          cell: "",
          answers: request.request,
          msg_type: "comm_close",
          comm_id,
          data: {},
          metadata: {},
          buffers: [],
        });
        return;
      }
      const comm = this.#add(comm_id, target_name, known.cell);
      if (!this.#call(comm, () => known.target(comm, message))) comm.close();
      return;
    }
    const comm = this.#open.get(comm_id);
    if (comm === undefined) return;
    if (msg_type === "comm_close") {
      this.#open.delete(comm_id);
      comm.closed = true;
    }
    for (const listener of msg_type === "comm_close" ? comm.closeListeners : comm.listeners) this.#call(comm, () => listener(message));
  }

  /** @returns false when it threw */
  #call(comm: OpenComm, work: () => void | Promise<void>): boolean {
    return runForCell(comm.cell, () => {
      const failed = (error: unknown): void =>
        runForCell(comm.cell, () => this.#report(`Error in a listener of the comm ${comm.target_name}`, error));
      try {
        work()?.then(undefined, failed);
        return true;
      } catch (error) {
        failed(error);
        return false;
      }
    });
  }
}

class OpenComm implements Comm {
  closed = false;
  readonly listeners = new Set<Listener>();
  readonly closeListeners = new Set<Listener>();
  readonly #forget: () => void;

  constructor(
    readonly comm_id: string,
    readonly target_name: string,
    /** The cell that its outputs belong to. */
    readonly cell: string,
    forget: () => void,
  ) {
    this.#forget = forget;
  }

  tell(msg_type: CommEvent["msg_type"], data: CommData, { metadata = {}, buffers = [] }: CommExtras): void {
    if (this.closed)
      throw new ConfigError("comm_closed", `Comm.send: the comm ${this.target_name} must be open, got a closed one; open another`);
    const event: CommEvent = {
      type: "comm",
      cell: this.cell,
      ...(handling === undefined ? {} : { answers: handling }),
      msg_type,
      comm_id: this.comm_id,
      ...(msg_type === "comm_open" ? { target_name: this.target_name } : {}),
      data,
      metadata,
      buffers: buffers.map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")),
    };
    requireJson(data);
    sendEvent(event);
  }

  send(data: CommData, extras: CommExtras = {}): void {
    this.tell("comm_msg", data, extras);
  }

  onMessage(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  onClose(listener: Listener): () => void {
    this.closeListeners.add(listener);
    return () => void this.closeListeners.delete(listener);
  }

  close(data: CommData = {}): void {
    if (this.closed) return;
    this.tell("comm_close", data, {});
    this.closed = true;
    this.#forget();
  }
}

function requireJson(data: unknown): void {
  let reason = "not an object";
  try {
    if (typeof data === "object" && data !== null && !Array.isArray(data) && JSON.stringify(data) !== undefined) return;
  } catch (error) {
    reason = (error as Error).message;
  }
  throw new ConfigError(
    "comm_data",
    `Comm.send: data must be an object that JSON can hold, got ${reason}; send plain objects, and bytes as buffers`,
  );
}
