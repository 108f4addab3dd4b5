/** Gradio's HTTP protocol, `sse_v3`: what `@gradio/client`, Python's `gradio_client` and curl speak. */
import { badRequest, Refusal } from "../../hub/server/refusal.js";
import type { Endpoint } from "../endpoint.js";
import type { Job, JobState } from "../jobs.js";
import type { Calls } from "./calls.js";
import { EventStream } from "./eventStream.js";
import { type Exchange, readJson, sendJson } from "./exchange.js";

/** @throws Refusal 404 */
function endpointNamed(endpoints: readonly Endpoint[], name: string): Endpoint {
  const endpoint = endpoints.find((each) => each.name === name);
  if (endpoint === undefined)
    throw new Refusal(404, `No endpoint of this name; there are ${endpoints.map((each) => `/${each.name}`).join(", ")}`);
  return endpoint;
}

/** `POST call/NAME` → `{event_id}`. */
export async function postCall(exchange: Exchange, calls: Calls, endpoints: readonly Endpoint[], name: string): Promise<void> {
  const endpoint = endpointNamed(endpoints, name);
  const { data } = await readJson(exchange);
  sendJson(exchange, 200, { event_id: calls.start(endpoint, data ?? []).id });
}

/** `GET call/NAME/EVENT_ID`: whole outputs, each in place of the one before, then `complete` or `error`. */
export async function followCall(exchange: Exchange, calls: Calls, id: string): Promise<void> {
  const job = calls.find(id);
  if (job === undefined) throw new Refusal(404, "No such call, or it was asked for before");
  const stream = new EventStream(exchange, "event: heartbeat\ndata: null\n\n");
  calls.follow(
    job,
    (state) => {
      switch (state.type) {
        case "queued":
          return stream.send({ rank: state.rank, size: state.size }, "pending");
        case "running":
          return stream.send(null, "started");
        case "output":
          return stream.send(state.outputs, "generating");
        case "done":
          stream.send(resultOf(job, state), "complete");
          return stream.end();
        case "failed":
          // Gradio's own server sends null unless errors are to be shown.
          stream.send(state.error.message, "error");
          return stream.end();
      }
    },
    stream.closed,
  );
  await stream.closed;
}

/** `POST run/NAME`: waits for the result. */
export async function runCall(exchange: Exchange, calls: Calls, endpoints: readonly Endpoint[], name: string): Promise<void> {
  const { response } = exchange;
  const endpoint = endpointNamed(endpoints, name);
  const { data } = await readJson(exchange);
  const job = calls.start(endpoint, data ?? []);
  calls.follow(job, () => undefined, new Promise((resolve) => response.once("close", () => resolve())));
  await job.finished;
  const state = job.state;
  if (response.destroyed) return;
  if (state.type === "failed") sendJson(exchange, 500, { error: state.error.message });
  else if (state.type === "done")
    sendJson(exchange, 200, { ...output(resultOf(job, state), false), duration: state.seconds, average_duration: state.seconds });
}

/** `POST queue/join` → `{event_id}`. */
export async function joinQueue(exchange: Exchange, calls: Calls, endpoints: readonly Endpoint[]): Promise<void> {
  const { fn_index, session_hash, data } = await readJson(exchange);
  const endpoint = typeof fn_index === "number" ? endpoints[fn_index] : undefined;
  if (endpoint === undefined) throw new Refusal(404, `fn_index must be a whole number from 0 to ${endpoints.length - 1}`);
  if (typeof session_hash !== "string" || session_hash === "" || session_hash.length > 200) throw badRequest("session_hash must be text");
  sendJson(exchange, 200, { event_id: calls.start(endpoint, data ?? [], session_hash).id });
}

/** `GET queue/data`: all that a session has begun, until all of it has ended. */
export async function followSession(exchange: Exchange, calls: Calls): Promise<void> {
  const session = exchange.url.searchParams.get("session_hash") ?? "";
  const stream = new EventStream(exchange, `data: ${JSON.stringify({ msg: "heartbeat" })}\n\n`);
  const jobs = session === "" ? [] : calls.ofSession(session);
  if (jobs.length === 0) {
    stream.send({ msg: "unexpected_error", message: "Session not found", session_not_found: true, success: false });
    return stream.end();
  }
  const open = new Set<Job>();
  const follow = (job: Job): void => {
    open.add(job);
    const tell = messages(job);
    calls.follow(
      job,
      (state) => {
        stream.send(tell(state));
        if (state.type !== "done" && state.type !== "failed") return;
        open.delete(job);
        if (open.size > 0) return;
        stream.send({ msg: "close_stream" });
        stream.end();
        forget();
      },
      stream.closed,
    );
  };
  const forget = calls.onStart(session, follow);
  // All of them first: a job that has ended would close the stream to the others.
  for (const job of jobs) open.add(job);
  for (const job of jobs) follow(job);
  await stream.closed;
  forget();
}

/** `POST cancel` and `POST reset` name a call by its event_id. */
export async function cancelCall(exchange: Exchange, calls: Calls): Promise<void> {
  const { event_id } = await readJson(exchange);
  const job = typeof event_id === "string" ? calls.find(event_id) : undefined;
  job?.stop();
  sendJson(exchange, 200, { success: job !== undefined });
}

/** A stopped call's result is what there was. */
function resultOf({ endpoint }: Job, { outputs }: Extract<JobState, { type: "done" }>): readonly unknown[] {
  return outputs ?? endpoint.outputs.map(() => null);
}

function output(data: unknown, is_generating: boolean): object {
  return { data, is_generating, duration: null, average_duration: null, render_config: null, changed_state_ids: [] };
}

/** States → messages. Outputs after the first are sent as what has changed. */
function messages(job: Job): (state: JobState) => object {
  const event_id = job.id;
  let before: readonly unknown[] | undefined;
  return (state) => {
    switch (state.type) {
      case "queued":
        return { msg: "estimation", event_id, rank: state.rank, queue_size: state.size, rank_eta: null };
      case "running":
        return { msg: "process_starts", event_id, eta: null };
      case "output": {
        const { outputs } = state;
        const data = before === undefined ? outputs : outputs.map((value, i) => difference(before![i], value));
        before = outputs;
        return { msg: "process_generating", event_id, output: output(data, true), success: true };
      }
      case "done":
        return { msg: "process_completed", event_id, output: output(resultOf(job, state), false), success: true };
      case "failed": {
        const { message } = state.error;
        return {
          msg: "process_completed",
          event_id,
          output: { error: message, title: "Error", visible: true, duration: null },
          success: false,
        };
      }
    }
  };
}

/** What makes `after` of `before`, as `[action, path, value]`. */
function difference(before: unknown, after: unknown): unknown[] {
  if (typeof before === "string" && typeof after === "string" && after.startsWith(before))
    return after === before ? [] : [["append", [], after.slice(before.length)]];
  return [["replace", [], after]];
}
