/**
 * `run_manifest.json`: what a run was made of and what came out, written beside its results. The inputs are named by their content, so
 * that `preflab reproduce` can tell what has changed since. It names files of this machine and stays on it; a model card takes from it
 * only what concerns others.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject } from "../../config/index.js";
import { ConfigError } from "../../errors.js";

export const MANIFEST_FILE = "run_manifest.json";
/** Raised when a manifest of this form cannot be read as the earlier one was. */
export const MANIFEST_VERSION = 1;

/** Where something lies: on the Hub, under `path` in a repository, or at an absolute path of this machine. */
export interface Place {
  readonly path: string;
  readonly repository?: string;
  /** The repository's commit. */
  readonly commit?: string;
}

export interface FileRecord extends Place {
  readonly bytes: number;
  readonly sha256: string;
}

export interface DataRecord {
  readonly rows: number;
  readonly columns: readonly string[];
  /** Of the rows themselves, as they were given to the trainer. */
  readonly sha256: string;
  readonly files: readonly FileRecord[];
  /** Which rows of which files, in order: `FILE:START+COUNT`, separated by spaces. null for rows that no file holds. */
  readonly order: string | null;
}

export interface ModelRecord {
  /** As it was asked for. */
  readonly name_or_path: string;
  /** The checkpoint's folder. */
  readonly place: Place;
  /** The folder of the adapter that was on it when training began. */
  readonly adapter: Place | null;
  /** Configuration and weights. */
  readonly files: readonly FileRecord[];
  readonly quantization: JsonObject | null;
}

export interface SoftwareRecord {
  readonly preflab: string;
  /** Commit of Preflab's checkout; null for an installed package. */
  readonly commit: string | null;
  /** Of the code that ran: every file of it. */
  readonly code_sha256: string;
  readonly node: string;
  /** Packages that the numbers depend on. */
  readonly packages: Readonly<Record<string, string>>;
}

export interface HardwareRecord {
  readonly cpu: string;
  readonly cores: number;
  /** Threads that the process could use. */
  readonly threads: number;
  readonly memory_bytes: number;
  readonly platform: string;
}

/** What a run is made of. */
export interface RunInputs {
  readonly method: string;
  readonly options: JsonObject;
  readonly seeds: { readonly seed: number; readonly data_seed: number | null };
  readonly data: { readonly train: DataRecord; readonly eval: Readonly<Record<string, DataRecord>> };
  readonly model: ModelRecord;
  /** What was given as `ref_model`. */
  readonly ref_model: ModelRecord | null;
  readonly tokenizer: { readonly name_or_path: string; readonly place: Place; readonly sha256: string };
  /** adapter_config.json of the fresh adapter that was trained. */
  readonly adapter: JsonObject | null;
  readonly software: SoftwareRecord;
  readonly hardware: HardwareRecord;
}

export interface RunResults {
  readonly global_step: number;
  readonly max_steps: number;
  readonly epoch: number;
  /** Seconds. */
  readonly train_runtime: number;
  readonly ended_at: string;
  /** Of the trained tensors as they were at the end. */
  readonly weights_sha256: string;
  /** The run's part of trainer_state.json's log_history, its first and one past its last entry, and the hash of that part. */
  readonly log_entries: readonly [number, number];
  readonly log_sha256: string;
}

export interface RunManifest extends RunInputs {
  readonly manifest_version: number;
  /** What keeps the run from being repeated from this file; empty when nothing does. */
  readonly not_reproducible: readonly string[];
  /** What is not recorded and might have mattered. */
  readonly cautions: readonly string[];
  readonly started_at: string;
  /** The checkpoint that the run went on from, its step. */
  readonly resumed_from_step: number | null;
  readonly status: "running" | "finished" | "stopped" | "failed";
  readonly error: string | null;
  readonly results: RunResults | null;
}

/** @throws ConfigError `run_manifest` for a folder without a manifest, or one that cannot be read */
export async function readRunManifest(dir: string): Promise<RunManifest> {
  const file = join(dir, MANIFEST_FILE);
  const refuse = (got: string, advice: string, cause?: unknown): never => {
    throw new ConfigError("run_manifest", `${file}: must be the manifest of a run, got ${got}; ${advice}`, { cause });
  };
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    refuse(missing ? "no such file" : (error as Error).message, "pass the output_dir of a training run", error);
  }
  const version = (manifest as Partial<RunManifest> | null)?.manifest_version;
  if (version !== MANIFEST_VERSION)
    refuse(`manifest_version ${String(version)}`, `use the version of Preflab that wrote it; this one reads ${MANIFEST_VERSION}`);
  const absent = ["method", "options", "data", "model", "tokenizer", "software"].find((name) => !(name in (manifest as object)));
  if (absent !== undefined) refuse(`none of ${absent}`, "it was cut or edited; take the run's own file");
  return manifest as RunManifest;
}
