import os from "node:os";
import { describeHardware } from "../train/manifest/machine.js";

export interface Machine {
  platform: string;
  node: string;
  /** Preflab needs at least this. */
  nodeNeeded: string;
  nodeIsSupported: boolean;
  processor: string;
  /** Threads that this process may use. */
  threads: number;
  /** Bytes that this process may use: the machine's memory, or the container's limit when that is lower. */
  memoryTotal: number;
  /** Bytes free now. */
  memoryFree: number;
}

/** @param nodeNeeded the "engines.node" of package.json, of the form ">=20.19" */
export function describeMachine(nodeNeeded: string): Machine {
  const { cpu, threads, memory_bytes, platform } = describeHardware();
  return {
    platform: `${platform}, ${os.release()}`,
    node: process.versions.node,
    nodeNeeded,
    nodeIsSupported: isAtLeast(process.versions.node, nodeNeeded.replace(/^>=\s*/, "")),
    processor: cpu,
    threads,
    memoryTotal: memory_bytes,
    memoryFree: Math.min(os.freemem(), memory_bytes),
  };
}

function isAtLeast(version: string, needed: string): boolean {
  const [have, want] = [version, needed].map((text) => text.split(".").map(Number)) as [number[], number[]];
  for (let i = 0; i < want.length; i++) if (have[i] !== want[i]) return (have[i] ?? 0) > want[i]!;
  return true;
}
