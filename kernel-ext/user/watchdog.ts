/**
 * A thread beside the user's code that reads the kernel's requests. The main thread may be blocked by a loop in a cell; this
 * one is not, so it can stop that loop (`Runtime.terminateExecution`, the same as the stop button of a debugger: variables
 * survive) and it notices when the kernel is gone, so that no user process outlives its kernel.
 */
import { Session } from "node:inspector";
import { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { LineReader, REQUEST_FD, type Request } from "../channel.js";

/** What the watchdog tells the main thread. */
export type WatchdogMessage = Request | { type: "terminated" };

export interface WatchdogData {
  /** Int32Array of one element: 1 while the main thread compiles, and must not be cut off. */
  compiling: SharedArrayBuffer;
}

const COMPILE_POLL_MS = 20;
const compiling = new Int32Array((workerData as WatchdogData).compiling);
const main = parentPort!;

function terminate(): void {
  if (Atomics.load(compiling, 0) !== 0) {
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

const reader = new LineReader<Request>((request) => {
  if (request.type === "terminate") terminate();
  else main.postMessage(request);
});
const requests = new Socket({ fd: REQUEST_FD, readable: true, writable: false });
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
