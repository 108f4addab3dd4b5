/**
 * The kernel: answers Jupyter's requests in order, and publishes what the user process reports.
 * Each request is framed by `busy` and `idle`; each output names the request that caused it, also when it comes late.
 */
import { randomUUID } from "node:crypto";
import { codePointOffset, utf16Offset } from "./cursor.js";
import { KernelComms } from "./comms.js";
import { History } from "./history.js";
import { KERNEL_INFO } from "./kernelInfo.js";
import { KernelSockets, type Outgoing } from "./sockets.js";
import { UserProcess, type OutputEvent, type Patience } from "./userProcess.js";
import type { ConnectionInfo, Message, MessageHeader } from "../src/notebook/wire.js";

/** Text that arrives within this time becomes one message: a flood becomes a few messages, and a slow cell still looks live. */
const STREAM_MERGE_MS = 100;
const STREAM_MERGE_LENGTH = 1_000_000;

/** Answered at once, also while a cell runs. The others wait for their turn. */
const AT_ONCE = new Set([
  "kernel_info_request",
  "complete_request",
  "inspect_request",
  "is_complete_request",
  "history_request",
  "comm_info_request",
  "interrupt_request",
  "shutdown_request",
]);
const COMM_TYPES = new Set(["comm_open", "comm_msg", "comm_close"]);

type RequestChannel = "shell" | "control";

export class Kernel {
  readonly #sockets: KernelSockets;
  readonly #user: UserProcess;
  readonly #session = randomUUID();
  readonly #comms = new KernelComms();
  /** Execute requests by the kernel's own number: outputs name them, even long after the cell has ended. A msg_id could come twice. */
  readonly #cells = new Map<string, Message>();
  readonly #inputs = new Map<string, string>();
  /** CommRequest.request → the message, while its listeners are at work. */
  readonly #deliveries = new Map<string, Message>();
  readonly #history = new History();
  #queue: Message[] = [];
  #working = false;
  #latest: Message | undefined;
  #executionCount = 0;
  #cellNumber = 0;
  #stream: { cell: string; name: "stdout" | "stderr"; text: string } | undefined;
  #streamTimer: NodeJS.Timeout | undefined;
  #closed: () => void = () => undefined;
  #shuttingDown = false;
  /** Resolves when a shutdown request has been answered. */
  readonly closed = new Promise<void>((resolve) => (this.#closed = resolve));

  constructor(info: ConnectionInfo, patience: Partial<Patience> = {}) {
    this.#sockets = new KernelSockets(info, this.#session);
    this.#user = new UserProcess(
      (event) => this.#publishOutput(event),
      () => this.#closeComms(),
      patience,
    );
  }

  async start(): Promise<void> {
    await this.#sockets.bind();
    const refuse = (reason: string): void => console.error(`preflab kernel: refused ${reason}`);
    void this.#sockets.receive("shell", (message) => this.#enqueue(message), refuse);
    void this.#sockets.receive("control", (message) => void this.#handle("control", message), refuse);
    void this.#sockets.receive("stdin", (message) => this.#answerInput(message), refuse);
    this.#sockets.send("iopub", { msg_type: "status", content: { execution_state: "starting" } });
    this.#user.start();
  }

  interrupt(): Promise<void> {
    return this.#user.interrupt();
  }

  async shutdown(): Promise<void> {
    if (this.#shuttingDown) return;
    this.#shuttingDown = true;
    await this.#user.shutdown();
    this.#flushStream();
    await this.#sockets.drain();
    this.#sockets.close();
    this.#closed();
  }

  killUserProcess(): void {
    this.#user.killNow();
  }

  #enqueue(message: Message): void {
    const { msg_type } = message.header;
    if (AT_ONCE.has(msg_type) || (COMM_TYPES.has(msg_type) && this.#comms.isKnown(message))) {
      void this.#handle("shell", message);
      return;
    }
    this.#queue.push(message);
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let message = this.#queue.shift(); message !== undefined && !this.#shuttingDown; message = this.#queue.shift())
      await this.#handle("shell", message);
    this.#working = false;
  }

  #publish(
    msg_type: string,
    content: Record<string, unknown>,
    parent?: MessageHeader,
    rest: Pick<Outgoing, "metadata" | "buffers"> = {},
  ): void {
    this.#sockets.send("iopub", { msg_type, content, ...(parent === undefined ? {} : { parent }), ...rest });
  }

  #reply(channel: RequestChannel, request: Message, content: Record<string, unknown>, metadata: Record<string, unknown> = {}): void {
    const msg_type = request.header.msg_type.replace(/_request$/, "_reply");
    this.#sockets.send(channel, { msg_type, content, metadata, parent: request.header, identities: request.identities });
  }

