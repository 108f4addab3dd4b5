/** A local HTTP server that speaks /v1/chat/completions, and does to its clients what real ones do. */
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface ChatRequest {
  model: string;
  messages: { role: string; content: string }[];
  [field: string]: unknown;
}

export interface Seen {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: ChatRequest;
}

/** What the server does with a request: the text of the answer, or anything else by hand. */
export type Reply = string | ((response: ServerResponse) => void);

export class JudgeServer {
  readonly seen: Seen[] = [];
  /** Most requests that were open at once. */
  mostOpen = 0;
  #open = 0;
  readonly #server;

  private constructor(reply: (request: ChatRequest, count: number) => Reply | Promise<Reply>) {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response, reply);
    });
  }

  static async start(reply: (request: ChatRequest, count: number) => Reply | Promise<Reply>): Promise<JudgeServer> {
    const server = new JudgeServer(reply);
    await new Promise<void>((done) => server.#server.listen(0, "127.0.0.1", done));
    return server;
  }

  get base_url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    reply: (request: ChatRequest, count: number) => Reply | Promise<Reply>,
  ): Promise<void> {
    this.#open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.#open);
    response.on("close", () => (this.#open -= 1));
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as ChatRequest;
    this.seen.push({ path: request.url ?? "", authorization: request.headers.authorization, body });
    const answer = await reply(body, this.seen.length);
    if (typeof answer === "function") return answer(response);
    sendJson(response, 200, { choices: [{ index: 0, message: { role: "assistant", content: answer } }] });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }
}

export function sendJson(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

/** The two answers of a question, in the order shown. */
export function shownAnswers({ messages }: ChatRequest): { first: string; second: string } {
  const found = /\[Answer of Model A\]\n(.*)\n\n\[Answer of Model B\]\n(.*)\n\nWhich/s.exec(messages[1]!.content)!;
  return { first: found[1]!, second: found[2]! };
}
