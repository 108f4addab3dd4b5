/** What must not leave this machine with a card. */
import os from "node:os";
import { resolve } from "node:path";
import { HubError } from "../../errors.js";

const TOKENS = /\b(?:hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16})\b/;
const HOMES = /(?:^|[\s"'`(=:])((?:\/home|\/Users|\/root)\/[^\s"'`)/]+|\/root\/\S|[A-Za-z]:\\Users\\[^\s\\"']+)/m;

/** @param paths of this machine that are known to be near, e.g. output_dir
 *  @throws HubError `card_private` for an access token or a path of this machine, which it does not repeat in full */
export function requirePublic(card: string, paths: readonly string[]): void {
  const refuse = (what: string, found: string): never => {
    throw new HubError(
      "card_private",
      `card: it must hold nothing private, got ${what} "${found.slice(0, 6)}…" in line ${lineOf(card, found)}; take it out of the samples, names or texts given for the card`,
    );
  };
  const token = TOKENS.exec(card)?.[0];
  if (token !== undefined) refuse("an access token", token);
  // "/" and a folder right under it are no secret, and are found in any text.
  const near = [os.homedir(), process.cwd(), ...paths].map((path) => resolve(path)).filter((path) => path.split(/[/\\]/).length > 2);
  const found = near.find((path) => card.includes(path)) ?? HOMES.exec(card)?.[1];
  if (found !== undefined) refuse("a path of this machine", found);
}

function lineOf(text: string, part: string): number {
  return text.slice(0, text.indexOf(part)).split("\n").length;
}
