/** The five ZeroMQ sockets of a kernel. Sends are queued, so that order holds and a flood cannot overrun the socket. */
import { Publisher, Reply, Router } from "zeromq";
import {
  address,
  decodeMessage,
  encodeMessage,
  newHeader,
  type ConnectionInfo,
  type Message,
  type MessageHeader,
} from "../src/notebook/wire.js";

/** A message to send: `parent` undefined for messages that no request caused. */
export interface Outgoing {
  msg_type: string;
  content: Record<string, unknown>;
  parent?: MessageHeader;
  identities?: Buffer[];
  metadata?: Readonly<Record<string, unknown>>;
  buffers?: Buffer[];
}

/** zeromq.js refuses a second send while one is pending, and completes few of many synchronous ones: so one at a time. */
class Outbox {
  #queue: Buffer[][] = [];
  #idle: Promise<void> = Promise.resolve();
  #sending = false;

  constructor(readonly socket: Router | Publisher) {}

  push(frames: Buffer[]): void {
    this.#queue.push(frames);
    if (!this.#sending) this.#idle = this.#sendAll();
  }

  /** Resolves when everything pushed so far has been handed to ZeroMQ. */
  drain(): Promise<void> {
    return this.#idle;
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    try {
      for (let frames = this.#queue.shift(); frames !== undefined; frames = this.#queue.shift()) await this.socket.send(frames);
    } catch (error) {
      this.#queue = [];
      if (!this.socket.closed) throw error;
    } finally {
      this.#sending = false;
    }
  }
}

export class KernelSockets {
  readonly #info: ConnectionInfo;
  readonly #session: string;
  readonly #routers = { shell: new Router({ linger: 1000 }), control: new Router({ linger: 1000 }), stdin: new Router({ linger: 1000 }) };
  /** ZeroMQ drops messages above the high-water mark (1,000 by default) for a slow subscriber; 0 means keep all. */
  readonly #iopub = new Publisher({ linger: 1000, sendHighWaterMark: 0 });
  readonly #heartbeat = new Reply({ linger: 0 });
  readonly #outboxes = {
    shell: new Outbox(this.#routers.shell),
    control: new Outbox(this.#routers.control),
    stdin: new Outbox(this.#routers.stdin),
    iopub: new Outbox(this.#iopub),
  };

  constructor(info: ConnectionInfo, session: string) {
    this.#info = info;
    this.#session = session;
    // A client that went away must not raise an error for the next reply to it.
    for (const router of Object.values(this.#routers)) {
      router.mandatory = false;
      router.sendHighWaterMark = 0;
      router.receiveHighWaterMark = 0;
    }
  }

  async bind(): Promise<void> {
    const { shell_port, control_port, stdin_port, iopub_port, hb_port } = this.#info;
    await this.#routers.shell.bind(address(this.#info, shell_port));
    await this.#routers.control.bind(address(this.#info, control_port));
    await this.#routers.stdin.bind(address(this.#info, stdin_port));
    await this.#iopub.bind(address(this.#info, iopub_port));
    await this.#heartbeat.bind(address(this.#info, hb_port));
    void this.#echo();
  }

  async #echo(): Promise<void> {
    try {
      for await (const frames of this.#heartbeat) await this.#heartbeat.send(frames);
    } catch (error) {
      if (!this.#heartbeat.closed) throw error;
    }
  }

  /** Calls `onMessage` for every well-formed, rightly signed message, and `onRefused` with the reason for every other. */
  async receive(
    channel: "shell" | "control" | "stdin",
    onMessage: (message: Message) => void,
    onRefused: (reason: string) => void,
  ): Promise<void> {
    const socket = this.#routers[channel];
    try {
      for await (const frames of socket) {
        try {
          onMessage(decodeMessage(this.#info.key, frames));
        } catch (error) {
          onRefused(`${channel}: ${(error as Error).message}`);
        }
      }
    } catch (error) {
      if (!socket.closed) throw error;
    }
  }

  send(channel: "shell" | "control" | "stdin" | "iopub", out: Outgoing): MessageHeader {
    const header = newHeader(out.msg_type, this.#session);
    const topic = out.msg_type === "stream" ? `stream.${String(out.content.name)}` : out.msg_type;
    const identities = channel === "iopub" ? [Buffer.from(`kernel.${this.#session}.${topic}`)] : (out.identities ?? []);
    const message: Message = {
      identities,
      header,
      parent_header: out.parent ?? {},
      metadata: out.metadata ?? {},
      content: out.content,
      buffers: out.buffers ?? [],
    };
    this.#outboxes[channel].push(encodeMessage(this.#info.key, message));
    return header;
  }

  async drain(): Promise<void> {
    await Promise.all(Object.values(this.#outboxes).map((outbox) => outbox.drain()));
  }

  close(): void {
    for (const socket of [...Object.values(this.#routers), this.#iopub, this.#heartbeat]) socket.close();
  }
}
