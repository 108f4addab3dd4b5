/** How much clients may ask for. */
import { nowMs } from "./clock.js";
import { Refusal } from "./refusal.js";

export interface HubLimits {
  /** Bytes of one large file; default 50 GB, as on the Hub. */
  readonly largestFile: number;
  /** Bytes of a small file, one that lies in the commit itself; default 10 MiB. */
  readonly largestSmallFile: number;
  /** Bytes of a commit's request; default 256 MiB. */
  readonly largestCommit: number;
  /** Large files beyond this many bytes are sent in parts of this size; default 64 MiB. */
  readonly partSize: number;
  /** Entries on a page of a listing; default 1000. */
  readonly pageSize: number;
  /** Requests of one user or address in a minute; default Infinity. */
  readonly requestsPerMinute: number;
}

export const DEFAULT_LIMITS: HubLimits = {
  largestFile: 50e9,
  largestSmallFile: 10 << 20,
  largestCommit: 256 << 20,
  partSize: 64 << 20,
  pageSize: 1000,
  requestsPerMinute: Infinity,
};

const MINUTE_MS = 60_000;

/** Counts requests by who sends them, in minutes that begin with the first. */
export class RateLimit {
  readonly #windows = new Map<string, { since: number; count: number }>();

  constructor(readonly perMinute: number) {}

  /** @throws Refusal 429 with Retry-After */
  count(who: string): void {
    if (this.perMinute === Infinity) return;
    const now = nowMs();
    for (const [name, { since }] of this.#windows) if (now - since >= MINUTE_MS) this.#windows.delete(name);
    const window = this.#windows.get(who) ?? { since: now, count: 0 };
    this.#windows.set(who, window);
    window.count++;
    if (window.count <= this.perMinute) return;
    const seconds = Math.max(1, Math.ceil((window.since + MINUTE_MS - now) / 1000));
    throw new Refusal(429, `At most ${this.perMinute} requests a minute; try again in ${seconds} s`, undefined, {
      "retry-after": String(seconds),
    });
  }
}
