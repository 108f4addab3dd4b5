import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { FloatDtype } from "../compile/fileTensors.js";
import { ModelError } from "../errors.js";
import { writeFolder } from "./atomicFolder.js";
import { WEIGHTS_FILE, WEIGHTS_INDEX_FILE } from "./checkpoint.js";
import { configJson, type ConfigDtype, type Qwen2Config } from "./config.js";
import type { GenerationConfig } from "./generationConfig.js";
import { formatPythonJson } from "./pythonJson.js";
import { SafetensorsWriter, type TensorPlan, plannedBytes } from "./safetensorsWriter.js";
import { parameterShapes } from "./shapes.js";

export interface SaveCheckpointOptions {
  /** Format on disk, by transformers' names; also written to config.json. Default "float32". */
  dtype?: ConfigDtype;
  /** Largest size of one weights file in bytes; a single tensor beyond it gets a file of its own. Default 50e9, as transformers 5. */
  maxShardBytes?: number;
  /** Puts further files (tokenizer, trainer state) into the same all-or-nothing save. */
  alsoWrite?: (folder: string) => Promise<void>;
}

/** A parameter on its way to the disk: name, shape, row-major values. */
export type NamedTensor = readonly [name: string, shape: readonly number[], values: Float32Array];

const FILE_FORMATS: Readonly<Record<ConfigDtype, FloatDtype>> = { float32: "F32", float16: "F16", bfloat16: "BF16" };
const WEIGHTS_PATTERN = /^model(-\d{5}-of-\d{5})?\.safetensors$/;

/** Saves a model as transformers' `save_pretrained` does: config.json, generation_config.json, and `model.safetensors` or shards with an index.
 *  All or nothing (see atomicFolder.ts); weights files of an earlier save into the same folder disappear, other files stay. The tensors may come in
 *  any order and are written as they come, so one at a time needs to be in memory; equal content gives equal bytes.
 *  @param tensors exactly the parameters of `config`, each once
 *  @throws ModelError `tensor_unknown`, `tensor_size`, `tensors_missing`, `float16_overflow`, `shard_size`, `folder_is_file` */
export async function saveCheckpoint(
  dir: string,
  config: Qwen2Config,
  generationConfig: GenerationConfig,
  tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  options: SaveCheckpointOptions = {},
): Promise<void> {
  const { dtype = "float32", maxShardBytes = 50e9 } = options;
  if (!(maxShardBytes > 0))
    throw new ModelError("shard_size", `saveCheckpoint: maxShardBytes must be > 0, got ${maxShardBytes}; leave it out for one file`);
  const plans = [...parameterShapes(config)].map(([name, shape]) => ({ name, shape, dtype: FILE_FORMATS[dtype] }));
  const shards = planShards(plans, maxShardBytes);
  await writeFolder(
    dir,
    async (folder) => {
      await writeWeights(folder, shards, tensors);
      if (shards.size > 1) await writeFile(join(folder, WEIGHTS_INDEX_FILE), formatPythonJson(shardIndex(shards)));
      await writeFile(join(folder, "config.json"), formatPythonJson(configJson(config, dtype)));
      await writeFile(join(folder, "generation_config.json"), formatPythonJson(generationConfig.raw));
      await options.alsoWrite?.(folder);
    },
    { obsolete: (name) => WEIGHTS_PATTERN.test(name) || name === WEIGHTS_INDEX_FILE },
  );
}

/** Orders parameters as transformers 5 shards them: part by part of the name, layer numbers by value. */
function compareNames(a: string, b: string): number {
  const [left, right] = [a.split("."), b.split(".")];
  const at = left.findIndex((part, i) => part !== right[i]);
  const [x, y] = [left[at], right[at]];
  if (x === undefined || y === undefined) return left.length - right.length;
  const difference = Number(x) - Number(y);
  return Number.isNaN(difference) ? (x < y ? -1 : 1) : difference;
}

/** Fills files in the order of names, as huggingface_hub's `split_torch_state_dict_into_shards`: a tensor larger than the limit gets its own. */
function planShards(plans: readonly TensorPlan[], maxShardBytes: number): Map<string, TensorPlan[]> {
  const shards: TensorPlan[][] = [];
  let current: TensorPlan[] = [];
  let bytes = 0;
  for (const plan of [...plans].sort((a, b) => compareNames(a.name, b.name))) {
    const size = plannedBytes(plan);
    if (size > maxShardBytes) {
      shards.push([plan]);
      continue;
    }
    if (bytes + size > maxShardBytes) {
      shards.push(current);
      current = [];
      bytes = 0;
    }
    current.push(plan);
    bytes += size;
  }
  if (current.length > 0) shards.push(current);
  if (shards.length === 1) return new Map([[WEIGHTS_FILE, shards[0]!]]);
  const digits = (count: number) => String(count).padStart(5, "0");
  return new Map(shards.map((shard, i) => [`model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`, shard]));
}

async function writeWeights(
  folder: string,
  shards: ReadonlyMap<string, readonly TensorPlan[]>,
  tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
): Promise<void> {
  const writers: SafetensorsWriter[] = [];
  const writerOf = new Map<string, { writer: SafetensorsWriter; shape: readonly number[] }>();
  try {
    for (const [file, plans] of shards) {
      const writer = await SafetensorsWriter.create(join(folder, file), plans);
      writers.push(writer);
      for (const { name, shape } of plans) writerOf.set(name, { writer, shape });
    }
    for await (const [name, shape, values] of tensors) {
      const place = writerOf.get(name);
      if (place === undefined)
        throw new ModelError("tensor_unknown", `saveCheckpoint: a tensor must be a parameter of the config, got ${name}; check the model`);
      if (shape.length !== place.shape.length || shape.some((size, axis) => size !== place.shape[axis])) {
        throw new ModelError(
          "tensor_size",
          `saveCheckpoint: ${name} must be [${place.shape.join(", ")}] by the config, got [${shape.join(", ")}]; check the model`,
        );
      }
      await place.writer.write(name, values);
    }
    while (writers.length > 0) await writers.pop()!.close();
  } finally {
    for (const writer of writers) await writer.abandon();
  }
}

function shardIndex(shards: ReadonlyMap<string, readonly TensorPlan[]>): {
  metadata: Record<string, number>;
  weight_map: Record<string, string>;
} {
  const weight_map: Record<string, string> = {};
  let total_parameters = 0;
  let total_size = 0;
  for (const [file, plans] of shards) {
    for (const plan of plans) {
      weight_map[plan.name] = file;
      total_parameters += tensorLength(plan);
      total_size += plannedBytes(plan);
    }
  }
  return { metadata: { total_parameters, total_size }, weight_map };
}

function tensorLength(plan: TensorPlan): number {
  return plan.shape.reduce((product, size) => product * size, 1);
}
