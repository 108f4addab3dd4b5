import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { readFileTensor, type FileTensor } from "../compile/fileTensors.js";
import { ModelError } from "../errors.js";
import { finishSave } from "./atomicFolder.js";
import { readConfig, readJsonObject, showJson, type Qwen2Config } from "./config.js";
import { readGenerationConfig, type GenerationConfig } from "./generationConfig.js";
import { readSafetensors, type TensorEntry } from "./safetensors.js";
import { parameterShapes } from "./shapes.js";
import { requireTensors } from "./tensorInventory.js";

/** Names Hugging Face gives to the files of a checkpoint. */
export const WEIGHTS_FILE = "model.safetensors";
export const WEIGHTS_INDEX_FILE = "model.safetensors.index.json";

/** A checkpoint folder that was opened and checked; the weights themselves are still on the disk. */
export interface Checkpoint {
  readonly dir: string;
  readonly config: Qwen2Config;
  readonly generationConfig: GenerationConfig;
  /** Every parameter by its Hugging Face name, in the order of `parameterShapes(config)`; read one with `readFileTensor`. */
  readonly tensors: Map<string, TensorEntry>;
}

/** Opens a folder in Hugging Face's layout: config.json, optionally generation_config.json, and the weights in `model.safetensors` or, when
 *  that is absent, in the shards that `model.safetensors.index.json` lists.
 *
 *  Strict: exactly the parameters of the config, each of its shape, in F32, F16 or BF16. One thing more is accepted: a tied model whose
 *  file also holds `lm_head.weight`. If it equals the embedding, number by number, it is left out of the result; if not, it is an
 *  error, because the file then contradicts its config (transformers 5 warns and unties it).
 *  @throws ModelError `checkpoint_missing`, `config_*`, `safetensors_*`, `index_*`, `tensors_mismatch`, `tied_head_differs`, `file_*`, `save_unfinished` */
export async function openCheckpoint(dir: string): Promise<Checkpoint> {
  await finishSave(dir);
  requireCheckpointFolder(dir);
  const config = readConfig(dir);
  const generationConfig = readGenerationConfig(dir, config);
  const found = findTensors(dir);
  if (config.tie_word_embeddings) leaveOutTiedHead(dir, config, found);
  const expected = parameterShapes(config);
  requireTensors(dir, expected, found, "use the config.json that belongs to these weights, or fetch the checkpoint again");
  const tensors = new Map([...expected.keys()].map((name) => [name, found.get(name)!]));
  return { dir, config, generationConfig, tensors };
}

function requireCheckpointFolder(dir: string): void {
  if (!existsSync(dir)) {
    throw new ModelError(
      "checkpoint_missing",
      `${dir}: the model folder must exist, got nothing there; check the path, or download the model first`,
    );
  }
  if (!existsSync(join(dir, "config.json")) && existsSync(join(dir, "adapter_config.json"))) {
    throw new ModelError(
      "checkpoint_missing",
      `${dir}: a model folder must hold config.json, got an adapter; open its base model and then PeftModel.from_pretrained(model, dir)`,
    );
  }
}

function findTensors(dir: string): Map<string, TensorEntry> {
  const single = join(dir, WEIGHTS_FILE);
  if (existsSync(single)) return readSafetensors(single).tensors;
  const index = join(dir, WEIGHTS_INDEX_FILE);
  if (existsSync(index)) return readShards(dir, index);
  const pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].find((name) => existsSync(join(dir, name)));
  const advice =
    pickled === undefined
      ? "check that the download is complete"
      : `convert ${pickled}: in Python, AutoModelForCausalLM.from_pretrained(dir).save_pretrained(dir)`;
  throw new ModelError(
    "checkpoint_missing",
    `${dir}: the folder must hold ${WEIGHTS_FILE} or ${WEIGHTS_INDEX_FILE}, got neither; ${advice}`,
  );
}

