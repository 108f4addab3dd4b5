/**
 * Completion and inspection while the main thread is blocked by a cell. A thread with a type checker of its own, which costs about two
 * seconds and 200 MB: started when it is first needed, ended when it has been idle.
 */
import { parentPort } from "node:worker_threads";
import { CellAssistance, type Assist } from "./assistance.js";
import { CellCompiler } from "./compiler.js";
import { CellResolution } from "./resolution.js";

/** A question, and the declarations of the cells that have ended. */
export interface AssistantQuestion {
  request: Assist;
  declarations: string;
}

const compiler = new CellCompiler(new CellResolution(process.cwd()), () => undefined);
const assistance = new CellAssistance(compiler.converter);
const watchdog = parentPort!;

watchdog.on("message", ({ request, declarations }: AssistantQuestion) => {
  watchdog.postMessage({ type: "reply", request: request.request, content: assistance.answer(request, declarations) });
});
