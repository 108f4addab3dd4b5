/** An adapter together with the model it was made for. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fetchRepository, takeRepositoryOptions } from "../data/repository.js";
import { ModelError } from "../errors.js";
import { ADAPTER_CONFIG_FILE, openAdapter, readAdapterConfig } from "./adapterFiles.js";
import { AutoModelForCausalLM, type PretrainedModelOptions, type Qwen2ForCausalLM } from "./causalLM.js";
import type { AdapterOptions } from "./adapterOptions.js";
import { PeftModel } from "./peftModel.js";
import { selectAdapterFiles } from "./repositoryFiles.js";

/** PEFT's entry point for an adapter whose configuration names its base model. */
export class AutoPeftModelForCausalLM {
  /**
   * Loads the model that `base_model_name_or_path` names, and the adapter on it. Where that is a folder with an adapter, as a model
   * with one adapter upon another is saved, the adapters are stacked again.
   * @param pathOrId a folder in PEFT's layout, or a repository on the Hub; `revision` is the adapter's
   * @param options `quantization_config` is the base model's
   * @throws ModelError `adapter_base` when no base model is named, and as the two loaders; HubError
   */
  static async from_pretrained(pathOrId: string, options: PretrainedModelOptions & AdapterOptions = {}): Promise<PeftModel> {
    const where = "AutoPeftModelForCausalLM.from_pretrained";
    const [repository, own] = takeRepositoryOptions(where, options, [
      "engine",
      "device",
      "threads",
      "backend",
      "quantization_config",
      "dtype",
      "adapter_name",
      "is_trainable",
    ]);
    const { adapter_name, is_trainable, ...choice } = own;
    const fetched = await fetchRepository(where, pathOrId, { kind: "model", select: selectAdapterFiles }, repository);
    const dir = fetched?.dir ?? pathOrId;
    const named = readAdapterConfig(dir).base_model_name_or_path;
    if (named === null) {
      throw new ModelError(
        "adapter_base",
        `${pathOrId}: base_model_name_or_path in ${ADAPTER_CONFIG_FILE} must name the base model, got null; load that model and use PeftModel.from_pretrained(model, dir)`,
      );
    }
    const base = placeOf(named, dir);
    const { revision: _revision, ...shared } = repository;
    const stacked = existsSync(join(base, ADAPTER_CONFIG_FILE)) && !existsSync(join(base, "config.json"));
    const model: Qwen2ForCausalLM | PeftModel = stacked
      ? await AutoPeftModelForCausalLM.from_pretrained(base, { ...shared, ...choice, is_trainable: false })
      : await AutoModelForCausalLM.from_pretrained(base, { ...shared, ...choice });
    const files = await openAdapter(dir, model.base.config);
    return new PeftModel(model, files.config, files, { adapter_name, is_trainable });
  }
}

/** The named model, or an adapter of that name within or beside the folder, for one that was moved together with what is beneath it. */
function placeOf(named: string, dir: string): string {
  if (existsSync(named)) return named;
  const moved = [join(dir, basename(named)), join(dirname(dir), basename(named))];
  return moved.find((place) => existsSync(join(place, ADAPTER_CONFIG_FILE))) ?? named;
}
