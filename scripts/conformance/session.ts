/** One cell's messages, read as a front end reads them. Shared by the conformance table and the kernel's tests. */
import type { KernelClient, RequestOptions } from "../../src/notebook/client.js";
import type { Channel, Message } from "../../src/notebook/wire.js";

export interface CellRun {
  reply: Message;
  /** iopub messages of the cell in order, without status and execute_input. */
  outputs: Message[];
  /** Every message of the request, with its channel. */
  all: { message: Message; channel: Channel }[];
}

const DEFAULT_TIMEOUT_MS = 60_000;

/** Runs code as a cell; errors are in the reply, not thrown. @param content fields of execute_request beside `code` */
export async function runCell(
  client: KernelClient,
  code: string,
  content: Record<string, unknown> = {},
  options: RequestOptions = {},
): Promise<CellRun> {
  const all: CellRun["all"] = [];
  const request = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true, ...content };
  const reply = await client.request("shell", "execute_request", request, {
    timeoutMs: DEFAULT_TIMEOUT_MS,
    ...options,
    onMessage: (message, channel) => {
      all.push({ message, channel });
      options.onMessage?.(message, channel);
    },
  });
  const outputs = all
    .filter(({ message, channel }) => channel === "iopub" && !["status", "execute_input"].includes(message.header.msg_type))
    .map(({ message }) => message);
  return { reply, outputs, all };
}

export function types(run: CellRun): string[] {
  return run.outputs.map((message) => message.header.msg_type);
}

export function streamText(run: CellRun, name = "stdout"): string {
  return run.outputs
    .filter((message) => message.header.msg_type === "stream" && message.content.name === name)
    .map((message) => String(message.content.text))
    .join("");
}

/** The bundle of the only execute_result. @throws Error when there is more than one */
export function result(run: CellRun): Record<string, unknown> | undefined {
  const results = run.outputs.filter((message) => message.header.msg_type === "execute_result");
  if (results.length > 1) throw new Error("more than one execute_result");
  return results[0]?.content.data as Record<string, unknown> | undefined;
}

export function plain(run: CellRun): unknown {
  return result(run)?.["text/plain"];
}

/** The only error message. @throws Error when there is none, or more than one */
export function errorOf(run: CellRun): { ename: string; evalue: string; traceback: string } {
  const errors = run.outputs.filter((message) => message.header.msg_type === "error");
  if (errors.length !== 1) throw new Error(`${errors.length} error messages instead of 1; reply ${JSON.stringify(run.reply.content)}`);
  const { ename, evalue, traceback } = errors[0]!.content as { ename: string; evalue: string; traceback: string[] };
  return { ename, evalue, traceback: traceback.join("\n") };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until the condition holds. @throws Error when it does not in time */
export async function until(what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(20);
  }
}
