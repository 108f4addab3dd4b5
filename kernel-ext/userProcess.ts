/** The kernel's side of the user process: start it, hand it cells, interrupt it, replace it when it dies. */
import { spawn, type ChildProcess } from "node:child_process";
import type { Duplex, Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import {
  EVENT_FD,
  flushMark,
  LineReader,
  REQUEST_FD,
  type CellEnd,
  type CommRequest,
  type Request,
  type UserEvent,
  type WatchdogEvent,
} from "./channel.js";
import { withHugePages } from "./hugePages.js";

/** Patience with a process that does not answer, in milliseconds. */
export interface Patience {
  /** From the interrupt to the sign that the main thread heard it. */
  hearMs: number;
  /** From the first interrupt until a second one kills. */
  secondMs: number;
  /** From cutting off the blocking JavaScript to the end of the cell; then the process is killed. */
  cutMs: number;
  /** From the end of a cell to the last of its native output. */
  flushMs: number;
  /** From the request to shut down to killing. */
  shutdownMs: number;
}

export const DEFAULT_PATIENCE: Patience = { hearMs: 400, secondMs: 1_000, cutMs: 3_000, flushMs: 500, shutdownMs: 2_000 };

export type OutputEvent = Extract<
  UserEvent,
  { type: "stream" | "display" | "clear_output" | "result" | "input_request" | "comm" | "comm_target" }
>;

type Assist = Extract<Request, { type: "complete" | "inspect" | "is_complete" }>;

interface RunningCell {
  id: string;
  resolve: (end: CellEnd) => void;
  interrupted: boolean;
}

/** One life of the process. A dead one is never revived; `UserProcess` starts another. */
interface Life {
  child: ChildProcess;
  requests: Writable;
  ready: Promise<void>;
  isReady: boolean;
  /** End of what native code printed to stderr: says why a process did not come up. */
  complaint: string;
  /** Why it ended, once it has. */
  ended?: string;
}

export class UserProcess {
  readonly #onOutput: (event: OutputEvent) => void;
  readonly #onLost: () => void;
  readonly #patience: Patience;
  #life: Life | undefined;
  #running: RunningCell | undefined;
  #replies = new Map<string, (content: Record<string, unknown> | undefined) => void>();
  #marks = new Map<string, { left: number; resolve: () => void }>();
  #heard: (() => void) | undefined;
  #interrupting = false;
  #interruptedAt = 0;
  /** When the user process last said that it cannot be cut off now. */
  #compilingAt = 0;
  #closing = false;
  #lost: string | undefined;
  /** The answer to the last question. */
  #assisted: Promise<unknown> = Promise.resolve();
  /** Messages of comms whose listeners have not returned. */
  #delivering = 0;

  /** @param onLost called when a process has ended, with all that it held */
  constructor(onOutput: (event: OutputEvent) => void, onLost: () => void, patience: Partial<Patience> = {}) {
    this.#onOutput = onOutput;
    this.#onLost = onLost;
    this.#patience = { ...DEFAULT_PATIENCE, ...patience };
  }

  start(): void {
    if (this.#life === undefined) this.#life = this.#spawn();
  }

  #spawn(): Life {
    const script = fileURLToPath(new URL("./user/main.js", import.meta.url));
    // Its own process group: a signal from the terminal goes to the kernel, which decides; killing the group leaves nothing behind.
    // Notebooks load ES modules with require, which Node still announces as experimental on stderr.
    // PREFLAB_USER_COMMAND, a JSON list: a program that starts it shut in, and its first arguments (src/notebook/grade/sandbox.ts).
    const shutIn = JSON.parse(process.env["PREFLAB_USER_COMMAND"] ?? "[]") as string[];
    const node = [process.execPath, "--disable-warning=ExperimentalWarning", "--disable-warning=DEP0040", script];
    const [program, ...argv] = [...shutIn, ...node] as [string, ...string[]];
    const child = spawn(program, argv, {
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
      detached: true,
      env: withHugePages(process.env),
    });
    const requests = child.stdio[REQUEST_FD] as Duplex;
    requests.on("error", () => undefined); // "exit" tells
    const answers = new LineReader<WatchdogEvent>((event) => this.#receive(event));
    requests.on("data", (chunk: Buffer) => answers.push(chunk));
    let markReady: () => void = () => undefined;
    const life: Life = { child, requests, ready: new Promise((resolve) => (markReady = resolve)), isReady: false, complaint: "" };

    const reader = new LineReader<UserEvent>((event) => {
      if (event.type !== "ready") return this.#receive(event);
      life.isReady = true;
      markReady();
    });
    const events = child.stdio[EVENT_FD] as Readable;
    events.on("data", (chunk: Buffer) => reader.push(chunk));
    const drained = new Promise<void>((resolve) => events.once("close", resolve));
    this.#readNative(child.stdout!, "stdout");
    this.#readNative(child.stderr!, "stderr");
    child.stderr!.on("data", (text: string) => {
      if (!life.isReady) life.complaint = (life.complaint + text).slice(-2_000);
    });

    child.once("error", (error) => {
      markReady();
      this.#end(life, `could not be started: ${error.message}`);
    });
    child.once("exit", (code, signal) => {
      void drained.then(() => {
        markReady();
        this.#end(life, signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`);
      });
    });
    return life;
  }

  /** Output of native code and of processes that a cell starts arrives here, and the marks that end each cell. */
  #readNative(stream: Readable, name: "stdout" | "stderr"): void {
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      text += chunk;
      for (
        let match = /\u0000preflab-flush ([^\u0000]*)\u0000/.exec(text);
        match !== null;
        match = /\u0000preflab-flush ([^\u0000]*)\u0000/.exec(text)
      ) {
        this.#native(name, text.slice(0, match.index));
        text = text.slice(match.index + match[0].length);
        const mark = this.#marks.get(match[1]!);
        if (mark !== undefined && --mark.left === 0) mark.resolve();
      }
      const half = text.lastIndexOf("\u0000");
      const complete = half >= 0 && text.length - half < flushMark("x".repeat(200)).length ? half : text.length;
      this.#native(name, text.slice(0, complete));
      text = text.slice(complete);
    });
    stream.on("close", () => this.#native(name, text));
  }

  #native(name: "stdout" | "stderr", text: string): void {
    if (text !== "") this.#onOutput({ type: "stream", cell: this.#running?.id ?? "", name, text });
  }

  #receive(event: Exclude<UserEvent, { type: "ready" }> | WatchdogEvent): void {
    switch (event.type) {
      case "compiling":
        this.#compilingAt = Date.now();
        break;
      case "done":
        void this.#finish(event);
        break;
      case "interrupting":
        this.#heard?.();
        break;
      case "reply":
        this.#replies.get(event.request)?.(event.content);
        this.#replies.delete(event.request);
        break;
      default:
        this.#onOutput(event);
    }
  }

  async #finish({ cell, ...end }: Extract<UserEvent, { type: "done" }>): Promise<void> {
    const running = this.#running;
    if (running === undefined || running.id !== cell) return;
    const mark = this.#marks.get(cell);
    if (mark !== undefined)
      await Promise.race([
        new Promise<void>((resolve) => (mark.left <= 0 ? resolve() : (mark.resolve = resolve))),
        delay(this.#patience.flushMs),
      ]);
    this.#marks.delete(cell);
    this.#running = undefined;
    running.resolve(end);
  }

  #end(life: Life, how: string): void {
    if (this.#life === life) this.#life = undefined;
    if (!life.isReady) how += ` before it was ready${life.complaint === "" ? "" : `, saying: ${life.complaint.trim()}`}`;
    life.ended = how;
    for (const reply of this.#replies.values()) reply(undefined);
    this.#replies.clear();
    const running = this.#running;
    this.#running = undefined;
    this.#onLost();
    if (this.#closing) return;
    const restarted = "all variables are lost; run the notebook again from the top";
    if (running !== undefined) {
      const evalue = running.interrupted
        ? `the cell could not be stopped gently, so its process was ended: ${restarted}`
        : `the process that runs the cells ${how}: ${restarted}`;
      const ename = running.interrupted ? "InterruptedStateLost" : "ProcessDied";
      running.resolve({ error: { ename, evalue, traceback: [`${ename}: ${evalue}`] } });
    } else {
      this.#lost = `the process that runs the cells ${how} between two cells: ${restarted}`;
    }
    this.#interrupting = false;
  }

  #send(life: Life, request: Request): void {
    life.requests.write(`${JSON.stringify(request)}\n`);
  }

  /** Runs one cell. Cells must not overlap. @param user_expressions evaluated after the cell, if it does not fail */
  async execute(cell: string, execution_count: number, code: string, user_expressions: Record<string, string>): Promise<CellEnd> {
    if (this.#lost !== undefined) {
      // The loss must be seen: a later cell would otherwise run on an empty state, or fail for a reason nobody understands.
      const evalue = this.#lost;
      this.#lost = undefined;
      return { error: { ename: "ProcessDied", evalue, traceback: [`ProcessDied: ${evalue}`] } };
    }
    this.start();
    const life = this.#life!;
    return new Promise((resolve) => {
      this.#running = { id: cell, resolve, interrupted: false };
      this.#marks.set(cell, { left: 2, resolve: () => undefined });
      void life.ready.then(() => {
        if (life.ended === undefined && this.#running?.id === cell)
          this.#send(life, { type: "execute", cell, execution_count, code, user_expressions });
      });
    });
  }

  /**
   * Completion, inspection, completeness; undefined when the process dies meanwhile. Also while a cell runs or blocks. One at a time: an
   * interrupt must not stand behind a queue of questions.
   */
  assist(request: Assist): Promise<Record<string, unknown> | undefined> {
    const answer = this.#assisted.then(() => this.#ask(request));
    this.#assisted = answer;
    return answer;
  }

  async #ask(request: Assist): Promise<Record<string, unknown> | undefined> {
    this.start();
    const life = this.#life!;
    await life.ready;
    if (life.ended !== undefined) return undefined;
    return new Promise((resolve) => {
      this.#replies.set(request.request, resolve);
      this.#send(life, request);
    });
  }

  /** Hands a message to a comm; resolves when its listeners have returned, or the process has died. */
  async deliver(request: CommRequest): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#send(life, request);
    this.#delivering++;
    await new Promise<unknown>((resolve) => this.#replies.set(request.request, resolve));
    this.#delivering--;
  }

  answerInput(reply: Extract<Request, { type: "input_reply" }>): void {
    if (this.#life !== undefined) this.#send(this.#life, reply);
  }

  /**
   * Stops the running cell by the gentlest means that works: its own promise is abandoned; else the JavaScript that blocks the
   * thread is cut off (variables survive both); else, for native code, the process is killed. A second call, not a double click, kills
   * at once. The type checker is waited for: cut off in its work, it would fail every later cell.
   */
  async interrupt(): Promise<void> {
    const running = this.#running;
    const life = this.#life;
    if (life === undefined || (running === undefined && this.#delivering === 0)) return;
    if (running !== undefined) running.interrupted = true;
    if (running !== undefined && !life.isReady) {
      // The cell still waits for its process to come up, so nothing of it has run.
      this.#running = undefined;
      const evalue = "the cell was stopped before it began";
      running.resolve({ error: { ename: "Interrupted", evalue, traceback: [`Interrupted: ${evalue}`] } });
      return;
    }
    if (this.#interrupting) {
      if (running !== undefined && Date.now() - this.#interruptedAt > this.#patience.secondMs) this.#kill(life);
      return;
    }
    this.#interrupting = true;
    this.#interruptedAt = Date.now();
    const goesOn = (): boolean =>
      this.#life === life && (running === undefined ? this.#running === undefined && this.#delivering > 0 : this.#running === running);
    try {
      const heard = new Promise<true>((resolve) => (this.#heard = () => resolve(true)));
      this.#send(life, { type: "interrupt" });
      if ((await Promise.race([heard, delay(this.#patience.hearMs)])) === true) return;
      if (!goesOn()) return;
      this.#send(life, { type: "terminate" });
      const asked = Date.now();
      while (goesOn() && Date.now() < Math.max(asked, this.#compilingAt) + this.#patience.cutMs) await delay(20);
      if (goesOn()) this.#kill(life);
    } finally {
      this.#interrupting = false;
      this.#heard = undefined;
    }
  }

  #kill(life: Life): void {
    const pid = life.child.pid;
    if (pid === undefined || life.ended !== undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      life.child.kill("SIGKILL");
    }
  }

  async shutdown(): Promise<void> {
    const life = this.#life;
    this.#closing = true;
    if (life === undefined) return;
    const exited = new Promise<void>((resolve) => life.child.once("exit", () => resolve()));
    this.#send(life, { type: "shutdown" });
    await Promise.race([exited, delay(this.#patience.shutdownMs)]);
    this.#kill(life);
  }

  /** For the kernel's own end, where nothing can be awaited. */
  killNow(): void {
    if (this.#life !== undefined) this.#kill(this.#life);
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
