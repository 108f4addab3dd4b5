import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

export interface Jupyter {
  /** Version of `jupyter-core`, or null when there is no `jupyter` command. */
  version: string | null;
  /** Folders that hold a Preflab kernelspec. */
  kernelspecs: string[];
  install: string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

export async function findJupyter(environment: Environment = process.env): Promise<Jupyter> {
  const version = await jupyterVersion(environment);
  const kernelspecs = kernelFolders(environment).flatMap(preflabKernels);
  return {
    version,
    kernelspecs,
    install: [
      ...(version === null ? ["pip install jupyterlab (only for notebooks in a browser: preflab run needs no Python)"] : []),
      ...(kernelspecs.length === 0 ? ["preflab kernel install --user (only for notebooks in Jupyter or VS Code)"] : []),
    ],
  };
}

/** `jupyter --version` prints one line a package; a Python start may be slow, a hanging one is cut off. */
function jupyterVersion(environment: Environment): Promise<string | null> {
  return new Promise((resolve) => {
    execFile("jupyter", ["--version"], { timeout: 20_000, env: { ...environment } }, (error, stdout) => {
      resolve(error === null ? (/jupyter_core\s*:\s*(\S+)/.exec(stdout)?.[1] ?? "unknown") : null);
    });
  });
}

/** Jupyter's data path (`jupyter --paths`): JUPYTER_PATH, the user's folder, then those of each Python on PATH and of the system. */
function kernelFolders(environment: Environment): string[] {
  const home = environment["HOME"] ?? environment["USERPROFILE"] ?? homedir();
  const user =
    environment["JUPYTER_DATA_DIR"] ??
    (process.platform === "darwin"
      ? join(home, "Library", "Jupyter")
      : process.platform === "win32"
        ? join(environment["APPDATA"] ?? home, "jupyter")
        : join(environment["XDG_DATA_HOME"] ?? join(home, ".local", "share"), "jupyter"));
  const split = (text: string | undefined): string[] => (text ?? "").split(delimiter).filter((part) => part !== "");
  const prefixes = [
    environment["VIRTUAL_ENV"],
    environment["CONDA_PREFIX"],
    ...split(environment["PATH"]).map(dirname),
    "/usr/local",
    "/usr",
  ];
  const data = [
    ...split(environment["JUPYTER_PATH"]),
    user,
    ...prefixes.flatMap((prefix) => (prefix === undefined ? [] : [join(prefix, "share", "jupyter")])),
  ];
  return [...new Set(data)].map((folder) => join(folder, "kernels"));
}

/** Kernelspecs below a folder whose command line or name is Preflab's. */
function preflabKernels(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.map((name) => join(folder, name)).filter((path) => mentionsPreflab(join(path, "kernel.json")));
}

function mentionsPreflab(manifest: string): boolean {
  try {
    const { argv, display_name } = JSON.parse(readFileSync(manifest, "utf8")) as { argv?: string[]; display_name?: string };
    return /preflab/i.test(display_name ?? "") || (argv ?? []).some((part) => /preflab/i.test(part));
  } catch {
    return false;
  }
}
