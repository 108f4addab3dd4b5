/** Apps for the tests, and what every test does with a server. */
import { afterAll } from "vitest";
import { type App, Interface, type AppServer, type LaunchOptions } from "../../src/app/index.js";

/** What JSON holds; tests look into it freely. */
export type Json = ReturnType<typeof JSON.parse>;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Two inputs, one output, at once. */
export function greeter(): Interface {
  return new Interface({
    fn: (name: string, times: number) => Array.from({ length: times }, () => `Hello, ${name}!`).join(" "),
    inputs: ["text", { type: "slider", label: "Times", minimum: 1, maximum: 5, step: 1 }],
    outputs: { type: "textbox", label: "Greeting" },
    title: "Greeter",
    description: "Says hello.",
    examples: [
      ["Ada", 1],
      ["ليلى", 3],
    ],
  });
}

/** Counts up to a number, a step at a time, until it is stopped; `heard` gets what became of it. */
export function counter(
  heard: string[],
  options: { concurrency_limit?: number; max_size?: number; time_limit?: number; step?: number } = {},
): Interface {
  const { step = 5, ...queue } = options;
  return new Interface({
    async *fn(to: number, { signal }: { signal: AbortSignal }) {
      try {
        for (let n = 1; n <= to; n++) {
          yield n;
          await pause(step);
          if (signal.aborted) return;
        }
        heard.push("finished");
      } finally {
        heard.push("ended");
      }
    },
    inputs: { type: "number", label: "To", minimum: 0, maximum: 1e6 },
    outputs: { type: "number", label: "Count" },
    api_name: "count",
    ...queue,
  });
}

/** Serves an app on a free port until the tests of the file end. */
export async function serve(app: App, options: LaunchOptions = {}): Promise<AppServer> {
  const server = await app.launch({ server_port: 0, quiet: true, ...options });
  afterAll(() => server.stop());
  return server;
}

export async function postJson(url: string, body: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: Json }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

export interface SentEvent {
  event: string;
  data: Json;
}

/** The events of a stream, as they come. */
export async function* eventsOf(response: Response): AsyncGenerator<SentEvent> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body!) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string): string | undefined => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      if (data !== undefined) yield { event: field("event") ?? "message", data: data === "[DONE]" ? data : JSON.parse(data) };
    }
  }
}

/** All of a call's events: `POST call`, then `GET`. */
export async function callEvents(url: string, name: string, data: unknown): Promise<SentEvent[]> {
  const { body } = await postJson(`${url}/gradio_api/call/${name}`, { data });
  const events: SentEvent[] = [];
  for await (const event of eventsOf(await fetch(`${url}/gradio_api/call/${name}/${body.event_id}`))) events.push(event);
  return events;
}
