/**
 * Shuts the process that runs a submission's cells in. Only that process: the kernel with its sockets and the grader stay outside, and
 * the cells reach them by pipes alone, so nothing is lost by taking the network away.
 *
 * Three ways, strongest first. Each is a program and its first arguments, put before `node` by the kernel (PREFLAB_USER_COMMAND):
 * - `bubblewrap`: no network, an own list of processes, a file tree of nothing but what is named here, read-only but for the scratch folder.
 * - `namespaces`: the same by util-linux alone (unshare, mount, pivot_root, setpriv), where bubblewrap is not installed.
 * - `permissions`: Node's permission model. Files as above and no child processes, but the network is open before Node 25, and native
 *   add-ons, which models need, are not held by it.
 * The environment holds nothing but what is named here: no tokens.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { ConfigError } from "../../errors.js";
import { NAMESPACE_SCRIPT } from "./namespaceScript.js";

export const PROTECTIONS = ["bubblewrap", "namespaces", "permissions", "none"] as const;
export type Protection = (typeof PROTECTIONS)[number];

/** What a report says about each. */
export const PROTECTION_TEXT: Readonly<Record<Protection, string>> = {
  bubblewrap: "bubblewrap: no network, nothing can be written but the scratch folder, only the named files can be read",
  namespaces: "Linux namespaces: no network, nothing can be written but the scratch folder, only the named files can be read",
  permissions:
    "Node's permission model: nothing can be written but the scratch folder, only the named files can be read, no child processes; native add-ons are not held by it, and the network is NOT shut off before Node 25",
  none: "NONE: the submission could read and write every file of this user, and use the network",
};

export interface SandboxRequest {
  /** The one folder that cells may write, and their working directory's parent. */
  scratch: string;
  /** Folders and files that cells may read, beside Node, the system's libraries and Preflab itself. */
  readable: readonly string[];
  /** Files that look empty, wherever they are: sources with solutions, other submissions. */
  hidden: readonly string[];
  /** Root folder of the preflab package. */
  packageRoot: string;
}

const SYSTEM_FOLDERS = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/nix/store"];

/** What cells need of the package (not its notebooks: the shipped assignment's solutions are there), and every node_modules folder that
 *  its imports may reach. Links are followed: a checkout may share one. */
function packagePlaces(root: string): string[] {
  const folders = ["package.json", "dist", "datasets"].map((name) => join(root, name));
  for (let folder = root; ; folder = dirname(folder)) {
    const modules = join(folder, "node_modules");
    if (existsSync(modules)) folders.push(modules, realpathSync(modules));
    if (folder === dirname(folder)) return folders;
  }
}

/** Existing places once each, without those inside others. */
function outermost(paths: readonly string[]): string[] {
  const existing = [...new Set(paths.filter((path) => existsSync(path)).flatMap((path) => [path, realpathSync(path)]))].sort();
  return existing.filter((path) => !existing.some((other) => other !== path && path.startsWith(`${other}/`)));
}

function readablePlaces(request: SandboxRequest): string[] {
  return outermost([...packagePlaces(request.packageRoot), ...request.readable]);
}

/** Where Node is installed: /usr, or a folder of a version manager. */
function nodeFolder(): string {
  return dirname(dirname(realpathSync(process.execPath)));
}

