/** The time of day: commits, log lines and links that end carry it; nothing that is trained or downloaded does. */

/** Milliseconds since 1970. */
export function nowMs(): number {
  return Date.now();
}

/** `2026-11-28T04:27:54.000Z` */
export function timestamp(): string {
  return new Date(nowMs()).toISOString();
}
