/**
 * Links that need no login, as those of the Hub's file storage: clients send no token there. A link is signed, ends after a day, and
 * allows one thing with one object.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { nowMs } from "./clock.js";
import type { Exchange } from "./exchange.js";
import { Refusal } from "./refusal.js";
import type { Repository } from "./repository.js";

const LIFETIME_MS = 24 * 3600_000;

export type LinkUse = "lfs" | "cdn" | "lfs-complete";

/** @param use to send ("lfs"), to join parts ("lfs-complete") or to fetch ("cdn") */
export function signLink(
  { storageBase, store }: Exchange,
  use: LinkUse,
  { kind, id }: Repository,
  oid: string,
  facts: Readonly<Record<string, string>>,
): string {
  const url = new URL(`/${use}/${kind}s/${id}/${oid}`, storageBase);
  for (const [name, value] of Object.entries(facts)) url.searchParams.set(name, value);
  url.searchParams.set("expires", String(nowMs() + LIFETIME_MS));
  url.searchParams.set("signature", signature(store.secret, url));
  return url.href;
}

/** @throws Refusal 403 for a link that was not signed here, was changed, or has ended */
export function checkLink({ url, store }: Exchange): URLSearchParams {
  const unsigned = new URL(url);
  const given = unsigned.searchParams.get("signature") ?? "";
  unsigned.searchParams.delete("signature");
  const right = Buffer.from(signature(store.secret, unsigned));
  const got = Buffer.from(given);
  if (got.length !== right.length || !timingSafeEqual(got, right)) throw new Refusal(403, "The link's signature does not match");
  if (Number(unsigned.searchParams.get("expires")) < nowMs()) throw new Refusal(403, "The link has expired; ask for a new one");
  return unsigned.searchParams;
}

function signature(secret: Buffer, { pathname, searchParams }: URL): string {
  return createHmac("sha256", secret).update(`${pathname}?${searchParams.toString()}`).digest("hex");
}
