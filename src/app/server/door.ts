/** Who may come in: hosts, origins, passwords. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { hostname } from "node:os";
import { isIP } from "node:net";
import { RateLimit } from "../../hub/server/limits.js";
import { Refusal } from "../../hub/server/refusal.js";
import { type Exchange, readForm, sendJson } from "./exchange.js";

/** Logins from one address in a minute. */
const LOGINS_PER_MINUTE = 20;
/** Logins that are remembered; the oldest have to come again. */
const MOST_LOGINS = 10_000;
const LARGEST_LOGIN = 16 << 10;

export class Door {
  readonly #accounts: readonly (readonly [Buffer, Buffer])[];
  readonly #logins = new Set<string>();
  readonly #rate = new RateLimit(LOGINS_PER_MINUTE);
  readonly #listensTo: string;

  /** @param listensTo the address that the server listens to */
  constructor(accounts: readonly (readonly [string, string])[], listensTo: string) {
    this.#accounts = accounts.map(([name, password]) => [digest(name), digest(password)]);
    this.#listensTo = listensTo;
  }

  get isOpen(): boolean {
    return this.#accounts.length === 0;
  }

  /**
   * A page elsewhere must not reach the app through its visitor's browser: neither under a name of its own that leads here
   * (DNS rebinding) nor by sending to us. Programs send no Origin.
   * @throws Refusal 403
   */
  checkOrigin({ request, method, base }: Exchange): void {
    const { hostname: host } = new URL(base);
    const known = ["localhost", hostname().toLowerCase(), `${hostname().toLowerCase()}.local`, this.#listensTo.toLowerCase()];
    if (isIP(host.replaceAll(/[[\]]/g, "")) === 0 && !known.includes(host))
      throw new Refusal(403, "The address must be this machine's, got another name in the Host header");
    const { origin } = request.headers;
    if (origin !== undefined && method !== "GET" && method !== "HEAD" && origin !== base)
      throw new Refusal(403, "Pages of other sites may not use this app");
  }

  /** By cookie, bearer token or HTTP Basic. */
  isKnown({ request: { headers } }: Exchange, cookieName: string): boolean {
    if (this.isOpen) return true;
    const cookies = (headers.cookie ?? "").split(/;\s*/);
    if (cookies.some((cookie) => cookie.startsWith(`${cookieName}=`) && this.#logins.has(cookie.slice(cookieName.length + 1)))) return true;
    const { authorization = "" } = headers;
    const token = /^Bearer (\S+)$/.exec(authorization)?.[1];
    if (token !== undefined) return this.#accounts.filter(([, password]) => timingSafeEqual(password, digest(token))).length > 0;
    const basic = /^Basic (\S+)$/.exec(authorization)?.[1];
    if (basic === undefined) return false;
    const [name = "", ...password] = Buffer.from(basic, "base64").toString().split(":");
    return this.#fits(name, password.join(":"));
  }

  #fits(name: string, password: string): boolean {
    const [a, b] = [digest(name), digest(password)];
    return (
      this.#accounts.filter(([user, secret]) => Number(timingSafeEqual(user, a)) + Number(timingSafeEqual(secret, b)) === 2).length > 0
    );
  }

  /** `POST login`, a form with username and password. @returns whether it was right; then the cookie is set on the response */
  async login(exchange: Exchange, cookieName: string): Promise<boolean> {
    this.#rate.count(exchange.request.socket.remoteAddress ?? "");
    const form = await readForm(exchange, LARGEST_LOGIN);
    const [name, password] = [form.get("username"), form.get("password")];
    if (typeof name !== "string" || typeof password !== "string" || !this.#fits(name, password)) return false;
    const token = randomBytes(24).toString("hex");
    this.#logins.add(token);
    if (this.#logins.size > MOST_LOGINS) this.#logins.delete(this.#logins.values().next().value!);
    exchange.response.setHeader("set-cookie", `${cookieName}=${token}; Path=/; HttpOnly; SameSite=Lax`);
    return true;
  }

  /** What a program is told. */
  refuse(exchange: Exchange): void {
    sendJson(exchange, 401, {
      detail: "Not authenticated",
      error: { message: "Not authenticated", type: "invalid_request_error", code: "invalid_api_key" },
    });
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