  async #handle(channel: RequestChannel, request: Message): Promise<void> {
    this.#publish("status", { execution_state: "busy" }, request.header);
    try {
      await this.#answer(channel, request);
    } catch (error) {
      const { name, message } = error as Error;
      console.error(`preflab kernel: ${request.header.msg_type} failed:`, error);
      // Comm messages have no reply.
      if (request.header.msg_type.endsWith("_request"))
        this.#reply(channel, request, { status: "error", ename: name, evalue: message, traceback: [`${name}: ${message}`] });
    }
    this.#flushStream();
    this.#publish("status", { execution_state: "idle" }, request.header);
    if (request.header.msg_type === "shutdown_request") await this.shutdown();
  }

  async #answer(channel: RequestChannel, request: Message): Promise<void> {
    const { content } = request;
    switch (request.header.msg_type) {
      case "execute_request":
        return this.#execute(channel, request);
      case "kernel_info_request":
        return this.#reply(channel, request, { status: "ok", ...KERNEL_INFO });
      case "complete_request":
        return this.#complete(channel, request);
      case "inspect_request": {
        const code = String(content.code ?? "");
        const found = await this.#user.assist({
          type: "inspect",
          request: randomUUID(),
          code,
          position: utf16Offset(code, Number(content.cursor_pos ?? 0)),
        });
        const data = found?.found === true ? { "text/plain": String(found.text) } : {};
        return this.#reply(channel, request, { status: "ok", found: found?.found === true, data, metadata: {} });
      }
      case "is_complete_request": {
        const found = await this.#user.assist({ type: "is_complete", request: randomUUID(), code: String(content.code ?? "") });
        return this.#reply(channel, request, found ?? { status: "unknown" });
      }
      case "history_request":
        return this.#reply(channel, request, { status: "ok", history: this.#history.answer(content) });
      case "comm_info_request":
        return this.#reply(channel, request, this.#comms.info(content.target_name));
      case "comm_open":
      case "comm_msg":
      case "comm_close":
        return this.#deliverComm(request);
      case "interrupt_request":
        await this.#user.interrupt();
        return this.#reply(channel, request, { status: "ok" });
      case "shutdown_request":
        return this.#reply(channel, request, { status: "ok", restart: content.restart === true });
      default:
        // Front ends probe for messages of newer protocols (debugger, subshells) and take silence as "no".
        console.error(`preflab kernel: no answer to ${request.header.msg_type}`);
    }
  }

  async #execute(channel: RequestChannel, request: Message): Promise<void> {
    const { content, header } = request;
    const code = String(content.code ?? "");
    const silent = content.silent === true;
    const keep = !silent && content.store_history !== false;
    const cell = String(++this.#cellNumber);
    this.#cells.set(cell, request);
    this.#latest = request;
    if (keep) this.#history.add(++this.#executionCount, code);
    const execution_count = this.#executionCount;
    if (!silent) this.#publish("execute_input", { code, execution_count }, header);
    const asked = readExpressions(content.user_expressions);
    const nothing = code.trim() === "" && Object.keys(asked).length === 0;
    const { error, user_expressions = {} } = nothing ? {} : await this.#user.execute(cell, execution_count, code, asked);
    this.#flushStream();
    if (error === undefined) {
      this.#reply(channel, request, { status: "ok", execution_count, user_expressions, payload: [] });
      return;
    }
    this.#publish("error", { ...error }, header);
    this.#reply(channel, request, { status: "error", execution_count, ...error, user_expressions: {}, payload: [] });
    if (content.stop_on_error !== false) await this.#abortQueued();
  }

  /** Cells that the front end queued in the belief that this one would pass. Later ones are run. */
  async #abortQueued(): Promise<void> {
    // Let what has already arrived at the socket into the queue.
    await new Promise((resolve) => setTimeout(resolve, 5));
    const aborted = this.#queue.filter((message) => message.header.msg_type === "execute_request");
    this.#queue = this.#queue.filter((message) => message.header.msg_type !== "execute_request");
    for (const message of aborted) {
      this.#publish("status", { execution_state: "busy" }, message.header);
      this.#reply("shell", message, { status: "aborted", execution_count: this.#executionCount });
      this.#publish("status", { execution_state: "idle" }, message.header);
    }
  }

  async #complete(channel: RequestChannel, request: Message): Promise<void> {
    const code = String(request.content.code ?? "");
    const cursor = Number(request.content.cursor_pos ?? Array.from(code).length);
    const found = await this.#user.assist({ type: "complete", request: randomUUID(), code, position: utf16Offset(code, cursor) });
    const at = (offset: unknown): number => (typeof offset === "number" ? codePointOffset(code, offset) : cursor);
    this.#reply(channel, request, {
      status: "ok",
      matches: found?.matches ?? [],
      cursor_start: at(found?.start),
      cursor_end: at(found?.end),
      metadata: {},
    });
  }

  async #deliverComm(request: Message): Promise<void> {
    const { header, content } = request;
    const id = randomUUID();
    const delivery = this.#comms.receive(request, id);
    if (delivery === "unknown") {
      // The protocol's answer to an unknown target.
      this.#publish("comm_close", { comm_id: content.comm_id, data: {} }, header);
    } else if (delivery === undefined) {
      console.error(`preflab kernel: dropped ${header.msg_type} for the comm ${JSON.stringify(content.comm_id)?.slice(0, 80)}`);
    } else {
      this.#deliveries.set(id, request);
      await this.#user.deliver(delivery);
      this.#deliveries.delete(id);
    }
  }

  /** The process that held them is gone. */
  #closeComms(): void {
    if (this.#shuttingDown) return;
    for (const comm_id of this.#comms.lost()) this.#publish("comm_close", { comm_id, data: {} });
  }

  #publishOutput(event: OutputEvent): void {
    if (event.type === "comm_target") return this.#comms.registered(event.name, event.registered);
    const cell = this.#cells.get(event.cell) ?? this.#latest;
    const parent = cell?.header;
    if (event.type === "stream") {
      this.#mergeStream({ cell: this.#cells.has(event.cell) ? event.cell : String(this.#cellNumber), name: event.name, text: event.text });
      return;
    }
    this.#flushStream();
    switch (event.type) {
      case "display": {
        const transient = event.display_id === undefined ? {} : { display_id: event.display_id };
        this.#publish(
          event.update ? "update_display_data" : "display_data",
          { data: event.data, metadata: event.metadata, transient },
          parent,
        );
        break;
      }
      case "comm": {
        this.#comms.sent(event);
        const { comm_id, target_name, data, metadata, buffers } = event;
        const content = { comm_id, data, ...(target_name === undefined ? {} : { target_name }) };
        const asked = this.#deliveries.get(event.answers ?? "");
        this.#publish(event.msg_type, content, asked?.header ?? parent, {
          metadata,
          buffers: buffers.map((text) => Buffer.from(text, "base64")),
        });
        break;
      }
      case "result":
        this.#history.setOutput(this.#executionCount, event.data["text/plain"]);
        if (cell?.content.silent !== true)
          this.#publish("execute_result", { data: event.data, metadata: event.metadata, execution_count: this.#executionCount }, parent);
        break;
      case "clear_output":
        this.#publish("clear_output", { wait: event.wait }, parent);
        break;
      case "input_request":
        this.#askInput(event, cell);
        break;
    }
  }

  #mergeStream(next: { cell: string; name: "stdout" | "stderr"; text: string }): void {
    const held = this.#stream;
    if (held !== undefined && held.cell === next.cell && held.name === next.name) {
      held.text += next.text;
    } else {
      this.#flushStream();
      this.#stream = next;
      this.#streamTimer = setTimeout(() => this.#flushStream(), STREAM_MERGE_MS);
    }
    if (this.#stream!.text.length >= STREAM_MERGE_LENGTH) this.#flushStream();
  }

  #flushStream(): void {
    clearTimeout(this.#streamTimer);
    const held = this.#stream;
    this.#stream = undefined;
    if (held !== undefined) this.#publish("stream", { name: held.name, text: held.text }, this.#cells.get(held.cell)?.header);
  }

  #askInput(event: Extract<OutputEvent, { type: "input_request" }>, cell: Message | undefined): void {
    if (cell === undefined || cell.content.allow_stdin !== true) {
      this.#user.answerInput({
        type: "input_reply",
        request: event.request,
        error: "input: the front end must allow stdin, got none; run the notebook in JupyterLab or set the value in a cell",
      });
      return;
    }
    const { prompt, password } = event;
    const asked = this.#sockets.send("stdin", {
      msg_type: "input_request",
      content: { prompt, password },
      parent: cell.header,
      identities: cell.identities,
    });
    this.#inputs.set(asked.msg_id, event.request);
  }

  #answerInput(message: Message): void {
    // Front ends put the input_request into parent_header, but not all do: then the oldest question is meant.
    const asked = this.#inputs.has(message.parent_header.msg_id ?? "") ? message.parent_header.msg_id : this.#inputs.keys().next().value;
    if (message.header.msg_type !== "input_reply" || asked === undefined) return;
    const request = this.#inputs.get(asked)!;
    this.#inputs.delete(asked);
    this.#user.answerInput({ type: "input_reply", request, value: String(message.content.value ?? "") });
  }
}

/** Name → expression, of what a front end sent. */
function readExpressions(sent: unknown): Record<string, string> {
  if (typeof sent !== "object" || sent === null || Array.isArray(sent)) return {};
  return Object.fromEntries(Object.entries(sent).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
