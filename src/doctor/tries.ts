import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { findNativePackages, packageRoots } from "../compile/nativeBackend.js";
import { type Backend, BACKENDS } from "./backends.js";
import type { Outcome } from "./tryProcess.js";

export interface Finding {
  id: string;
  title: string;
  /** `absent`: a package is not installed, nothing was tried. `fails`: an error, a wrong product, a crash or no answer in time. */
  status: "works" | "fails" | "absent";
  /** GFLOP/s of a 512 × 512 × 512 product; only when it works. */
  speed?: number;
  /** Why it does not work. */
  reason?: string;
  /** What it cannot do although it works. */
  limit?: string;
  /** How a run chooses it; only when it works. */
  choose?: string;
  /** What to install or set up; only when it does not work. */
  install?: string;
}

export interface TryOptions {
  /** How long one backend may take. Default 60,000: a WebGPU driver may compile its first shaders for long. */
  timeoutMs?: number;
  /** The child's program; tests replace it by one that crashes or hangs. */
  program?: string;
}

/** Tries every backend, one after the other, each in a process of its own: a crash or hang is reported, not suffered. */
export async function tryBackends(backends: readonly Backend[] = BACKENDS, options: TryOptions = {}): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const backend of backends) findings.push(await tryBackend(backend, options));
  return findings;
}

async function tryBackend(backend: Backend, options: TryOptions): Promise<Finding> {
  const { id, title, choose, install } = backend;
  const missing = backend.packages.filter((name) => !isInstalled(name));
  if (missing.length > 0) return { id, title, status: "absent", reason: `${missing.join(" and ")} not installed`, install };
  const outcome = await runChild(backend, options);
  return outcome.works
    ? {
        id,
        title,
        status: "works",
        speed: Math.round(outcome.speed * 10) / 10,
        ...(outcome.limit === undefined ? {} : { limit: outcome.limit }),
        choose,
      }
    : { id, title, status: "fails", reason: shorten(outcome.reason), install };
}

function runChild({ id }: Backend, { timeoutMs = 60_000, program = defaultProgram() }: TryOptions): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = fork(program, [id], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
    let outcome: Outcome | undefined;
    let stderr = "";
    const timer = setTimeout(() => {
      outcome ??= { works: false, reason: `no answer within ${timeoutMs / 1000} s` };
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-2000)));
    child.on("message", (message) => (outcome = message as Outcome));
    child.on("error", (error) => (outcome ??= { works: false, reason: error.message }));
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const how = signal === null ? `ended with code ${code}` : `crashed with ${signal}`;
      resolve(outcome ?? { works: false, reason: [`its process ${how}`, lastLine(stderr)].filter((part) => part !== "").join(": ") });
    });
  });
}

/** From source (vitest) the program is taken from the build, since Node runs JavaScript only. */
function defaultProgram(): string {
  const file = import.meta.url.endsWith(".ts") ? "../../dist/src/doctor/tryProcess.js" : "./tryProcess.js";
  return fileURLToPath(new URL(file, import.meta.url));
}

function isInstalled(name: string): boolean {
  if (name.startsWith("@tensorflow/tfjs-node")) return findNativePackages().some((found) => found.package === name);
  return packageRoots().some((root) =>
    (createRequire(root).resolve.paths(name) ?? []).some((folder) => existsSync(`${folder}/${name}/package.json`)),
  );
}

/** ONNX Runtime puts source paths and the failed C++ condition before what a person can use; the advice is in `install`. */
function shorten(reason: string): string {
  return reason
    .replace(/^.* was false\. /s, "")
    .replace(/; preflab doctor lists .*$/s, "")
    .replace(/^native backend: an installed package must load, got (.*); reinstall it.*$/s, "$1")
    .replaceAll(/\s+/g, " ")
    .trim();
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1)!.trim();
}
