/** Which address does what. */
import { Refusal } from "../../hub/server/refusal.js";
import type { App } from "../app.js";
import { loginPage, page } from "../page/page.js";
import { PAGE_SCRIPT } from "../page/script.js";
import { PAGE_STYLE } from "../page/style.js";
import type { Calls } from "./calls.js";
import type { Door } from "./door.js";
import { EventStream } from "./eventStream.js";
import { type Exchange, send, sendJson } from "./exchange.js";
import { cancelCall, followCall, followSession, joinQueue, postCall, runCall } from "./gradio.js";
import { API_PREFIX, gradioConfig, gradioInfo } from "./gradioConfig.js";
import { complete, listModels, sendOpenAIError } from "./openai.js";

export interface Site {
  readonly app: App;
  readonly calls: Calls;
  readonly door: Door;
  readonly cookieName: string;
  /** Changes with each start, so that clients notice. */
  readonly appId: string;
  readonly nextSeed: () => number;
}

/** Nothing is loaded from elsewhere, and only this machine's notebooks may show the page in a frame. */
const PAGE_HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self' http://localhost:* http://127.0.0.1:*",
  // Without any, a browser would send the login form's Origin as null.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
};
const HTML = "text/html; charset=utf-8";

/** @throws Refusal and whatever the app throws */
export async function answer(exchange: Exchange, site: Site): Promise<void> {
  const { method, url } = exchange;
  const reads = method === "GET" || method === "HEAD";
  const path = url.pathname;
  if (await answerStranger(exchange, site, reads)) return;
  if (path.startsWith("/v1/")) return answerOpenAI(exchange, site);
  if (reads && path === "/") return send(exchange, 200, HTML, page(site.app.describe()), PAGE_HEADERS);
  if (reads && path === "/config") return sendJson(exchange, 200, configOf(exchange, site));
  return answerGradio(exchange, site, path.startsWith(`${API_PREFIX}/`) ? path.slice(API_PREFIX.length) : path, reads);
}

function configOf({ base }: Exchange, { app, appId }: Site): object {
  return gradioConfig(app, base, appId, null);
}

/** What also those may see who have not logged in. @returns whether that was the answer */
async function answerStranger(exchange: Exchange, { app, door, cookieName }: Site, reads: boolean): Promise<boolean> {
  const path = exchange.url.pathname.replace(/\/$/, "");
  if (reads && path === "/assets/app.css") send(exchange, 200, "text/css; charset=utf-8", PAGE_STYLE, PAGE_HEADERS);
  else if (reads && path === "/assets/app.js") send(exchange, 200, "text/javascript; charset=utf-8", PAGE_SCRIPT, PAGE_HEADERS);
  else if (reads && path === "/favicon.ico") exchange.response.writeHead(204).end();
  else if (exchange.method === "POST" && (path === "/login" || path === `${API_PREFIX}/login`)) await login(exchange, door, cookieName);
  else if (door.isKnown(exchange, cookieName)) return false;
  else if (reads && path === "") send(exchange, 401, HTML, loginPage(app.title, false), PAGE_HEADERS);
  else door.refuse(exchange);
  return true;
}

/** Browsers go to the page, programs hear yes or no. */
async function login(exchange: Exchange, door: Door, cookieName: string): Promise<void> {
  const isRight = door.isOpen || (await door.login(exchange, cookieName));
  if (exchange.request.headers.accept?.includes("text/html") !== true)
    return isRight ? sendJson(exchange, 200, { success: true }) : sendJson(exchange, 401, { detail: "Incorrect credentials." });
  if (isRight) exchange.response.writeHead(303, { location: "/" }).end();
  else send(exchange, 401, HTML, loginPage("", true), PAGE_HEADERS);
}

async function answerOpenAI(exchange: Exchange, { app, calls, nextSeed }: Site): Promise<void> {
  const { method, url } = exchange;
  try {
    const { chat } = app;
    if (chat === undefined) throw new Refusal(404, "This app is no chat");
    if (method === "GET" && url.pathname === "/v1/models") return sendJson(exchange, 200, listModels(chat));
    if (method !== "POST" || url.pathname !== "/v1/chat/completions")
      throw new Refusal(404, "There are GET /v1/models and POST /v1/chat/completions");
    return await complete(exchange, calls, chat, nextSeed);
  } catch (error) {
    if (exchange.response.headersSent) throw error;
    sendOpenAIError(exchange, error);
  }
}

async function answerGradio(exchange: Exchange, site: Site, path: string, reads: boolean): Promise<void> {
  const { app, calls } = site;
  const { endpoints } = app;
  const posts = exchange.method === "POST";
  const [, verb = "", name = "", id, ...more] = path.split("/");
  if (more.length === 0 && verb === "call" && posts && id === undefined) return postCall(exchange, calls, endpoints, name);
  if (more.length === 0 && verb === "call" && reads && id !== undefined) return followCall(exchange, calls, id);
  if ((verb === "run" || verb === "api") && posts && id === undefined) return runCall(exchange, calls, endpoints, name);
  if (reads && path.startsWith("/file=")) return calls.uploads.serve(exchange, decode(path.slice("/file=".length)));
  if (reads && verb === "heartbeat" && name !== "") return beat(exchange);
  switch (`${reads ? "GET" : exchange.method} ${path.replace(/\/$/, "")}`) {
    case "GET /info":
      return sendJson(exchange, 200, gradioInfo(app));
    case "GET /config":
      return sendJson(exchange, 200, configOf(exchange, site));
    case "GET /app_id":
      return sendJson(exchange, 200, { app_id: site.appId });
    case "GET /queue/status":
      return sendJson(exchange, 200, { msg: "estimation", rank: null, queue_size: app.queue.waiting, rank_eta: null });
    case "POST /queue/join":
      return joinQueue(exchange, calls, endpoints);
    case "GET /queue/data":
      return followSession(exchange, calls);
    case "POST /cancel":
    case "POST /reset":
      return cancelCall(exchange, calls);
    case "POST /upload":
      return calls.uploads.receive(exchange);
    default:
      throw new Refusal(404, "Not found");
  }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Refusal(400, "The path is malformed");
  }
}

async function beat(exchange: Exchange): Promise<void> {
  const stream = new EventStream(exchange, "data: ALIVE\n\n");
  await stream.closed;
}
