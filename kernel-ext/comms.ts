/** The kernel's view of comms: which targets and channels exist. Answers for a user process that is busy, or dead. */
import type { CommEvent, CommRequest } from "./channel.js";
import type { Message } from "../src/notebook/wire.js";

export class KernelComms {
  readonly #targets = new Set<string>();
  /** comm_id → target_name */
  readonly #open = new Map<string, string>();

  /** Whether a message can be handed on now; else it waits behind the running cell, which may register its target. */
  isKnown({ header, content }: Message): boolean {
    return header.msg_type === "comm_open" ? this.#targets.has(String(content.target_name)) : this.#open.has(String(content.comm_id));
  }

  registered(name: string, registered: boolean): void {
    if (registered) this.#targets.add(name);
    else this.#targets.delete(name);
  }

  /** Content of comm_info_reply. @param target_name only comms of this target */
  info(target_name: unknown): Record<string, unknown> {
    const wanted = [...this.#open].filter(([, name]) => typeof target_name !== "string" || target_name === "" || name === target_name);
    return { status: "ok", comms: Object.fromEntries(wanted.map(([id, name]) => [id, { target_name: name }])) };
  }

  /**
   * A message of the front end.
   * @returns what to hand to the user process; "unknown" for a comm_open that nobody takes; undefined for what must be dropped
   */
  receive(message: Message, request: string): CommRequest | "unknown" | undefined {
    const { content, metadata, buffers } = message;
    const msg_type = message.header.msg_type as CommRequest["msg_type"];
    const { comm_id, target_name = "", data = {} } = content;
    if (typeof comm_id !== "string" || comm_id === "" || typeof target_name !== "string" || !isObject(data)) return undefined;
    if (msg_type === "comm_open") {
      if (this.#open.has(comm_id)) return undefined;
      if (!this.#targets.has(target_name)) return "unknown";
      this.#open.set(comm_id, target_name);
    } else if (!this.#open.has(comm_id)) return undefined;
    if (msg_type === "comm_close") this.#open.delete(comm_id);
    return {
      type: "comm",
      request,
      msg_type,
      comm_id,
      target_name,
      data,
      metadata,
      buffers: buffers.map((bytes) => bytes.toString("base64")),
    };
  }

  /** A message of user code, on its way to the front end. */
  sent({ msg_type, comm_id, target_name = "" }: CommEvent): void {
    if (msg_type === "comm_open") this.#open.set(comm_id, target_name);
    if (msg_type === "comm_close") this.#open.delete(comm_id);
  }

  /** The user process is gone. @returns the comms that were open */
  lost(): string[] {
    const open = [...this.#open.keys()];
    this.#open.clear();
    this.#targets.clear();
    return open;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
