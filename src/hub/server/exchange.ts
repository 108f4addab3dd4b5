/** One request and its answer, and the little that every handler needs to read the one and write the other. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { User } from "./accounts.js";
import type { Fault } from "./faults.js";
import type { HubLimits } from "./limits.js";
import { badRequest, tooLarge } from "./refusal.js";
import type { Repository } from "./repository.js";
import type { HubStore } from "./store.js";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly url: URL;
  /** Address of this server as the client knows it, without a slash at the end. */
  readonly base: string;
  /** Address under which large files are moved. */
  readonly storageBase: string;
  readonly user: User | undefined;
  readonly store: HubStore;
  readonly limits: HubLimits;
  /** Ordered by a test. */
  readonly fault: Fault | undefined;
}

export type Handler = (exchange: Exchange, repository: Repository, args: Readonly<Record<string, string>>) => Promise<void>;

/** JSON that a client asks for by name may be large, but not endless. */
const LARGEST_JSON = 16 << 20;

/** The whole body. @throws Refusal 413 */
export async function readBytes({ request }: Pick<Exchange, "request">, limit: number): Promise<Buffer<ArrayBuffer>> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > limit) throw tooLarge("The request", size, limit);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts);
}

/** A body of JSON; an empty one is {}. @throws Refusal 400, 413 */
export async function readJson(exchange: Exchange): Promise<Record<string, unknown>> {
  const text = (await readBytes(exchange, LARGEST_JSON)).toString();
  return text.trim() === "" ? {} : parseObject(text);
}

/** @throws Refusal 400 */
export function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest("The request must be JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw badRequest("The request must be a JSON object");
  return value as Record<string, unknown>;
}

/** @throws Refusal 400 unless the value is a list of objects */
export function objectsOf(value: unknown, name: string): Record<string, unknown>[] {
  if (!Array.isArray(value) || value.some((each) => typeof each !== "object" || each === null))
    throw badRequest(`${name} must be a list of objects`);
  return value as Record<string, unknown>[];
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function sendJson({ response, method }: Exchange, status: number, body: unknown, headers: OutgoingHttpHeaders = {}): void {
  const text = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": text.length, ...headers });
  response.end(method === "HEAD" ? undefined : text);
}

const MOST_ON_A_PAGE = 1000;

/** One page of a list; the Link header leads to the next. @param size entries on a page where the client does not say */
export function sendPage<T>(exchange: Exchange, items: readonly T[], size: number, headers: OutgoingHttpHeaders = {}): void {
  const { url, base } = exchange;
  const asked = Number(url.searchParams.get("limit") ?? size);
  const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, MOST_ON_A_PAGE) : size;
  const cursor = Number(url.searchParams.get("cursor") ?? 0);
  if (!Number.isSafeInteger(cursor) || cursor < 0) throw badRequest("cursor must come from the Link header");
  const end = cursor + limit;
  const next = new URL(url.pathname + url.search, base);
  next.searchParams.set("cursor", String(end));
  sendJson(exchange, 200, items.slice(cursor, end), { ...headers, ...(end < items.length ? { link: `<${next.href}>; rel="next"` } : {}) });
}
