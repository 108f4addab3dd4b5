/** Installed Jupyter kernels. Where they are looked for: docs.jupyter.org/en/latest/use/jupyter-directories.html */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { ConfigError, nearestName } from "../errors.js";

function kernelFolders(): string[] {
  const env = process.env;
  const paths = (env["JUPYTER_PATH"] ?? "").split(delimiter).filter((path) => path !== "");
  const user =
    env["JUPYTER_DATA_DIR"] ??
    (process.platform === "darwin"
      ? join(homedir(), "Library", "Jupyter")
      : process.platform === "win32"
        ? join(env["APPDATA"] ?? homedir(), "jupyter")
        : join(env["XDG_DATA_HOME"] ?? join(homedir(), ".local", "share"), "jupyter"));
  const prefixes = [env["VIRTUAL_ENV"], env["CONDA_PREFIX"], "/usr/local", "/usr"].filter((path) => path !== undefined && path !== "");
  return [...paths, user, ...prefixes.map((prefix) => join(prefix!, "share", "jupyter"))].map((path) => join(path, "kernels"));
}

/** argv of an installed kernel of TypeScript or JavaScript. @throws ConfigError when there is none of that name, or it is of another language */
export function findKernel(name: string): string[] {
  const known = new Set<string>();
  for (const folder of kernelFolders()) {
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder)) if (existsSync(join(folder, entry, "kernel.json"))) known.add(entry);
    const file = join(folder, name, "kernel.json");
    if (!existsSync(file)) continue;
    const { argv, language } = JSON.parse(readFileSync(file, "utf8")) as { argv: string[]; language: string };
    if (!["typescript", "javascript"].includes(language.toLowerCase()))
      throw new ConfigError(
        "kernel_language",
        `kernel: must be of TypeScript or JavaScript, got ${name} of ${language}; use papermill for it`,
      );
    return argv;
  }
  const near = nearestName(name, [...known]);
  throw new ConfigError(
    "kernel_name",
    `kernel: must be installed, got ${name}; ${near === undefined ? `known are ${[...known].sort().join(", ") || "none"}` : `did you mean ${near}?`}`,
  );
}
