import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ModelError, PreflabError } from "../errors.js";
import { finishSave, writeFolder } from "./atomicFolder.js";
import type { NamedTensor } from "./checkpointWriter.js";
import { readJsonObject, showJson, type Qwen2Config } from "./config.js";
import { adapterShapes } from "./adapterPlan.js";
import { LORA_KEYS, LoraConfig, isOff } from "./loraConfig.js";
import { formatPythonJson, type JsonObject } from "./pythonJson.js";
import { readSafetensors, type TensorEntry } from "./safetensors.js";
import { SafetensorsWriter } from "./safetensorsWriter.js";
import { requireTensors } from "./tensorInventory.js";

export { adapterShapes, adapterTensorName } from "./adapterPlan.js";
export { LoraConfig } from "./loraConfig.js";

/** Names PEFT gives to the files of an adapter. */
export const ADAPTER_CONFIG_FILE = "adapter_config.json";
export const ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors";

/** An adapter folder that was opened and checked against its base model. */
export interface Adapter {
  readonly dir: string;
  readonly config: LoraConfig;
  /** Every tensor by its name in the file, in the order of `adapterShapes`; read one with `readFileTensor`. */
  readonly tensors: Map<string, TensorEntry>;
}

/** Opens an adapter in PEFT's layout for a base model of the given shape. Strict about names and shapes, as `openCheckpoint`.
 *  @throws ModelError `adapter_missing`, `adapter_config`, `tensors_mismatch`, `safetensors_*`, `file_*`, `save_unfinished` */
export async function openAdapter(dir: string, model: Qwen2Config): Promise<Adapter> {
  await finishSave(dir);
  const config = readAdapterConfig(dir);
  const file = join(dir, ADAPTER_WEIGHTS_FILE);
  if (!existsSync(file)) {
    const advice = existsSync(join(dir, "adapter_model.bin"))
      ? "save it again from Python, with safetensors"
      : "check that the download is complete";
    throw new ModelError("adapter_missing", `${dir}: an adapter folder must hold ${ADAPTER_WEIGHTS_FILE}, got none; ${advice}`);
  }
  const found = readSafetensors(file).tensors;
  const expected = shapesOf(dir, model, config);
  requireTensors(
    dir,
    expected,
    found,
    `check that the adapter was made for this base model (adapter_config.json says ${showJson(config.base_model_name_or_path)})`,
  );
  return { dir, config, tensors: new Map([...expected.keys()].map((name) => [name, found.get(name)!])) };
}

function shapesOf(dir: string, model: Qwen2Config, config: LoraConfig): Map<string, number[]> {
  try {
    return adapterShapes(model, config);
  } catch (cause) {
    if (!(cause instanceof PreflabError)) throw cause;
    throw new ModelError("adapter_config", `${dir}: the adapter must fit the model, got ${cause.message}`, { cause });
  }
}

const PLAIN = new LoraConfig().toJson();

/** Reads and checks `dir/adapter_config.json`. @throws ModelError `adapter_missing`, `adapter_config`, `config_json` */
export function readAdapterConfig(dir: string): LoraConfig {
  const file = join(dir, ADAPTER_CONFIG_FILE);
  const raw = readJsonObject(file);
  if (raw === undefined)
    throw new ModelError(
      "adapter_missing",
      `${dir}: an adapter folder must hold ${ADAPTER_CONFIG_FILE}, got none; pass the folder of the adapter, not of its base model`,
    );
  return parseAdapterConfig(raw, file);
}

/** Checks the content of an `adapter_config.json`. @param where first part of every message, normally the file's path
 *  @throws ModelError `adapter_config` */
export function parseAdapterConfig(raw: JsonObject, where: string): LoraConfig {
  if (raw.peft_type !== "LORA")
    throw new ModelError(
      "adapter_config",
      `${where}: peft_type must be "LORA", got ${showJson(raw.peft_type)}; other kinds of adapter are not supported`,
    );
  const settled = { ...raw };
  // How the matrices started no longer matters, unless the start has also changed the base model (PiSSA, OLoRA, …).
  if (raw.init_lora_weights === "orthogonal") settled.init_lora_weights = true;
  if (raw.task_type === null) delete settled.task_type;
  // A later PEFT may add keys: as long as they are off, they change nothing.
  const offered = Object.entries(settled).filter(([key, value]) => LORA_KEYS.has(key) || !isOff(value) || key in PLAIN);
  try {
    return new LoraConfig(Object.fromEntries(offered));
  } catch (cause) {
    if (!(cause instanceof PreflabError)) throw cause;
    throw new ModelError("adapter_config", `${where}: the adapter must be one that is supported, got ${cause.message}`, { cause });
  }
}

/** Saves an adapter so that Python's `PeftModel.from_pretrained(base, dir)` loads it: float32, all or nothing, equal bytes for equal content.
 *  Other files of an existing folder stay.
 *  @param tensors exactly the tensors of `adapterShapes(model, config)` under those names, in any order
 *  @param alsoWrite puts further files into the same all-or-nothing save
 *  @throws ModelError `tensor_unknown`, `tensor_size`, `tensors_missing`, `folder_is_file` */
export async function saveAdapter(
  dir: string,
  model: Qwen2Config,
  config: LoraConfig,
  tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  alsoWrite?: (folder: string) => Promise<void>,
): Promise<void> {
  await saveAdapters(dir, model, [{ config, tensors }], alsoWrite);
}

/** An adapter on its way to the disk. */
export interface SavedAdapter {
  /** Sub-folder for its files; without one they go into the folder itself. */
  readonly folder?: string;
  readonly config: LoraConfig;
  readonly tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>;
}

/** Saves several adapters into one folder, all or nothing. @throws ModelError as `saveAdapter` */
export async function saveAdapters(
  dir: string,
  model: Qwen2Config,
  adapters: readonly SavedAdapter[],
  alsoWrite?: (folder: string) => Promise<void>,
): Promise<void> {
  await writeFolder(
    dir,
    async (folder) => {
      for (const adapter of adapters) {
        const place = adapter.folder === undefined ? folder : join(folder, adapter.folder);
        await mkdir(place, { recursive: true });
        await writeAdapter(place, model, adapter);
      }
      await alsoWrite?.(folder);
    },
    { obsolete: (name) => name === "adapter_model.bin" },
  );
}

async function writeAdapter(folder: string, model: Qwen2Config, { config, tensors }: SavedAdapter): Promise<void> {
  const expected = adapterShapes(model, config);
  const plans = [...expected].map(([name, shape]) => ({ name, shape, dtype: "F32" as const }));
  const writer = await SafetensorsWriter.create(join(folder, ADAPTER_WEIGHTS_FILE), plans);
  try {
    for await (const [name, shape, values] of tensors) {
      const planned = expected.get(name);
      if (planned !== undefined && planned.join() !== shape.join()) {
        throw new ModelError(
          "tensor_size",
          `saveAdapter: ${name} must be [${planned.join(", ")}] by the config, got [${shape.join(", ")}]; check the adapter`,
        );
      }
      await writer.write(name, values);
    }
  } catch (cause) {
    await writer.abandon();
    throw cause;
  }
  await writer.close();
  await writeFile(join(folder, ADAPTER_CONFIG_FILE), formatPythonJson(config.toJson()));
}
