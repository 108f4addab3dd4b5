/** Computed files of a test run (reference log-probs, built programs) are kept in a folder of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "preflab-cache-"));
  process.env["PREFLAB_CACHE"] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
