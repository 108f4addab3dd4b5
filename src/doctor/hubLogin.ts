import { locateToken } from "../hub/environment.js";

export interface HubLogin {
  /** Where a token was found: the name of a variable, or the path of a file. Null when there is none. The token itself is never shown. */
  source: string | null;
  install: string[];
}

/** Looks for a Hugging Face token where the Hub's own calls do. */
export function findHubLogin(environment: Readonly<Record<string, string | undefined>> = process.env): HubLogin {
  const token = locateToken(environment);
  if (token !== undefined) return { source: token.source, install: [] };
  return { source: null, install: ["set HF_TOKEN, or run hf auth login (only for pushing, and for models that ask for a login)"] };
}
