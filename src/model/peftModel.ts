/** A model with a LoRA adapter, as PEFT's `PeftModel`. The base model's weights are shared, not copied, and stay as they are. */
import { type Engine, type InputSpec, type TensorMap } from "../compile/index.js";
import { fetchRepository, type RepositoryOptions, takeRepositoryOptions } from "../data/repository.js";
import { Random } from "../random.js";
import { adapterShapes, openAdapter, saveAdapter, type Adapter as AdapterFiles } from "./adapterFiles.js";
import { CausalLM, type EngineChoice, type ModelTensors, type Qwen2ForCausalLM } from "./causalLM.js";
import type { NamedTensor, SaveCheckpointOptions } from "./checkpointWriter.js";
import { initialAdapter, mergedWeight } from "./lora.js";
import type { LoraConfig } from "./loraConfig.js";
import { selectAdapterFiles } from "./repositoryFiles.js";
import { weightInputs } from "./weightFormats.js";

const ROUNDED_AGAIN =
  "PeftModel.merge_and_unload: the merged weights are rounded to 4 bits again, so texts may differ a little; merge_and_unload({ dequantize: true }) makes them exact float32";

/** Adapters on one engine are told apart by number. */
const adaptersOn = new WeakMap<Qwen2ForCausalLM, number>();

export class PeftModel extends CausalLM {
  override readonly base: Qwen2ForCausalLM;
  override readonly peft_config: LoraConfig;
  readonly #source: AdapterFiles | { seed: number };
  readonly #prefix: string;
  readonly #shapes: Map<string, number[]>;
  #changed = false;
  #loading: Promise<Engine> | undefined;

  /** @param source a checked adapter folder, or the seed of a fresh adapter */
  constructor(base: Qwen2ForCausalLM, config: LoraConfig, source: AdapterFiles | { seed: number }) {
    super();
    this.base = base;
    this.peft_config = config;
    this.#source = source;
    const number = adaptersOn.get(base) ?? 0;
    adaptersOn.set(base, number + 1);
    this.#prefix = `adapter.${number}/`;
    this.#shapes = adapterShapes(base.config, config);
  }

  /**
   * Opens a saved adapter on its base model.
   * @param pathOrId a folder in PEFT's layout, or a repository on the Hub (`owner/name`, when no such path exists)
   * @throws ModelError if it holds no adapter, or one that does not fit the model; HubError
   */
  static async from_pretrained(base: Qwen2ForCausalLM, pathOrId: string, options: RepositoryOptions = {}): Promise<PeftModel> {
    const where = "PeftModel.from_pretrained";
    const [repository] = takeRepositoryOptions(where, options, []);
    const fetched = await fetchRepository(where, pathOrId, { kind: "model", select: selectAdapterFiles }, repository);
    const files = await openAdapter(fetched?.dir ?? pathOrId, base.config);
    return new PeftModel(base, files.config, files);
  }

  /** Whether the adapter was read from a folder; a fresh one leaves the base model's outputs unchanged until it is trained. */
  get wasLoaded(): boolean {
    return "dir" in this.#source;
  }

  override load(choice: EngineChoice = {}): Promise<Engine> {
    const loaded = this.base.load(choice);
    this.#loading ??= loaded
      .then((engine) => this.#read(engine))
      .catch((error: unknown) => {
        this.#loading = undefined;
        throw error;
      });
    const adapter = this.#loading;
    // The base may have been disposed since the adapter was read.
    return loaded.then(() => adapter);
  }

  async #read(engine: Engine): Promise<Engine> {
    if ("dir" in this.#source) {
      for (const [name, entry] of this.#source.tensors) await engine.load(this.storeName(name), entry);
    } else {
      const fresh = initialAdapter(this.config, this.peft_config, new Random(this.#source.seed).fork("lora"));
      for (const [name, tensor] of fresh) await engine.put(this.storeName(name), tensor);
    }
    return engine;
  }

  override signature(): Record<string, InputSpec> {
    const signature = this.base.signature();
    for (const [name, shape] of this.#shapes) signature[name] = { shape, role: "state", store: this.storeName(name) };
    return signature;
  }

  override tensors(inputs: TensorMap, masks?: TensorMap): ModelTensors {
    return { weights: inputs, adapter: { scaling: this.peft_config.scaling, weights: inputs, masks } };
  }

  override trainable(): Map<string, readonly number[]> {
    return this.#shapes;
  }

  override storeName(name: string): string {
    return `${this.#prefix}${name}`;
  }

  override files(): string[] | undefined {
    const base = this.base.files();
    if (base === undefined || this.#changed || !("dir" in this.#source)) return undefined;
    return [...base, ...new Set([...this.#source.tensors.values()].map(({ file }) => file))];
  }

  override markChanged(): void {
    this.#changed = true;
  }

  async *#adapterTensors(): AsyncGenerator<NamedTensor> {
    const engine = await this.load();
    for (const [name, shape] of this.#shapes) yield [name, shape, (await engine.fetch(this.storeName(name))).data as Float32Array];
  }

  /** Saves the adapter alone, in PEFT's format. */
  override async save_pretrained(dir: string, { alsoWrite }: SaveCheckpointOptions = {}): Promise<void> {
    const config =
      this.peft_config.base_model_name_or_path === null
        ? this.peft_config.with({ base_model_name_or_path: this.name_or_path })
        : this.peft_config;
    await saveAdapter(dir, this.config, config, this.#adapterTensors(), alsoWrite);
  }

  /**
   * Adds the adapter to the base model's weights and returns the base model, which from then on is the tuned one.
   * @param options.dequantize of a 4-bit base: the merged weights become float32, exact, instead of being rounded to 4 bits again as PEFT does
   */
  async merge_and_unload({ dequantize = false }: { dequantize?: boolean } = {}): Promise<Qwen2ForCausalLM> {
    const engine = await this.load();
    if (this.base.quantization_config !== undefined && !dequantize) console.warn(ROUNDED_AGAIN);
    for (const [name, [r, inputs]] of this.#shapes as Map<string, [number, number]>) {
      if (!name.endsWith(".lora_A.weight")) continue;
      const path = name.replace("base_model.model.", "").replace(".lora_A.weight", "");
      const weight = `${path}.weight`;
      const b = name.replace(".lora_A.", ".lora_B.");
      const outputs = this.#shapes.get(b)![0]!;
      const merge = engine.compile(
        mergedWeight(this.peft_config.scaling, path),
        {
          ...weightInputs(weight, [outputs, inputs], this.base.formatOf(weight)),
          a: { shape: [r, inputs], role: "state", store: this.storeName(name) },
          b: { shape: [outputs, r], role: "state", store: this.storeName(b) },
        },
        { name: "merge_and_unload" },
      );
      await merge.run({}, { keep: { merged: weight } });
      await merge.dispose();
      await this.base.settle(weight, dequantize);
    }
    await this.#forget(engine);
    this.base.markChanged();
    return this.base;
  }

  async #forget(engine: Engine): Promise<void> {
    await engine.remove(...[...this.#shapes.keys()].map((name) => this.storeName(name)));
    this.#loading = undefined;
  }

  /** Frees the adapter; the base model stays. */
  override async dispose(): Promise<void> {
    if (this.#loading !== undefined) await this.#forget(await this.#loading);
  }
}

/** PEFT's way to put a fresh adapter on a model. @param seed of A's random numbers */
export function get_peft_model(model: Qwen2ForCausalLM, config: LoraConfig, { seed = 42 }: { seed?: number } = {}): PeftModel {
  return new PeftModel(model, config, { seed });
}
