/** Runs a recorded training again and says whether the same came out. */
import { readFile, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { registerBackend } from "../../compile/installedBackends.js";
import { Dataset, load_dataset } from "../../data/index.js";
import { ConfigError, PreflabError } from "../../errors.js";
import { parseAdapterConfig } from "../../model/adapterFiles.js";
import { AutoModelForCausalLM, BitsAndBytesConfig, type CausalLM, PeftModel } from "../../model/index.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../text/index.js";
import { CPOTrainer } from "../dpo/cpoTrainer.js";
import { DPOTrainer } from "../dpo/dpoTrainer.js";
import { ORPOTrainer } from "../dpo/orpoTrainer.js";
import { KTOTrainer } from "../kto/ktoTrainer.js";
import { STATE_FILE } from "../loop/checkpoints.js";
import type { TrainerCallback } from "../loop/callbacks.js";
import type { Trainer } from "../loop/trainer.js";
import type { LogEntry, TrainerState } from "../loop/trainerState.js";
import { CPOConfig } from "../options/cpoConfig.js";
import { DPOConfig } from "../options/dpoConfig.js";
import { KTOConfig } from "../options/ktoConfig.js";
import { ORPOConfig } from "../options/orpoConfig.js";
import { SFTConfig } from "../options/sftConfig.js";
import { SFTTrainer } from "../sft/sftTrainer.js";
import { changedFiles, compareInputs, locate } from "./changes.js";
import { compareRuns, type Verdict } from "./compareRuns.js";
import { hashText, parseOrder } from "./fingerprint.js";
import { type DataRecord, type ModelRecord, type RunManifest, readRunManifest } from "./runManifest.js";

export interface ReproduceOptions {
  /** Largest difference of a logged value or a weight, relative where it is above 1, that counts as the same; default 1e-4. */
  tolerance?: number;
  /** Where the repetition goes; default RUN_DIR-reproduced. It must be empty or not exist. */
  output_dir?: string;
  /** Go on although inputs have changed; default false. */
  allow_changes?: boolean;
  /** Told what has changed, before training starts; default console.log. */
  tell?: (line: string) => void;
}

export interface Reproduction extends Verdict {
  /** Inputs that are no longer as they were. */
  readonly changes: readonly string[];
  /** Where the repetition lies. */
  readonly output_dir: string;
}

const WHERE = "preflab reproduce";

/**
 * Repeats the run whose `output_dir` is given, from its manifest. A run that was stopped is repeated up to where it was stopped.
 * @throws ConfigError `run_manifest`, `run_unfinished`, `not_reproducible` (says what is missing), `inputs_changed` (names them),
 *   `input_missing`, `run_log`, `output_dir`
 */
export async function reproduceRun(dir: string, options: ReproduceOptions = {}): Promise<Reproduction> {
  const { tolerance = 1e-4, allow_changes = false, tell = (line) => console.log(line) } = options;
  if (!(tolerance >= 0)) throw new ConfigError("option_range", `${WHERE}: tolerance must be >= 0, got ${tolerance}`);
  const manifest = await readRunManifest(dir);
  requireRepeatable(dir, manifest);
  const log = await readLog(dir, manifest);
  const output_dir = options.output_dir ?? `${resolve(dir)}-reproduced`;
  await requireEmpty(output_dir);
  const files = await changedFiles(manifest);
  if (files.length > 0 && !allow_changes) throw changed(files);

  const stop = stopAt(manifest);
  const trainer = await makeTrainer(manifest, output_dir, stop.callback);
  try {
    stop.trainer = trainer;
    const others = await compareWith(manifest, trainer, files.length > 0);
    const changes = [...files, ...others.changes];
    if (changes.length > 0 && !allow_changes) throw changed(changes);
    for (const line of changes) tell(`changed: ${line}`);
    for (const line of [...others.notes, ...manifest.cautions]) tell(`note: ${line}`);
    await trainer.train();
    await trainer.save_model();
    const verdict = await compareRuns({ dir, log, results: manifest.results! }, trainer, tolerance);
    return { ...verdict, changes, output_dir };
  } finally {
    await trainer.dispose();
  }
}

function changed(changes: readonly string[]): ConfigError {
  return new ConfigError(
    "inputs_changed",
    `${WHERE}: the inputs must be those of the run, got changes; pass --allow-changes to go on with them\n${changes.map((line) => `  ${line}`).join("\n")}`,
  );
}

function requireRepeatable(dir: string, { status, error, not_reproducible, results }: RunManifest): void {
  if (results === null)
    throw new ConfigError(
      "run_unfinished",
      `${WHERE}: the run must have come to an end, got ${status === "failed" ? `one that failed (${error})` : "one that is running or was killed"} in ${dir}; there is nothing to compare with`,
    );
  if (not_reproducible.length > 0)
    throw new ConfigError(
      "not_reproducible",
      `${WHERE}: the run must be described in full by its manifest, got what no file can hold\n${not_reproducible.map((line) => `  ${line}`).join("\n")}`,
    );
}

/** The run's own entries of trainer_state.json. */
async function readLog(dir: string, { results }: RunManifest): Promise<LogEntry[]> {
  const file = join(dir, STATE_FILE);
  const refuse = (got: string, cause?: unknown): never => {
    throw new ConfigError("run_log", `${file}: must hold the log that the run has written, got ${got}; nothing can be compared`, { cause });
  };
  let state: TrainerState | undefined;
  try {
    state = JSON.parse(await readFile(file, "utf8")) as TrainerState;
  } catch (error) {
    refuse((error as Error).message, error);
  }
  const entries = state!.log_history.slice(...results!.log_entries);
  if (hashText(JSON.stringify(entries)) !== results!.log_sha256) refuse("one that was changed since");
  return entries;
}

async function requireEmpty(output_dir: string): Promise<void> {
  const names = await readdir(output_dir).catch(() => []);
  if (names.length > 0)
    throw new ConfigError(
      "output_dir",
      `${WHERE}: output_dir must be empty or new, got ${output_dir} with ${names.length} files; name another`,
    );
}

/** Ends a repetition where the run was stopped: by the user, or by a callback. */
function stopAt({ status, results }: RunManifest): { callback: TrainerCallback; trainer: Trainer | undefined } {
  const stop: { callback: TrainerCallback; trainer: Trainer | undefined } = {
    trainer: undefined,
    callback: {
      on_step_end: (state) => {
        if (status === "stopped" && state.global_step >= results!.global_step) stop.trainer?.stop();
      },
    },
  };
  return stop;
}

/** @param filesChanged rows that differ are then no wonder @throws ConfigError `not_reproducible` */
async function compareWith(manifest: RunManifest, trainer: Trainer, filesChanged: boolean) {
  const { inputs } = await trainer.describe();
  const sets = { train_dataset: [manifest.data.train, inputs.data.train] } as Record<string, [DataRecord, DataRecord]>;
  for (const [name, record] of Object.entries(manifest.data.eval)) sets[`eval_dataset ${name}`.trim()] = [record, inputs.data.eval[name]!];
  for (const [name, [then, now]] of Object.entries(sets)) {
    if (then.sha256 !== now.sha256 && !filesChanged)
      throw new ConfigError(
        "not_reproducible",
        `${WHERE}: ${name}: its rows must be those of the files, got rows that were changed in memory (map, rename_column, …) or read with options after ${then.files.map(({ path }) => path).join(", ")} was read; save them to a file and train on that`,
      );
  }
  return compareInputs(manifest, inputs);
}

async function makeTrainer(manifest: RunManifest, output_dir: string, callback: TrainerCallback): Promise<Trainer> {
  const own = { output_dir, logging_dir: null, report_to: "none", resume_from_checkpoint: null } as const;
  const options = { ...manifest.options, ...own };
  const processing_class = await loadTokenizer(manifest);
  const backend = manifest.options["backend"];
  if (typeof backend === "string") await registerBackend(backend);
  const evalSets = await Promise.all(Object.entries(manifest.data.eval).map(async ([name, set]) => [name, await loadRows(set)] as const));
  const shared = {
    model: await loadRecorded(manifest.model),
    train_dataset: await loadRows(manifest.data.train),
    ...(evalSets.length === 0 ? {} : { eval_dataset: evalSets[0]![0] === "" ? evalSets[0]![1] : Object.fromEntries(evalSets) }),
    ...(manifest.ref_model === null ? {} : { ref_model: await loadRecorded(manifest.ref_model) }),
    ...(manifest.adapter === null ? {} : { peft_config: parseAdapterConfig(manifest.adapter, WHERE) }),
    processing_class,
    callbacks: [callback],
  };
  const check = { where: WHERE, prefix: "" };
  switch (manifest.method) {
    case "sft":
      return new SFTTrainer({ ...shared, args: new SFTConfig(options, check) });
    case "dpo":
      return new DPOTrainer({ ...shared, args: new DPOConfig(options, check) });
    case "kto":
      return new KTOTrainer({ ...shared, args: new KTOConfig(options, check) });
    case "cpo":
      return new CPOTrainer({ ...shared, args: new CPOConfig(options, check) });
    case "orpo":
      return new ORPOTrainer({ ...shared, args: new ORPOConfig(options, check) });
    default:
      throw new ConfigError(
        "run_manifest",
        `${WHERE}: method must be sft, dpo, kto, cpo or orpo, got ${manifest.method}; use the Preflab that ran it`,
      );
  }
}

function loadTokenizer({ tokenizer: { place }, model }: RunManifest): Promise<PreTrainedTokenizer> {
  const { repository, path } = place;
  if (repository === undefined) return AutoTokenizer.from_pretrained(path);
  // A tokenizer does not know its commit; the model's own comes with the model.
  return AutoTokenizer.from_pretrained(repository, repository === model.place.repository ? { revision: model.place.commit } : {});
}

async function loadRecorded(record: ModelRecord): Promise<CausalLM> {
  const quantization_config = record.quantization === null ? undefined : new BitsAndBytesConfig(record.quantization);
  const { repository, commit } = record.place;
  const how = {
    ...(quantization_config === undefined ? {} : { quantization_config }),
    ...(repository === undefined ? {} : { revision: commit }),
  };
  const base = await AutoModelForCausalLM.from_pretrained(repository ?? record.place.path, how);
  if (record.adapter === null) return base;
  const inside = record.files.filter(({ repository: from }) => from === record.adapter!.repository).map(({ path }) => path);
  return PeftModel.from_pretrained(base, await locate(record.adapter, "model", inside));
}

/** The rows in the order in which the run had them. @throws ConfigError `input_missing` where a file has fewer rows now */
async function loadRows({ files, order, columns }: DataRecord): Promise<Dataset> {
  const parts: Dataset[] = [];
  for (const file of files) parts.push(await load_dataset(await locate(file, "dataset")));
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, part) => sum + part.length, 0));
  try {
    const rows = Dataset.concatenate(parts).select(
      parseOrder(order!).map(({ file, row }) => {
        parts[file]!.at(row);
        return starts[file]! + row;
      }),
    );
    return columns.every((name) => rows.column_names.includes(name)) ? rows.select_columns(columns) : rows;
  } catch (error) {
    if (!(error instanceof PreflabError)) throw error;
    throw new ConfigError("input_missing", `${WHERE}: every row of the run must be in its files, got fewer rows; ${error.message}`, {
      cause: error,
    });
  }
}