function readShards(dir: string, index: string): Map<string, TensorEntry> {
  const weightMap = readJsonObject(index)?.weight_map;
  if (typeof weightMap !== "object" || weightMap === null || Array.isArray(weightMap)) {
    throw new ModelError(
      "index_value",
      `${index}: weight_map must be an object of file names, got ${showJson(weightMap)}; repair the file or fetch it again`,
    );
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    // A path would let a downloaded index read outside its folder.
    if (typeof shard !== "string" || shard === "" || shard !== basename(shard) || shard.includes("\\") || shard.startsWith(".")) {
      throw new ModelError(
        "index_value",
        `${index}: weight_map must name a file in the same folder for each tensor, got ${showJson(shard)} for ${name}; repair the file or fetch it again`,
      );
    }
    shardOf.set(name, shard);
  }
  const shards = [...new Set(shardOf.values())].sort();
  const absent = shards.filter((shard) => !existsSync(join(dir, shard)));
  if (absent.length > 0) {
    throw new ModelError(
      "index_shard_missing",
      `${index}: every shard must be there, got ${absent.length} of ${shards.length} missing: ${absent.slice(0, 10).join(", ")}; complete the download`,
    );
  }
  const tensors = new Map<string, TensorEntry>();
  for (const shard of shards) {
    for (const [name, entry] of readSafetensors(join(dir, shard)).tensors) {
      const listed = shardOf.get(name);
      if (listed !== shard) {
        const got = listed === undefined ? "not in the index" : `listed in ${listed}`;
        throw new ModelError(
          "index_mismatch",
          `${index}: each tensor must be in the shard the index says, got ${name} in ${shard}, ${got}; the shards belong to different saves, fetch them again`,
        );
      }
      tensors.set(name, entry);
    }
  }
  const lost = [...shardOf.keys()].filter((name) => !tensors.has(name));
  if (lost.length > 0) {
    throw new ModelError(
      "index_mismatch",
      `${index}: each tensor must be in the shard the index says, got no ${lost[0]} in ${shardOf.get(lost[0]!)} (${lost.length} such); the shards belong to different saves, fetch them again`,
    );
  }
  return tensors;
}

/** Removes a head that repeats the tied embedding. A head of another shape stays and is reported with the other faults. */
function leaveOutTiedHead(dir: string, config: Qwen2Config, tensors: Map<string, TensorEntry>): void {
  const head = tensors.get("lm_head.weight");
  const embedding = tensors.get("model.embed_tokens.weight");
  if (head === undefined || embedding === undefined) return;
  const shape = [config.vocab_size, config.hidden_size];
  if (![head, embedding].every((entry) => entry.shape.length === 2 && entry.shape[0] === shape[0] && entry.shape[1] === shape[1])) return;
  const row = firstDifferentRow(head, embedding);
  if (row !== undefined) {
    throw new ModelError(
      "tied_head_differs",
      `${dir}: lm_head.weight must equal model.embed_tokens.weight because tie_word_embeddings is true, got different numbers in row ${row}; set tie_word_embeddings to false in config.json if the head is meant`,
    );
  }
  tensors.delete("lm_head.weight");
}

/** Compares two matrices of one shape, a block of rows at a time. */
function firstDifferentRow(a: TensorEntry, b: TensorEntry): number | undefined {
  const [rows, columns] = a.shape as [number, number];
  const blockRows = Math.max(1, Math.floor((1 << 20) / columns));
  for (let row = 0; row < rows; row += blockRows) {
    const count = Math.min(blockRows, rows - row);
    const left = readFileTensor(rowsOf(a, row, count));
    const right = readFileTensor(rowsOf(b, row, count));
    for (let i = 0; i < left.length; i++) {
      if (!Object.is(left[i], right[i]) && left[i] !== right[i]) return row + Math.floor(i / columns);
    }
  }
  return undefined;
}

function rowsOf(matrix: TensorEntry, row: number, count: number): FileTensor {
  const [rows, columns] = matrix.shape as [number, number];
  const rowBytes = matrix.byteLength / rows;
  return {
    file: matrix.file,
    dtype: matrix.dtype,
    shape: [count, columns],
    offset: matrix.offset + row * rowBytes,
    byteLength: count * rowBytes,
  };
}
