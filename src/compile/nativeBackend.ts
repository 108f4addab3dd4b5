/**
 * TensorFlow.js's native backends, `@tensorflow/tfjs-node-gpu` (CUDA) and `@tensorflow/tfjs-node` (CPU). They are optional: their
 * install downloads hundreds of megabytes. Both register the backend name `tensorflow`; whichever is installed is used by engine "eager".
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import util from "node:util";
import { EngineError } from "../errors.js";
import { tf } from "./tensorflow.js";

/** In the order in which they are tried. */
const NATIVE_PACKAGES = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const;
export type NativePackage = (typeof NATIVE_PACKAGES)[number];

/** A package that is on disk; it need not load. */
export interface InstalledNative {
  package: NativePackage;
  version: string;
  /** Absolute path of its package.json. */
  manifest: string;
}

export interface NativeBackend {
  /** What `new EagerEngine(backend)` and `tf.setBackend` take. */
  backend: "tensorflow";
  package: NativePackage;
  version: string;
}

/** Where packages are looked for: beside this library, then from the working folder. */
export function packageRoots(): string[] {
  return [import.meta.url, join(process.cwd(), "package.json")];
}

/** The native packages that are installed, without loading them. danfojs-node's install notes put plain `@tensorflow/tfjs` under the
 *  name `@tensorflow/tfjs-node`; that alias is told by its manifest's own name, and is not native.
 *  @param roots files or URLs from which packages are resolved */
export function findNativePackages(roots: readonly string[] = packageRoots()): InstalledNative[] {
  return NATIVE_PACKAGES.flatMap((name) => {
    for (const root of roots) {
      const manifest = resolveFrom(root, `${name}/package.json`);
      if (manifest === undefined) continue;
      const content = JSON.parse(readFileSync(manifest, "utf8")) as { name?: string; version?: string };
      if (content.name === name) return [{ package: name, version: content.version ?? "unknown", manifest }];
    }
    return [];
  });
}

/** Loads the first native package that works and returns its backend, or null when none is installed. Leaves the active backend as it was.
 *  @throws EngineError `native_backend` when packages are installed and none of them loads */
export function registerNativeBackend(installed: readonly InstalledNative[] = findNativePackages()): NativeBackend | null {
  const failures: string[] = [];
  for (const native of installed) {
    try {
      loadNative(native);
      return { backend: "tensorflow", package: native.package, version: native.version };
    } catch (error) {
      failures.push(`${native.package} ${native.version}: ${firstLine((error as Error).message)}`);
    }
  }
  if (failures.length === 0) return null;
  const message = `native backend: an installed package must load, got ${failures.join("; ")}; reinstall it, or choose another with backend: "cpu"`;
  throw new EngineError("native_backend", message);
}

function loadNative(native: InstalledNative): void {
  restoreUtilFunctions();
  const active = tf.engine().backendName as string | undefined;
  createRequire(native.manifest)(native.package);
  if (tf.findBackendFactory("tensorflow") === null) {
    throw new EngineError("native_backend", `it registered no backend "tensorflow" with TensorFlow.js ${tf.version.tfjs}`);
  }
  // The package makes itself the active backend when it is loaded.
  if (active && active !== tf.engine().backendName) void tf.setBackend(active);
}

/** tfjs-node 4.22 calls two functions that Node 23 took out of `util`. */
function restoreUtilFunctions(): void {
  const old = util as unknown as Record<string, unknown>;
  old["isNullOrUndefined"] ??= (value: unknown) => value === null || value === undefined;
  old["isArray"] ??= Array.isArray;
}

function resolveFrom(root: string, specifier: string): string | undefined {
  try {
    return createRequire(root).resolve(specifier);
  } catch {
    return undefined;
  }
}

function firstLine(message: string): string {
  return message.split("\n", 1)[0]!;
}
