/** Writes the kernelspec that makes Jupyter offer this kernel. A kernelspec is a JSON file: no Python is needed. */
import { mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { ConfigError } from "../src/errors.js";
import { defaultKernelCommand } from "../src/notebook/runner.js";

export const KERNEL_NAME = "preflab";

export interface InstallOptions {
  /** For this user: Jupyter's own data folder. The default. */
  user?: boolean;
  /** A Python environment (a venv or conda folder): PATH/share/jupyter/kernels. */
  sysPrefix?: string;
  /** The same rule for any other prefix, as /usr/local. */
  prefix?: string;
}

/** Jupyter's data folder of the user, by the rules of jupyter_core. */
function userDataFolder(): string {
  const set = process.env.JUPYTER_DATA_DIR;
  if (set !== undefined && set !== "") return set;
  if (process.platform === "darwin") return join(homedir(), "Library", "Jupyter");
  if (process.platform === "win32") return join(process.env.APPDATA ?? join(homedir(), "AppData", "Roaming"), "jupyter");
  const data = process.env.XDG_DATA_HOME;
  return join(data === undefined || data === "" ? join(homedir(), ".local", "share") : data, "jupyter");
}

export function kernelSpec(): Record<string, unknown> {
  return {
    argv: defaultKernelCommand(),
    display_name: "TypeScript (Preflab)",
    language: "typescript",
    interrupt_mode: "message",
    metadata: { debugger: false },
  };
}

/**
 * Installs the kernel as `preflab`, replacing an earlier one. The paths of Node.js and of the kernel are written as they are now:
 * install again after moving either.
 * @throws ConfigError when more than one place is named, or the package has not been built
 */
export async function installKernel(options: InstallOptions = {}): Promise<{ directory: string }> {
  const { user = false, sysPrefix, prefix } = options;
  const named = [
    user ? "--user" : undefined,
    sysPrefix === undefined ? undefined : "--sys-prefix",
    prefix === undefined ? undefined : "--prefix",
  ].filter((name) => name !== undefined);
  if (named.length > 1)
    throw new ConfigError("kernel_install_place", `kernel install: must name one place, got ${named.join(" and ")}; leave out all but one`);
  const root = prefix ?? sysPrefix;
  const data = root === undefined ? userDataFolder() : join(resolve(root), "share", "jupyter");
  const directory = join(data, "kernels", KERNEL_NAME);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "kernel.json"), `${JSON.stringify(kernelSpec(), undefined, 2)}\n`);
  await writeFile(join(directory, "logo-svg.svg"), LOGO);
  return { directory };
}

/** A rising preference: two bars, the chosen one taller. */
const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="10" fill="#3178c6"/><rect x="16" y="34" width="12" height="16" rx="2" fill="#fff" opacity=".55"/><rect x="36" y="14" width="12" height="36" rx="2" fill="#fff"/></svg>
`;
