/**
 * A thread beside the user's code that reads the kernel's requests. The main thread may be blocked by a loop in a cell; this
 * one is not, so it can stop that loop (`Runtime.terminateExecution`, the same as the stop button of a debugger: variables
 * survive) and it notices when the kernel is gone, so that no user process outlives its kernel.
 */
import { Session } from "node:inspector";
import { Socket } from "node:net";
import { parentPort, Worker, workerData } from "node:worker_threads";
import type { Assist } from "./assistance.js";
import type { AssistantQuestion } from "./assistant.js";
import { LineReader, REQUEST_FD, type Request, type WatchdogEvent } from "../channel.js";

/** What the watchdog tells the main thread. */
export type WatchdogMessage = Request | { type: "terminated" };

/** What the main thread tells the watchdog. */
export type MainMessage =
  /** The main thread has answered, so nobody else must. */
  | { type: "assisted"; request: string }
  /** What later cells see of the cells so far, in TypeScript. */
  | { type: "declarations"; text: string };

export interface WatchdogData {
  /** Int32Array of one element: 1 while the main thread compiles, and must not be cut off. */
  compiling: SharedArrayBuffer;
}

const COMPILE_POLL_MS = 20;
/** How long the main thread may take to answer before another thread does. */
const ASSIST_PATIENCE_MS = 400;
const ASSISTANT_IDLE_MS = 60_000;
const compiling = new Int32Array((workerData as WatchdogData).compiling);
const main = parentPort!;

function terminate(): void {
  if (Atomics.load(compiling, 0) !== 0) {
    answer({ type: "compiling" });
    setTimeout(terminate, COMPILE_POLL_MS);
    return;
  }
  // Connected only for this: with an open session Node waits for "the debugger" when a cell calls process.exit().
  const session = new Session();
  session.connectToMainThread();
  session.post("Runtime.terminateExecution", () => {
    main.postMessage({ type: "terminated" } satisfies WatchdogMessage);
    session.disconnect();
  });
}

function answer(event: WatchdogEvent): void {
  requests.write(`${JSON.stringify(event)}\n`);
}

let declarations = "";
const unanswered = new Map<string, NodeJS.Timeout>();
let assistant: Worker | undefined;
let idle: NodeJS.Timeout | undefined;

function askAssistant(request: Assist): void {
  if (assistant === undefined) {
    const started = new Worker(new URL("./assistant.js", import.meta.url));
    started.on("message", (reply: Extract<WatchdogEvent, { type: "reply" }>) => {
      unanswered.delete(reply.request);
      answer(reply);
    });
    started.on("error", (error) => console.error(`preflab kernel: completion failed: ${error.message}`));
    started.on("exit", () => (assistant = undefined));
    assistant = started;
  }
  assistant.postMessage({ request, declarations } satisfies AssistantQuestion);
  clearTimeout(idle);
  idle = setTimeout(() => void assistant?.terminate(), ASSISTANT_IDLE_MS);
}

main.on("message", (message: MainMessage) => {
  if (message.type === "declarations") {
    declarations = message.text;
    return;
  }
  clearTimeout(unanswered.get(message.request));
  unanswered.delete(message.request);
});

const reader = new LineReader<Request>((request) => {
  if (request.type === "terminate") {
    terminate();
    return;
  }
  if (request.type === "complete" || request.type === "inspect" || request.type === "is_complete")
    unanswered.set(
      request.request,
      setTimeout(() => askAssistant(request), ASSIST_PATIENCE_MS),
    );
  main.postMessage(request);
});
const requests = new Socket({ fd: REQUEST_FD, readable: true, writable: true });
requests.on("data", (chunk: Buffer) => reader.push(chunk));
requests.on("close", () => {
  // The kernel is gone. The user process leads its own group: what it has started ends with it.
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    process.kill(process.pid, "SIGKILL");
  }
});
requests.on("error", () => undefined); // "close" follows
