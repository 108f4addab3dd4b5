/** Writes a run's manifest: at its beginning what it is made of, at its end what came out. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JsonObject } from "../../config/index.js";
import type { Dataset } from "../../data/index.js";
import { isRepositoryId } from "../../data/repository.js";
import { type CausalLM, PeftModel } from "../../model/index.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { type TrainerInput, evalSetsOf } from "../loop/trainerInput.js";
import { type TrainerState, logWithoutTimes } from "../loop/trainerState.js";
import type { TrainingConfig } from "../options/trainingConfig.js";
import { wallMs } from "../report/wallTime.js";
import { hashText, hashTokenizer, hashWeights, placeOf, recordData, recordFile } from "./fingerprint.js";
import { describeHardware, describeSoftware } from "./machine.js";
import {
  type DataRecord,
  type FileRecord,
  MANIFEST_FILE,
  MANIFEST_VERSION,
  type ModelRecord,
  type Place,
  type RunInputs,
  type RunManifest,
} from "./runManifest.js";

/** What a trainer was given. */
export interface RecordedInput extends TrainerInput<unknown> {
  readonly ref_model?: CausalLM;
  readonly formatting_func?: unknown;
}

/** What is recorded, and what keeps it from being enough. */
export interface Recorded {
  readonly inputs: RunInputs;
  readonly not_reproducible: readonly string[];
  readonly cautions: readonly string[];
}

/**
 * @param input as the trainer got it; its models must be as they were given: before training
 * @param method the trainer's tag
 */
export async function recordInputs(
  method: string,
  args: TrainingConfig,
  tokenizer: PreTrainedTokenizer,
  input: RecordedInput,
): Promise<Recorded> {
  const reasons: string[] = [];
  const data = async (name: string, dataset: Dataset): Promise<DataRecord> => {
    const record = await recordData(dataset).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      reasons.push(`${name}: a file of its rows can no longer be read (${(error as Error).message})`);
      return undefined;
    });
    if (record?.order === null) reasons.push(`${name}: its rows were made in memory, and no file holds them`);
    return record ?? { rows: dataset.length, columns: dataset.column_names, sha256: "", files: [], order: null };
  };
  const evalSets: Record<string, DataRecord> = {};
  const train = await data("train_dataset", input.train_dataset);
  for (const [name, dataset] of Object.entries(evalSetsOf(input, method)))
    evalSets[name] = await data(name === "" ? "eval_dataset" : `eval_dataset ${name}`, dataset);
  for (const [name, value] of Object.entries(args) as [string, unknown][]) {
    if (typeof value === "function") reasons.push(`${name}: it is a function, ${value.name === "" ? "without a name" : value.name}`);
  }
  if (input.formatting_func !== undefined) reasons.push("formatting_func: it is a function");
  const callbacks = input.callbacks?.length ?? 0;
  return {
    inputs: {
      method,
      options: args.to_json() as JsonObject,
      seeds: { seed: args.seed, data_seed: args.data_seed },
      data: { train, eval: evalSets },
      model: await recordModel("model", input.model, reasons),
      ref_model: input.ref_model === undefined ? null : await recordModel("ref_model", input.ref_model, reasons),
      tokenizer: {
        name_or_path: tokenizer.name_or_path,
        place: tokenizerPlace(tokenizer.name_or_path),
        sha256: await hashTokenizer(tokenizer),
      },
      adapter: input.peft_config === undefined ? null : (input.peft_config.toJson() as JsonObject),
      software: await describeSoftware(),
      hardware: describeHardware(),
    },
    not_reproducible: reasons,
    cautions: callbacks === 0 ? [] : [`callbacks: ${callbacks} of the user's; they are not recorded and are left out of a repetition`],
  };
}

/** A tokenizer knows its name, and no commit. */
function tokenizerPlace(name: string): Place {
  return isRepositoryId(name) && !existsSync(name) ? { path: "", repository: name } : placeOf(name);
}

