/** What a measurement ran on, for the reader. */
import { readFileSync } from "node:fs";
import { cpus, totalmem, type as system, release } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../../scripts/corpus/pairs.js";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gb: number;
  readonly system: string;
  readonly node: string;
  readonly "onnxruntime-node": string;
}

export function describeMachine(): Machine {
  const { dependencies } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown CPU",
    cores: cpus().length,
    memory_gb: totalmem() / 1e9,
    system: `${system()} ${release()}`,
    node: process.versions.node,
    "onnxruntime-node": dependencies["onnxruntime-node"]!,
  };
}
