/** One request and its answer. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { parseObject, readBytes } from "../../hub/server/exchange.js";
import { Refusal } from "../../hub/server/refusal.js";
import { ConfigError, DataError, PreflabError } from "../../errors.js";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly url: URL;
  /** Address of this server as the client knows it, without a slash at the end. */
  readonly base: string;
}

/** A conversation of a long context fits; a flood does not. */
const LARGEST_JSON = 4 << 20;

/** @throws Refusal 400, 413 */
export async function readJson(exchange: Exchange): Promise<Record<string, unknown>> {
  return parseObject((await readBytes(exchange, LARGEST_JSON)).toString());
}

/** A form, sent either way. @throws Refusal 400, 413 */
export async function readForm(exchange: Exchange, limit: number): Promise<FormData> {
  const type = exchange.request.headers["content-type"] ?? "";
  if (!/^(multipart\/form-data|application\/x-www-form-urlencoded)\b/i.test(type)) throw new Refusal(415, "The request must be a form");
  const body = await readBytes(exchange, limit);
  try {
    return await new Response(body, { headers: { "content-type": type } }).formData();
  } catch {
    throw new Refusal(400, "The form is malformed");
  }
}

export function sendJson({ response, method }: Exchange, status: number, body: unknown, headers: OutgoingHttpHeaders = {}): void {
  send({ response, method }, status, "application/json; charset=utf-8", JSON.stringify(body), headers);
}

export function send(
  { response, method }: Pick<Exchange, "response" | "method">,
  status: number,
  type: string,
  body: string | Uint8Array,
  headers: OutgoingHttpHeaders = {},
): void {
  const bytes = Buffer.from(body as string);
  response.writeHead(status, { "content-type": type, "content-length": bytes.length, "cache-control": "no-store", ...headers });
  response.end(method === "HEAD" ? undefined : bytes);
}

/** What went wrong, as a status and words for the client. */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof PreflabError && error.code === "app_queue_full")
    return new Refusal(503, error.message, undefined, { "retry-after": "5" });
  if (error instanceof ConfigError || error instanceof DataError) return new Refusal(422, error.message);
  return new Refusal(500, `The app failed: ${error instanceof Error ? error.message : String(error)}`);
}
