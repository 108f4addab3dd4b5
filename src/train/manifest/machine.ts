/** On what a run was computed: the program with its packages, and the machine. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { hashFolder } from "./fingerprint.js";
import type { HardwareRecord, SoftwareRecord } from "./runManifest.js";

/** Whose versions decide what numbers come out: readers, tokenisation, tracing and arithmetic. */
const PACKAGES = [
  "onnxruntime-node",
  "@tensorflow/tfjs",
  "@tensorflow/tfjs-node",
  "@tensorflow/tfjs-node-gpu",
  "@huggingface/tokenizers",
  "@huggingface/jinja",
  "protobufjs",
  "hyparquet",
  "csv-parse",
  "read-excel-file",
];

/** Of the program as it runs: from source in a test, built otherwise. */
const CODE = resolve(import.meta.dirname, "../..");

export function describeHardware(): HardwareRecord {
  const limit = process.constrainedMemory();
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? "unknown",
    cores: cpus.length,
    threads: os.availableParallelism(),
    memory_bytes: limit > 0 && limit < os.totalmem() ? limit : os.totalmem(),
    platform: `${process.platform} ${process.arch}`,
  };
}

let software: Promise<SoftwareRecord> | undefined;

/** Read once: a process does not change its code. */
export function describeSoftware(): Promise<SoftwareRecord> {
  return (software ??= readSoftware());
}

async function readSoftware(): Promise<SoftwareRecord> {
  const file = createRequire(import.meta.url).resolve("preflab/package.json");
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  const found = PACKAGES.map((name) => [name, versionOf(name, dirname(file))] as const);
  return {
    preflab: version,
    commit: await commitOf(dirname(file)),
    code_sha256: await hashFolder(CODE, (name) => /(?<!\.d)\.(ts|js)$/.test(name)),
    node: process.versions.node,
    packages: Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== undefined)),
  };
}

/** Packages need not let their package.json be imported, so it is looked for as Node looks for packages. */
function versionOf(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, "node_modules", name, "package.json");
    if (existsSync(file)) return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
    if (folder === dirname(folder)) return undefined;
  }
}

/** null where Preflab is no checkout of its own: the repository that has it in node_modules says nothing about it. */
async function commitOf(root: string): Promise<string | null> {
  if (!existsSync(join(root, ".git"))) return null;
  try {
    const { stdout } = await promisify(execFile)("git", ["-C", root, "rev-parse", "HEAD"], { encoding: "utf8" });
    return stdout.trim();
  } catch {
    // Without git the hash of the code still tells it.
    return null;
  }
}
