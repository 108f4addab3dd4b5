/** Which files of a repository on the Hub make a checkpoint or an adapter: what `openCheckpoint` and `openAdapter` read, no more. */
import type { RepositoryListing } from "../data/repository.js";
import { ModelError } from "../errors.js";
import { ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE } from "./adapterFiles.js";
import { WEIGHTS_FILE, WEIGHTS_INDEX_FILE } from "./checkpoint.js";

/** @throws ModelError `checkpoint_missing`, `index_value` */
export async function selectCheckpointFiles({ where, files, read }: RepositoryListing): Promise<string[]> {
  if (!files.includes("config.json")) {
    const advice = files.includes(ADAPTER_CONFIG_FILE)
      ? "it is an adapter: open its base model, then PeftModel.from_pretrained(model, id)"
      : "choose another repository";
    throw new ModelError("checkpoint_missing", `${where}: a model must have config.json, got ${countFiles(files)}; ${advice}`);
  }
  const configs = files.filter((file) => file === "config.json" || file === "generation_config.json");
  if (files.includes(WEIGHTS_FILE)) return [...configs, WEIGHTS_FILE];
  if (!files.includes(WEIGHTS_INDEX_FILE)) {
    const other = files.find((file) => /^pytorch_model.*\.bin$|\.gguf$|\.onnx$|^tf_model|^flax_model/.test(file));
    const got = other === undefined ? countFiles(files) : other;
    throw new ModelError(
      "checkpoint_missing",
      `${where}: a model must have ${WEIGHTS_FILE} or ${WEIGHTS_INDEX_FILE}, got ${got}; choose a repository or a revision with safetensors`,
    );
  }
  return [...configs, WEIGHTS_INDEX_FILE, ...shardsOf(where, await read(WEIGHTS_INDEX_FILE))];
}

function shardsOf(where: string, index: string): string[] {
  let names: unknown[] | undefined;
  try {
    names = Object.values((JSON.parse(index) as { weight_map: Record<string, unknown> }).weight_map);
  } catch {
    names = undefined;
  }
  if (names?.every((name) => typeof name === "string") !== true) {
    throw new ModelError(
      "index_value",
      `${where}: ${WEIGHTS_INDEX_FILE} must have a weight_map of file names; report it to the repository's owner`,
    );
  }
  return [...new Set(names as string[])].sort();
}

/** @throws ModelError `adapter_missing` */
export function selectAdapterFiles({ where, files }: RepositoryListing): string[] {
  const wanted = [ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE];
  const missing = wanted.filter((file) => !files.includes(file));
  if (missing.length > 0) {
    const advice = files.includes("config.json")
      ? "it is a full model: open it with AutoModelForCausalLM"
      : "choose a repository with an adapter in safetensors";
    throw new ModelError(
      "adapter_missing",
      `${where}: an adapter must have ${wanted.join(" and ")}, got no ${missing.join(" and ")}; ${advice}`,
    );
  }
  return wanted;
}

function countFiles(files: readonly string[]): string {
  return files.length <= 8 ? files.join(", ") || "no files" : `${files.length} others`;
}