function environment(request: SandboxRequest): Record<string, string> {
  return {
    PATH: [dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"].join(delimiter),
    HOME: request.scratch,
    TMPDIR: join(request.scratch, "tmp"),
    PREFLAB_CACHE: join(request.scratch, "cache"),
    HF_HUB_OFFLINE: "1",
    LANG: process.env["LANG"] ?? "C.UTF-8",
    TZ: process.env["TZ"] ?? "UTC",
    // Nothing but the way to larger pages: see kernel-ext/hugePages.ts.
    GLIBC_TUNABLES: "glibc.malloc.hugetlb=1",
  };
}

/** Program and first arguments that shut in the command which follows. Makes `scratch/tmp`. */
export function sandboxCommand(protection: Protection, request: SandboxRequest): string[] {
  mkdirSync(join(request.scratch, "tmp"), { recursive: true });
  const env = environment(request);
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  switch (protection) {
    case "bubblewrap":
      return bubblewrapCommand(request, env);
    case "namespaces":
      return namespaceCommand(request, assignments);
    case "permissions":
      return ["env", "-i", ...assignments, `NODE_OPTIONS=${permissionFlags(request)}`];
    case "none":
      return ["env", "-i", ...assignments];
  }
}

function bubblewrapCommand(request: SandboxRequest, env: Record<string, string>): string[] {
  const { scratch } = request;
  const readOnly = [...SYSTEM_FOLDERS, nodeFolder(), ...readablePlaces(request)].flatMap((path) => ["--ro-bind-try", path, path]);
  const empty = request.hidden.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", "/dev/null", path]);
  return [
    ...["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"],
    ...[...readOnly, "--proc", "/proc", "--dev", "/dev", "--bind", scratch, scratch],
    ...underReadable(request, empty),
    ...["--remount-ro", "/", "--clearenv", ...Object.entries(env).flatMap(([name, value]) => ["--setenv", name, value]), "--"],
  ];
}

/** Files outside of what is readable are not there at all, so there is nothing to cover. */
function underReadable(request: SandboxRequest, binds: string[]): string[] {
  const places = [...readablePlaces(request), request.scratch];
  const kept: string[] = [];
  for (let at = 0; at < binds.length; at += 3) {
    const path = binds[at + 2]!;
    if (places.some((place) => path === place || path.startsWith(`${place}/`))) kept.push(...binds.slice(at, at + 3));
  }
  return kept;
}

function namespaceCommand(request: SandboxRequest, assignments: readonly string[]): string[] {
  const empty = underReadable(
    request,
    request.hidden.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", "/dev/null", path]),
  ).filter((_, at) => at % 3 === 2);
  const shown = [...SYSTEM_FOLDERS.filter((path) => existsSync(path)), nodeFolder(), ...readablePlaces(request)];
  const lists = [[...new Set(shown)], empty].flatMap((list) => [String(list.length), ...list]);
  return [
    ...["unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"],
    ...["sh", "-c", NAMESPACE_SCRIPT, "sandbox", request.scratch, ...lists],
    ...["env", "-i", ...assignments],
  ];
}

/** Node says "denied" where programs that look for a file up the folders expect "not there": TypeScript's and our own module resolution. */
const DENIED_IS_ABSENT = `import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
for (const [name, absent] of [["existsSync", () => false], ["statSync", orThrow], ["lstatSync", orThrow]]) {
  const original = fs[name];
  fs[name] = (path, options) => {
    try { return original(path, options); } catch (error) {
      if (error.code !== "ERR_ACCESS_DENIED") throw error;
      return absent(error, options);
    }
  };
}
function orThrow(error, options) { if (options?.throwIfNoEntry === false) return undefined; throw error; }
syncBuiltinESMExports();`;

function permissionFlags(request: SandboxRequest): string {
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  const stable = major >= 24 || (major === 23 && minor >= 5) || (major === 22 && minor >= 13);
  const quoted = (path: string): string => `"${path.replace(/["\\]/g, "\\$&")}"`;
  const places = readablePlaces(request);
  const shown = request.hidden.find((file) => places.some((place) => file.startsWith(`${place}/`)));
  if (shown !== undefined) {
    throw new ConfigError(
      "sandbox_hidden",
      `grade: with --sandbox permissions no file to be hidden may lie in a folder that submissions read, got ${shown}; move it, or use bubblewrap`,
    );
  }
  return [
    stable ? "--permission" : "--experimental-permission",
    ...["--allow-worker", "--allow-addons", `--import=data:text/javascript;base64,${Buffer.from(DENIED_IS_ABSENT).toString("base64")}`],
    ...[...places, request.scratch].map((path) => `--allow-fs-read=${quoted(path)}`),
    `--allow-fs-write=${quoted(request.scratch)}`,
    "--disable-warning=ExperimentalWarning",
    "--disable-warning=SecurityWarning",
  ].join(" ");
}

/** Tries it for real: a child must run, and must not be able to write beside its scratch folder. */
async function works(protection: Protection, packageRoot: string): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "preflab-sandbox-"));
  const scratch = join(folder, "scratch");
  mkdirSync(scratch);
  const outside = join(folder, "outside");
  const [program, ...argv] = [
    ...sandboxCommand(protection, { scratch, readable: [], hidden: [], packageRoot }),
    process.execPath,
    "-e",
    `const fs = require("fs"); fs.writeFileSync(${JSON.stringify(join(scratch, "inside"))}, "");
     try { fs.writeFileSync(${JSON.stringify(outside)}, ""); } catch { console.log("held"); }`,
  ];
  try {
    const { stdout } = await promisify(execFile)(program!, argv, { timeout: 20_000, cwd: scratch });
    return stdout.trim() === "held" && !existsSync(outside) && existsSync(join(scratch, "inside"));
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const blocksNetwork = (protection: Protection): boolean =>
  protection === "bubblewrap" ||
  protection === "namespaces" ||
  (protection === "permissions" && Number(process.versions.node.split(".")[0]) >= 25);

/**
 * The strongest protection that works here and shuts off network and files; a named one must work.
 * @throws ConfigError `sandbox` when there is none: a weaker one is used only when it is asked for
 */
export async function chooseProtection(wanted: Protection | "auto", packageRoot: string): Promise<Protection> {
  if (wanted === "none") return "none";
  if (wanted !== "auto") {
    if (await works(wanted, packageRoot)) return wanted;
    throw new ConfigError(
      "sandbox",
      `grade: the sandbox must work on this machine, got ${wanted}, which does not; leave it out to use one that does`,
    );
  }
  for (const protection of PROTECTIONS) if (blocksNetwork(protection) && (await works(protection, packageRoot))) return protection;
  throw new ConfigError(
    "sandbox",
    "grade: network and files must be shut off while submissions run, got neither bubblewrap nor user namespaces; install bubblewrap, or accept less with --sandbox permissions or --sandbox none",
  );
}
