/** What a run leaves in the notebook's metadata (`preflab.run`), so that a later check can tell what has changed since. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Notebook } from "./nbformat.js";
import { ownPackageRoot } from "./packageRoot.js";
import { declaredValue } from "./parameters.js";

export interface RunRecord {
  /** Versions and machine that results may depend on. */
  environment: Record<string, string>;
  /** What the parameter cells set `seed` to, as written; null when they do not. */
  seed: string | null;
  /** Cell id → hash of the source that was run. */
  sources: Record<string, string>;
}

const require = createRequire(import.meta.url);
const ENGINES = ["onnxruntime-node", "@tensorflow/tfjs", "tslab"];

function packageVersion(name: string): string {
  return (JSON.parse(readFileSync(require.resolve(`${name}/package.json`), "utf8")) as { version: string }).version;
}

export function currentEnvironment(): Record<string, string> {
  const own = JSON.parse(readFileSync(join(ownPackageRoot(), "package.json"), "utf8")) as { version: string };
  return {
    preflab: own.version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    ...Object.fromEntries(ENGINES.map((name) => [name, packageVersion(name)])),
  };
}

export const sourceHash = (source: string): string => createHash("sha256").update(source).digest("hex").slice(0, 16);

export const seedOf = (notebook: Notebook): string | null => declaredValue(notebook, "seed") ?? null;

/** Writes the record of a run into the notebook. @param cells that were run */
export function recordRun(notebook: Notebook, cells: readonly { index: number }[]): void {
  const sources = Object.fromEntries(cells.map(({ index }) => [notebook.cells[index]!.id, sourceHash(notebook.cells[index]!.source)]));
  const run: RunRecord = { environment: currentEnvironment(), seed: seedOf(notebook), sources };
  notebook.metadata = { ...notebook.metadata, preflab: { ...(notebook.metadata["preflab"] as object | undefined), run } };
}

/** The record in a file, or undefined when it was not run by Preflab or the record is broken. */
export function readRunRecord(notebook: Notebook): RunRecord | undefined {
  const run = (notebook.metadata["preflab"] as { run?: Partial<RunRecord> } | undefined)?.run;
  const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
  return isObject(run) && isObject(run?.environment) && isObject(run?.sources) ? (run as RunRecord) : undefined;
}
