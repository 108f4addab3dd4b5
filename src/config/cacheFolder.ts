import { homedir } from "node:os";
import { join } from "node:path";

/** Where one kind of computed files is kept between runs: a folder in PREFLAB_CACHE, default `~/.cache/preflab`. It may not exist yet. */
export function cacheFolder(kind: string): string {
  return join(process.env["PREFLAB_CACHE"] ?? join(homedir(), ".cache", "preflab"), kind);
}
