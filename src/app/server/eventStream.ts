/** Server-sent events: one long answer, an event at a time. */
import type { Exchange } from "./exchange.js";

/** Proxies and browsers give up on a silent connection. */
const HEARTBEAT_MS = 15_000;
/** A client that reads so much slower than we write is let go. */
const MOST_UNREAD = 4 << 20;

export class EventStream {
  readonly #exchange: Exchange;
  readonly #timer: NodeJS.Timeout;
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;

  /** @param heartbeat what keeps the connection awake, written as it is */
  constructor(exchange: Exchange, heartbeat: string) {
    this.#exchange = exchange;
    const { response } = exchange;
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" });
    response.flushHeaders();
    this.#timer = setInterval(() => this.#write(heartbeat), HEARTBEAT_MS);
    this.closed = new Promise((resolve) =>
      response.once("close", () => {
        clearInterval(this.#timer);
        resolve();
      }),
    );
  }

  send(data: unknown, event?: string): void {
    this.#write(`${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`);
  }

  /** Text that is no JSON. */
  sendText(text: string): void {
    this.#write(`data: ${text}\n\n`);
  }

  end(): void {
    this.#exchange.response.end();
  }

  #write(text: string): void {
    const { response } = this.#exchange;
    if (response.destroyed || response.writableEnded) return;
    response.write(text);
    if (response.writableLength > MOST_UNREAD) response.destroy();
  }
}
