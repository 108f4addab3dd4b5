/** A headless front end: starts a kernel process and speaks Jupyter's protocol with it over ZeroMQ, as Jupyter does. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dealer, Subscriber } from "zeromq";
import { EngineError } from "../errors.js";
import { address, decodeMessage, encodeMessage, newHeader, type Channel, type ConnectionInfo, type Message } from "./wire.js";

/** argv of a kernel; `{connection_file}` is replaced, as in a kernelspec. */
export type KernelCommand = readonly string[];

export interface KernelStart {
  command: KernelCommand;
  /** Working directory of the cells. */
  cwd: string;
  /** Added to the environment. */
  env?: Record<string, string>;
  /** How long the kernel may take to answer. Default 60,000. */
  startTimeoutMs?: number;
}

export interface RequestOptions {
  onMessage?: MessageListener;
  /** Called with the request's msg_id before any answer can come. */
  onSent?: (msg_id: string) => void;
  /** Default: no limit. */
  timeoutMs?: number;
}

export type MessageListener = (message: Message, channel: Channel) => void;

const START_TIMEOUT_MS = 60_000;
const NUDGE_MS = 250;
const STDERR_KEPT = 4_000;

/** Ports that are free now. Another program may take one before the kernel binds it; then the kernel says so and exits. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export class KernelClient {
  readonly process: ChildProcess;
  readonly connection: ConnectionInfo;
  readonly #directory: string;
  readonly #session = randomUUID();
  readonly #dealers: Record<"shell" | "control" | "stdin", Dealer>;
  readonly #iopub: Subscriber;
  readonly #listeners = new Set<MessageListener>();
  readonly #sends: Record<string, Promise<void>> = {};
  #stderr = "";
  #exit: string | undefined;
  readonly #exited: Promise<string>;

  private constructor(zeromq: typeof import("zeromq"), process: ChildProcess, connection: ConnectionInfo, directory: string) {
    this.process = process;
    this.connection = connection;
    this.#directory = directory;
    const options = { linger: 0, sendHighWaterMark: 0, receiveHighWaterMark: 0, routingId: this.#session };
    // One routing id for all three: the kernel answers on stdin to the identity that asked on shell.
    this.#dealers = { shell: new zeromq.Dealer(options), control: new zeromq.Dealer(options), stdin: new zeromq.Dealer(options) };
    this.#iopub = new zeromq.Subscriber({ linger: 0, receiveHighWaterMark: 0 });
    process.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)));
    process.stdout?.resume();
    this.#exited = new Promise((resolve) => {
      process.once("error", (error) => resolve((this.#exit = `could not be started: ${error.message}`)));
      process.once("close", (code, signal) =>
        resolve((this.#exit = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`)),
      );
    });
  }

  /** @throws EngineError when the kernel ends, or does not answer in time; with what it printed to stderr */
  static async start(start: KernelStart): Promise<KernelClient> {
    const [shell_port, control_port, iopub_port, stdin_port, hb_port] = (await freePorts(5)) as [number, number, number, number, number];
    const connection: ConnectionInfo = {
      transport: "tcp",
      ip: "127.0.0.1",
      shell_port,
      control_port,
      iopub_port,
      stdin_port,
      hb_port,
      key: randomUUID(),
      signature_scheme: "hmac-sha256",
      kernel_name: "preflab",
    };
    const directory = await mkdtemp(join(tmpdir(), "preflab-kernel-"));
    const file = join(directory, "connection.json");
    await writeFile(file, JSON.stringify(connection, undefined, 2), { mode: 0o600 });
    const [executable, ...args] = start.command.map((part) => part.replaceAll("{connection_file}", file));
    if (executable === undefined)
      throw new EngineError(
        "kernel_command",
        "kernel: the command must name a program, got an empty list; leave it out for Preflab's own kernel",
      );
    // Detached: ctrl-C in the terminal reaches this process alone, which then decides what becomes of the kernel.
    const child = spawn(executable, args, {
      cwd: start.cwd,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, JPY_PARENT_PID: String(process.pid), ...start.env },
    });
    // Loaded here, not with the package: cells import the package too, and have no use for a second set of sockets.
    const client = new KernelClient(await import("zeromq"), child, connection, directory);
    try {
      await client.#connect(start.startTimeoutMs ?? START_TIMEOUT_MS);
    } catch (error) {
      await client.kill();
      throw error;
    }
    return client;
  }

  async #connect(timeoutMs: number): Promise<void> {
    const { connection } = this;
    for (const channel of ["shell", "control", "stdin"] as const) {
      this.#dealers[channel].connect(address(connection, connection[`${channel}_port`]));
      void this.#receive(this.#dealers[channel], channel);
    }
    this.#iopub.connect(address(connection, connection.iopub_port));
    this.#iopub.subscribe();
    void this.#receive(this.#iopub, "iopub");
    // A subscription takes effect some time after it is made: ask until an answer has come both ways.
    let answered = false;
    let published = false;
    const ready = new Promise<void>((resolve) => {
      const listener: MessageListener = (message, channel) => {
        if (message.header.msg_type === "kernel_info_reply") answered = true;
        if (channel === "iopub" && message.parent_header.session === this.#session) published = true;
        if (!answered || !published) return;
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      void this.send("shell", "kernel_info_request", {});
      const state = await Promise.race([ready.then(() => "ready" as const), this.#exited, delay(NUDGE_MS).then(() => "waiting" as const)]);
      if (state === "ready") return;
      if (this.#exit !== undefined)
        throw new EngineError("kernel_start", `kernel: must start, got: it ${this.#exit}; ${this.#stderr.trim() || "it printed nothing"}`);
      if (Date.now() > deadline)
        throw new EngineError(
          "kernel_start",
          `kernel: must answer within ${timeoutMs} ms, got silence; ${this.#stderr.trim() || "it printed nothing"}`,
        );
    }
  }

  async #receive(socket: Dealer | Subscriber, channel: Channel): Promise<void> {
    try {
      for await (const frames of socket) {
        let message: Message;
        try {
          message = decodeMessage(this.connection.key, frames);
        } catch (error) {
          // A kernel that answers nonsense must not end the program that asked; what is waited for runs into its time limit.
          this.#stderr = `${this.#stderr}dropped from ${channel}: ${(error as Error).message}\n`.slice(-STDERR_KEPT);
          continue;
        }
        for (const listener of [...this.#listeners]) listener(message, channel);
      }
    } catch (error) {
      if (!socket.closed) throw error;
    }
  }

  /** @returns the msg_id, which the answers carry in their parent_header */
  send(
    channel: "shell" | "control" | "stdin",
    msg_type: string,
    content: Record<string, unknown>,
    parent: Message["parent_header"] = {},
    buffers: Buffer[] = [],
  ): string {
    const header = newHeader(msg_type, this.#session, "preflab");
    const frames = encodeMessage(this.connection.key, {
      identities: [],
      header,
      parent_header: parent,
      metadata: {},
      content,
      buffers,
    });
    const dealer = this.#dealers[channel];
    this.#sends[channel] = (this.#sends[channel] ?? Promise.resolve()).then(() => (dealer.closed ? undefined : dealer.send(frames)));
    return header.msg_id;
  }

  /** Listens to every message until the returned function is called. */
  listen(listener: MessageListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Sends a request and waits for its reply *and* for the kernel to be idle again, passing every message between to `onMessage`. */
  request(
    channel: "shell" | "control",
    msg_type: string,
    content: Record<string, unknown>,
    options: RequestOptions = {},
  ): Promise<Message> {
    return new Promise((resolve, reject) => {
      let reply: Message | undefined;
      let idle = false;
      let timer: NodeJS.Timeout | undefined;
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        stop();
        settle();
      };
      const stop = this.listen((message, from) => {
        if (message.parent_header.msg_id !== id) return;
        options.onMessage?.(message, from);
        if (from === channel && message.header.msg_type === msg_type.replace(/_request$/, "_reply")) reply = message;
        if (from === "iopub" && message.header.msg_type === "status" && message.content.execution_state === "idle") idle = true;
        const answer = reply;
        if (answer !== undefined && idle) finish(() => resolve(answer));
      });
      const id: string = this.send(channel, msg_type, content);
      options.onSent?.(id);
      void this.#exited.then((how) =>
        finish(() =>
          reject(
            new EngineError("kernel_died", `kernel: must live until it has answered ${msg_type}, got: it ${how}; ${this.#stderr.trim()}`),
          ),
        ),
      );
      if (options.timeoutMs !== undefined) {
        timer = setTimeout(
          () =>
            finish(() =>
              reject(
                new EngineError(
                  "kernel_timeout",
                  `kernel: must answer ${msg_type} within ${options.timeoutMs} ms, got silence; raise the limit or make the work smaller`,
                ),
              ),
            ),
          options.timeoutMs,
        );
      }
    });
  }

  /** Runs code as a cell and waits for its end; errors are in the reply, not thrown. */
  execute(code: string, onSent?: (msg_id: string) => void): Promise<Message> {
    const content = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true };
    return this.request("shell", "execute_request", content, onSent === undefined ? {} : { onSent });
  }

  async interrupt(): Promise<void> {
    await this.request("control", "interrupt_request", {}, { timeoutMs: 15_000 });
  }

  async shutdown(): Promise<void> {
    if (this.#exit === undefined) {
      this.send("control", "shutdown_request", { restart: false });
      await Promise.race([this.#exited, delay(5_000)]);
    }
    await this.kill();
  }

  /** Ends the kernel at once, with the processes of its group, and closes the sockets. */
  async kill(): Promise<void> {
    this.killNow();
    if (this.process.pid !== undefined && this.#exit === undefined) await Promise.race([this.#exited, delay(2_000)]);
    for (const socket of [...Object.values(this.#dealers), this.#iopub]) if (!socket.closed) socket.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  killNow(): void {
    const { pid } = this.process;
    if (pid === undefined || this.#exit !== undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      this.process.kill("SIGKILL");
    }
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