async function recordModel(name: string, model: CausalLM, reasons: string[]): Promise<ModelRecord> {
  const { base } = model;
  const refuse = (reason: string): void => void reasons.push(`${name}: ${reason}`);
  const files = model.files();
  let adapter: ModelRecord["adapter"] = null;
  const own = base.files();
  if (own === undefined) refuse("its weights were changed in memory before this run; save it, and train what is loaded again");
  else if (files === undefined)
    refuse("its adapter was made or changed in memory; give the trainer peft_config, or save and load it again");
  else if (model instanceof PeftModel) {
    if (model.below !== base || model.adapters.size > 1)
      refuse("it has several adapters; only one that was loaded from a folder is repeated");
    else adapter = placeOf(dirname(files[own.length]!));
  }
  const records: FileRecord[] = [];
  for (const file of [join(base.checkpoint.dir, "config.json"), ...(files ?? own ?? [])]) {
    try {
      records.push(await recordFile(file));
    } catch (error) {
      refuse(`a file of it can no longer be read (${(error as Error).message})`);
    }
  }
  return {
    name_or_path: model.name_or_path,
    place: placeOf(base.checkpoint.dir),
    adapter,
    files: records,
    quantization: (base.quantization_config?.to_dict() ?? null) as JsonObject | null,
  };
}

/** How a run ended. */
export type Ending =
  | { readonly status: "finished" | "stopped"; readonly seconds: number; readonly model: CausalLM }
  | { readonly status: "failed"; readonly error: unknown };

export class RunRecorder {
  readonly describe: () => Promise<Recorded>;
  readonly #folder: string;
  #manifest: RunManifest | undefined;
  #logStart = 0;

  constructor(describe: () => Promise<Recorded>, folder: string) {
    this.describe = describe;
    this.#folder = folder;
  }

  /** What is known so far; undefined before the run. */
  get manifest(): RunManifest | undefined {
    return this.#manifest;
  }

  /** @param resumed whether `state` was read from a checkpoint */
  async begin(state: TrainerState, resumed: boolean): Promise<void> {
    const started_at = new Date(wallMs()).toISOString();
    const { inputs, not_reproducible, cautions } = await this.describe();
    // A resumed run repeats the whole one; what was evaluated before training is no part of it.
    this.#logStart = resumed ? 0 : state.log_history.length;
    this.#manifest = {
      manifest_version: MANIFEST_VERSION,
      status: "running",
      started_at,
      resumed_from_step: resumed ? state.global_step : null,
      error: null,
      not_reproducible,
      cautions,
      ...inputs,
      results: null,
    };
    await this.#write();
  }

  async end(state: TrainerState, ending: Ending): Promise<void> {
    // What failed before it began has left no trace.
    if (this.#manifest === undefined) return;
    if (ending.status === "failed") {
      const { error } = ending;
      this.#manifest = { ...this.#manifest, status: "failed", error: error instanceof Error ? error.message : String(error) };
      // What train() throws is the error to tell, not that the disk is full too.
      return this.#write().catch((cause: Error) => console.warn(`${MANIFEST_FILE} could not be written: ${cause.message}`));
    }
    const { status, seconds, model } = ending;
    const entries = [this.#logStart, state.log_history.length] as const;
    this.#manifest = {
      ...this.#manifest,
      status,
      results: {
        global_step: state.global_step,
        max_steps: state.max_steps,
        epoch: state.epoch,
        train_runtime: seconds,
        ended_at: new Date(wallMs()).toISOString(),
        weights_sha256: await hashWeights(model),
        log_entries: entries,
        log_sha256: hashText(JSON.stringify(logWithoutTimes(state.log_history).slice(...entries))),
      },
    };
    return this.#write();
  }

  async #write(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await writeFileAtomic(join(this.#folder, MANIFEST_FILE), `${JSON.stringify(this.#manifest, null, 2)}\n`);
  }
}
