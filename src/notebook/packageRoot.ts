import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../errors.js";

/** The folder of the preflab package that this file belongs to. @throws ConfigError when it was taken out of it */
export function ownPackageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "preflab") return folder;
  }
  throw new ConfigError("kernel_missing", "kernel: must lie in the preflab package, got no such package; reinstall preflab");
}
