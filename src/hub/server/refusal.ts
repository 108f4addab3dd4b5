/** Answers that refuse, in the words of the Hugging Face Hub: clients tell them apart by status and X-Error-Code. */
import type { OutgoingHttpHeaders } from "node:http";
import { PreflabError } from "../../errors.js";

/** The Hub's X-Error-Code values that clients know. */
export type RefusalCode = "RepoNotFound" | "RevisionNotFound" | "EntryNotFound" | "GatedRepo";

/** Ends a request; whoever answers turns it into a response. */
export class Refusal extends PreflabError {
  constructor(
    readonly status: number,
    message: string,
    readonly errorCode?: RefusalCode,
    readonly headers: OutgoingHttpHeaders = {},
  ) {
    super("hub_refusal", message);
  }
}

/** Strangers hear the same of what is missing and of what is private, so that names of private repositories do not leak. */
export function repositoryNotFound(loggedIn: boolean): Refusal {
  return loggedIn ? new Refusal(404, "Repository not found", "RepoNotFound") : loginNeeded();
}

export function loginNeeded(): Refusal {
  return new Refusal(401, "Invalid username or password.");
}

export function revisionNotFound(revision: string): Refusal {
  return new Refusal(404, `Invalid rev id: ${revision}`, "RevisionNotFound");
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, message);
}

export function tooLarge(what: string, size: number, limit: number): Refusal {
  return new Refusal(413, `${what} must have at most ${limit} bytes, got ${size}`);
}
