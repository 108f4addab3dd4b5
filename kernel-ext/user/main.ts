/**
 * The user process: compiles and runs cells, one after another, and reports on the event pipe. The kernel starts it.
 * User code shares this process, so everything here is arranged before the first cell and assumes nothing of later ones.
 */
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { setNotebookHost } from "../../src/notebook/display.js";
import { trackContext } from "./context.js";
import { markNativeOutput, sendEvent, captureStreams } from "./events.js";
import { CellRunner } from "./runner.js";
import type { MainMessage, WatchdogData, WatchdogMessage } from "./watchdog.js";

captureStreams();
trackContext();
const compiling = new SharedArrayBuffer(4);
const watchdog = new Worker(new URL("./watchdog.js", import.meta.url), { workerData: { compiling } satisfies WatchdogData });
const flag = new Int32Array(compiling);
const tellWatchdog = (message: MainMessage): void => watchdog.postMessage(message);
const runner = new CellRunner(
  (busy) => Atomics.store(flag, 0, busy ? 1 : 0),
  (text) => tellWatchdog({ type: "declarations", text }),
);
setNotebookHost(runner.host);

// tslab's display API writes through this variable of its Jupyter module.
const require = createRequire(import.meta.url);
interface TslabJupyter {
  lastWriteDisplayData:
    | ((
        content: { data: Record<string, unknown>; metadata: Record<string, unknown>; transient: { display_id?: string } },
        update?: boolean,
      ) => void)
    | null;
}
(require("tslab/dist/jupyter.js") as TslabJupyter).lastWriteDisplayData = (content, update = false) => {
  const display_id = content.transient.display_id;
  runner.host.display(content.data, { update, ...(display_id === undefined ? {} : { display_id }) });
};

process.on("unhandledRejection", (reason, promise) => runner.rejected(reason, promise));
process.on("rejectionHandled", (promise) => runner.handled(promise));
process.on("uncaughtException", (error) => runner.failed(error));

/** The message of a comm whose listeners are running. */
let delivering: string | undefined;
function endDelivery(): void {
  if (delivering !== undefined) sendEvent({ type: "reply", request: delivering, content: {} });
  delivering = undefined;
}

watchdog.on("message", (message: WatchdogMessage) => {
  switch (message.type) {
    case "execute":
      void runner.execute(message).then((end) => {
        markNativeOutput(message.cell);
        sendEvent({ type: "done", cell: message.cell, ...end });
      });
      break;
    case "interrupt":
      sendEvent({ type: "interrupting" });
      runner.interrupt();
      break;
    case "terminated":
      runner.abandon(delivering !== undefined);
      endDelivery();
      break;
    case "comm":
      delivering = message.request;
      runner.comms.deliver(message);
      endDelivery();
      break;
    case "complete":
    case "inspect":
    case "is_complete":
      sendEvent({ type: "reply", request: message.request, content: runner.assist(message) });
      tellWatchdog({ type: "assisted", request: message.request });
      break;
    case "input_reply":
      runner.answer(message);
      break;
    case "shutdown":
      process.exit(0);
      break;
    case "terminate":
      break; // handled by the watchdog
  }
});
sendEvent({ type: "ready" });
