import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export interface HubLogin {
  /** Where a token was found: the name of a variable, or the path of a file. Null when there is none. The token itself is never shown. */
  source: string | null;
  install: string[];
}

/** Looks for a Hugging Face token where Python's huggingface_hub does: HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HOME/token. */
export function findHubLogin(environment: Readonly<Record<string, string | undefined>> = process.env): HubLogin {
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    if ((environment[name] ?? "").trim() !== "") return { source: name, install: [] };
  }
  const home = environment["HOME"] ?? environment["USERPROFILE"] ?? homedir();
  const cache = environment["XDG_CACHE_HOME"] ?? join(home, ".cache");
  const file = environment["HF_TOKEN_PATH"] ?? join(environment["HF_HOME"] ?? join(cache, "huggingface"), "token");
  if (holdsText(file)) return { source: file, install: [] };
  return { source: null, install: ["set HF_TOKEN, or run hf auth login (only for pushing, and for models that ask for a login)"] };
}

function holdsText(file: string): boolean {
  try {
    return readFileSync(file, "utf8").trim() !== "";
  } catch {
    return false;
  }
}
