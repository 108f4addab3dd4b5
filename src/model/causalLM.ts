/**
 * A language model with its weights in an engine. The weights are read on first use; until then a model is only a folder
 * that was checked. A trained model is the same object with other numbers, as in transformers.
 */
import {
  DTYPE_BYTES,
  type Engine,
  type Head,
  type HostDType,
  type HeadGradient,
  type InputSpec,
  type TensorFormat,
  type TensorMap,
  headMean,
  storedParts,
  tf,
} from "../compile/index.js";
import { fetchRepository, type RepositoryOptions, takeRepositoryOptions } from "../data/repository.js";
import { ConfigError, ModelError } from "../errors.js";
import { floatWeight } from "./baseWeight.js";
import { BitsAndBytesConfig, type BitsAndBytesConfigInput } from "./bitsAndBytesConfig.js";
import { openCheckpoint, type Checkpoint } from "./checkpoint.js";
import { type NamedTensor, type SaveCheckpointOptions, saveCheckpoint } from "./checkpointWriter.js";
import type { Qwen2Config } from "./config.js";
import type { GenerationConfig } from "./generationConfig.js";
import { HEAD_MEAN, headBlocks, headName, headOf } from "./head.js";
import type { Adapter } from "./lora.js";
import type { LoraConfig } from "./loraConfig.js";
import { type EngineChoice, createEngine, definedOnly } from "./engineChoice.js";
import { selectCheckpointFiles } from "./repositoryFiles.js";
import { parameterShapes } from "./shapes.js";
import { requireTensors } from "./tensorInventory.js";
import {
  type ModelDtype,
  type WeightFormats,
  blockFormats,
  chooseCodes,
  requireDtype,
  weightFormats,
  weightInputs,
  weightUses,
} from "./weightFormats.js";

/** What a tensor function gets of a model: its weights by name and, if it has one, its adapter. */
export interface ModelTensors {
  readonly weights: TensorMap;
  readonly adapter?: Adapter;
}

/** Common to a full model and a model with an adapter. */
export abstract class CausalLM {
  /** The full model; itself when there is no adapter. */
  abstract readonly base: Qwen2ForCausalLM;
  /** The adapter's configuration, when there is one. */
  abstract readonly peft_config: LoraConfig | undefined;

  get config(): Qwen2Config {
    return this.base.config;
  }
  get generation_config(): GenerationConfig {
    return this.base.checkpoint.generationConfig;
  }
  /** Where the weights came from: a folder, or an id on the Hugging Face Hub. */
  get name_or_path(): string {
    return this.base.source;
  }

  /** Bytes that the weights, adapter included, take in a compiled engine; an eager one keeps packed numbers wider (`Engine.bytes`). */
  get_memory_footprint(): number {
    const views = new Set(this.base.headBlocks().map(({ view }) => view));
    const stored = new Map(Object.entries(this.signature()).map(([name, spec]) => [spec.store ?? name, spec]));
    return [...stored]
      .filter(([name]) => !views.has(name))
      .reduce((bytes, [, { shape, dtype = "float32" }]) => bytes + DTYPE_BYTES[dtype] * (shape as number[]).reduce((a, b) => a * b, 1), 0);
  }

  /** @param where names the asker in the message @throws ConfigError `inference_only`, `quantized_training`, `nothing_to_train` */
  requireTrainable(where: string): void {
    this.base.requireFloats(where);
    if (this.trainable().size > 0) return;
    if (this.peft_config !== undefined || this.base.quantization_config === undefined)
      throw new ConfigError(
        "nothing_to_train",
        `${where}: the model must have something to train, got only frozen weights; pass peft_config, or make its adapter trainable`,
      );
    throw new ConfigError(
      "quantized_training",
      `${where}: a quantised model must be trained through an adapter, got ${this.name_or_path} without one; pass peft_config: new LoraConfig({ … }), or load the model without quantization_config`,
    );
  }

  /** Reads the weights into the engine, once. @param choice where to compute, if the model has no engine yet */
  abstract load(choice?: EngineChoice): Promise<Engine>;
  /** Names the program that computes the model: it changes with the active adapters, and when a tied head is untied. */
  abstract readonly form: string;
  /** As a JSON value: everything about the model that its programs depend on, beside their signatures. */
  abstract readonly computation: unknown;
  /** The weights as inputs of a program. */
  abstract signature(): Record<string, InputSpec>;
  /** Picks the model's tensors out of a program's inputs. @param masks dropout masks by module path */
  abstract tensors(inputs: TensorMap, masks?: TensorMap): ModelTensors;
  /** Names and shapes of what training changes. */
  abstract trainable(): Map<string, readonly number[]>;
  /** The store name of a trainable tensor. */
  abstract storeName(name: string): string;
  /** The files whose numbers the model has, or undefined once it was changed or when it was never saved. */
  abstract files(): string[] | undefined;
  /** Says that the stored numbers no longer are those of the files. */
  abstract markChanged(): void;
  /** Saves as transformers (a full model) or PEFT (an adapter) does. All or nothing. */
  abstract save_pretrained(dir: string, options?: SaveCheckpointOptions): Promise<void>;
  /** Puts what `save_pretrained` saved in place of the present numbers: how a run is resumed, or goes back to its best checkpoint.
   *  @throws ModelError when the folder holds another kind of model or other shapes */
  abstract restore(dir: string): Promise<void>;
  /** Frees the weights and the compute worker. Final: numbers that were not saved are gone, and the model cannot be used again. */
  abstract dispose(): Promise<void>;
}

export class Qwen2ForCausalLM extends CausalLM {
  override readonly base = this;
  override readonly peft_config = undefined;
  readonly checkpoint: Checkpoint;
  /** The folder or Hub id that was asked for. */
  readonly source: string;
  /** How the linear layers were quantised, if they were. */
  readonly quantization_config: BitsAndBytesConfig | undefined;
  /** How all weights are held: "q8" and "q4" are for inference alone. */
  readonly dtype: ModelDtype;
  readonly #choice: EngineChoice;
  #config: Qwen2Config | undefined;
  readonly #formats: WeightFormats;
  #changed = false;
  #disposed = false;
  #engine: Engine | undefined;
  #loading: Promise<Engine> | undefined;

  /** @param choice where it computes; a choice given to `load` before the first use comes first
   *  @param source what to call it, default the checkpoint's folder
   *  @param quantization how to quantise the weights while they are loaded
   *  @param dtype "q8" or "q4" rounds all matrices, for inference alone; not together with `quantization`
   *  @throws ConfigError `quantization_nothing`, `skip_module_unknown` */
  constructor(
    checkpoint: Checkpoint,
    choice: EngineChoice = {},
    source: string = checkpoint.dir,
    quantization?: BitsAndBytesConfig,
    dtype: ModelDtype = "fp32",
  ) {
    super();
    this.dtype = dtype;
    this.checkpoint = checkpoint;
    this.source = source;
    this.quantization_config = quantization;
    this.#choice = choice;
    if (dtype !== "fp32") this.#formats = blockFormats(checkpoint.config, dtype);
    else if (quantization === undefined) this.#formats = new Map<string, TensorFormat>();
    else this.#formats = weightFormats(checkpoint.config, checkpoint.tensors, quantization);
  }

  /** @param where names the asker in the message @throws ConfigError `inference_only` */
  requireFloats(where: string): void {
    if (this.dtype === "fp32") return;
    throw new ConfigError(
      "inference_only",
      `${where}: the model must be loaded with dtype "fp32", got "${this.dtype}", which is for generation alone; load it without dtype`,
    );
  }

  override get form(): string {
    return this.#config === undefined ? "" : "untied";
  }

  override get computation(): unknown {
    const { raw: _raw, ...config } = this.config;
    return config;
  }

  /** The checkpoint's, unless `untieHead` has changed it. */
  override get config(): Qwen2Config {
    return this.#config ?? this.checkpoint.config;
  }

  override load(choice: EngineChoice = {}): Promise<Engine> {
    if (this.#disposed) {
      // Reading the files again would silently bring back the numbers from before the training.
      return Promise.reject(new ModelError("disposed", `model ${this.name_or_path}: it was disposed; load it again with from_pretrained`));
    }
    this.#requireSameEngine(choice);
    this.#loading ??= this.#read(createEngine({ ...this.#choice, ...definedOnly(choice) }));
    return this.#loading;
  }

  #requireSameEngine(choice: EngineChoice): void {
    const wanted = choice.engine;
    if (this.#engine === undefined || wanted === undefined) return;
    const same = typeof wanted === "string" ? wanted === this.#engine.kind : wanted === this.#engine;
    if (!same) {
      const got = typeof wanted === "string" ? wanted : wanted.kind;
      throw new ConfigError(
        "engine_fixed",
        `model ${this.name_or_path}: its weights are in engine "${this.#engine.kind}", got "${got}"; load the model again for another engine`,
      );
    }
  }

  async #read(engine: Engine): Promise<Engine> {
    this.#engine = engine;
    try {
      await chooseCodes(engine, this.#formats, `model ${this.name_or_path}`);
      await engine.loadAll([...this.checkpoint.tensors].map(([name, file]) => ({ name, file, format: this.formatOf(name) })));
      await this.#viewHead(engine);
      return engine;
    } catch (error) {
      await engine.dispose();
      this.#engine = undefined;
      this.#loading = undefined;
      throw error;
    }
  }

  async #viewHead(engine: Engine): Promise<void> {
    for (const { view, start, rows } of this.headBlocks()) await engine.view(view, this.#headPart().name, start, rows);
  }

  /** The part of the head that holds its rows. */
  #headPart(): { name: string; dtype: HostDType } {
    const name = headName(this.config);
    return storedParts(name, [this.config.vocab_size, this.config.hidden_size], this.formatOf(name))[0]!;
  }

  /** Gives a tied model a head of its own, equal to the embedding for now; nothing for one that has it. */
  async untieHead(): Promise<void> {
    if (!this.config.tie_word_embeddings) return;
    const engine = await this.load();
    const [embedding, head] = ["model.embed_tokens.weight", "lm_head.weight"];
    const format = this.formatOf(embedding);
    for (const { name } of storedParts(embedding, [this.config.vocab_size, this.config.hidden_size], format))
      await engine.copy(name, name.replace(embedding, head));
    if (format !== undefined) this.#formats.set(head, format);
    const { config } = this;
    this.#config = { ...config, tie_word_embeddings: false, raw: { ...config.raw, tie_word_embeddings: false } };
    await this.#viewHead(engine);
    this.markChanged();
  }

  /** Views of the head's rows; none when the vocabulary is small enough for one block. */
  headBlocks(): { view: string; start: number; rows: number }[] {
    return this.dtype === "fp32" ? headBlocks(this.config) : [];
  }

  /** How a weight is held in the engine; undefined is float32. */
  formatOf(name: string): TensorFormat | undefined {
    return this.#formats.get(name);
  }

  override signature(): Record<string, InputSpec> {
    const signature: Record<string, InputSpec> = {};
    for (const [name, shape] of parameterShapes(this.config)) {
      Object.assign(signature, weightInputs(name, shape, this.formatOf(name), weightUses(name, this.config)));
    }
    const dtype = this.#headPart().dtype as InputSpec["dtype"];
    for (const { view, rows } of this.headBlocks()) signature[view] = { shape: [rows, this.config.hidden_size], dtype, role: "state" };
    return signature;
  }

  override tensors(inputs: TensorMap): ModelTensors {
    return { weights: inputs };
  }

  /** The language-model head out of a program's inputs. A frozen head may come with the mean of its rows, `HEAD_MEAN`. */
  head(weights: TensorMap, gradient: HeadGradient): Head {
    return headOf(this.config, weights, gradient);
  }

  /** Stores the mean of the head's rows as it is now, for programs that list `HEAD_MEAN` among their inputs. */
  async storeHeadMean(): Promise<void> {
    const engine = await this.load();
    const name = headName(this.config);
    const used = [name, `${name}.half`, `${name}.half_scale`, ...this.headBlocks().map(({ view }) => view)];
    const mean = engine.compile(
      (weights) => {
        const head = this.head(weights, "none");
        return { mean: head.scale === undefined ? tf.mean(head.weight, 0) : headMean(head) };
      },
      Object.fromEntries(Object.entries(this.signature()).filter(([input]) => used.includes(input))),
      { name: "mean of the head" },
    );
    await mean.run({}, { keep: { mean: HEAD_MEAN } });
    await mean.dispose();
  }

  /** Empty for a quantised model: its weights are constants under an adapter. */
  override trainable(): Map<string, readonly number[]> {
    return this.#formats.size === 0 ? parameterShapes(this.config) : new Map<string, number[]>();
  }

  override storeName(name: string): string {
    return name;
  }

  override files(): string[] | undefined {
    return this.#changed ? undefined : [...new Set([...this.checkpoint.tensors.values()].map(({ file }) => file))];
  }

  override markChanged(): void {
    this.#changed = true;
  }

  /** Every parameter with its present numbers, in the order of the checkpoint. */
  async *parameters(): AsyncGenerator<NamedTensor> {
    const engine = await this.load();
    for (const [name, shape] of parameterShapes(this.config)) yield [name, shape, await this.#numbers(engine, name, shape)];
  }

  async #numbers(engine: Engine, name: string, shape: readonly number[]): Promise<Float32Array> {
    const format = this.formatOf(name);
    if (format === undefined) return (await engine.fetch(name)).data as Float32Array;
    const widen = engine.compile((weights) => ({ numbers: floatWeight(weights, name) }), weightInputs(name, shape, format), { name });
    try {
      return (await widen.run({}))["numbers"]!.data as Float32Array;
    } finally {
      await widen.dispose();
    }
  }

  /**
   * Takes over a weight that was changed and stands in float32 under its own name: it gets the format it had, or stays float32.
   * @param dequantize leave it in float32
   */
  async settle(name: string, dequantize: boolean): Promise<void> {
    const format = this.formatOf(name);
    if (format === undefined) return;
    const engine = await this.load();
    if (!dequantize) {
      await engine.encode(name, name, format);
      await engine.remove(name);
      return;
    }
    await engine.remove(...storedParts(name, engine.shapeOf(name), format).map((part) => part.name));
    this.#formats.delete(name);
    if (name === headName(this.config)) await this.#viewHead(engine);
  }

  override async save_pretrained(dir: string, options: SaveCheckpointOptions = {}): Promise<void> {
    this.requireFloats("save_pretrained");
    await saveCheckpoint(dir, this.config, this.generation_config, this.parameters(), options);
  }

  override async restore(dir: string): Promise<void> {
    const saved = await openCheckpoint(dir);
    requireTensors(dir, parameterShapes(this.config), saved.tensors, "pass a checkpoint of this model");
    const engine = await this.load();
    for (const [name, entry] of saved.tensors) await engine.load(name, entry);
    this.markChanged();
  }

  override async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#engine?.dispose();
  }
}

export interface PretrainedModelOptions extends EngineChoice, RepositoryOptions {
  /** Quantises the linear layers while they are read, as bitsandbytes does. */
  quantization_config?: BitsAndBytesConfig | BitsAndBytesConfigInput;
  /**
   * For generation alone: "q8" rounds all matrices to 8 bits in blocks of 32 while they are read, "q4" to 4 bits (embedding and head to 8),
   * as llama.cpp's Q8_0 and Q4_0. Default "fp32". Names are transformers.js's.
   */
  dtype?: ModelDtype;
}

/** transformers' entry point. */
export class AutoModelForCausalLM {
  /**
   * @param pathOrId a folder in Hugging Face's layout, or a repository on the Hub (`owner/name`, when no such path exists)
   * @throws ModelError for what is no checkpoint, or one whose tensors do not fit its config; HubError;
   *   ConfigError `load_in_bits`, `dtype`, `two_quantizations`, and as `BitsAndBytesConfig`
   */
  static async from_pretrained(pathOrId: string, options: PretrainedModelOptions = {}): Promise<Qwen2ForCausalLM> {
    const where = "AutoModelForCausalLM.from_pretrained";
    const short = ["load_in_4bit", "load_in_8bit"].find((name) => name in options);
    if (short !== undefined)
      throw new ConfigError(
        "load_in_bits",
        `${where}: ${short} must stand in a quantization_config, as in transformers 5, got it as an option; pass quantization_config: new BitsAndBytesConfig({ load_in_4bit: true, bnb_4bit_quant_type: "nf4" })`,
      );
    const own = ["engine", "device", "threads", "backend", "quantization_config", "dtype"] as const;
    const [repository, { quantization_config, dtype = "fp32", ...choice }] = takeRepositoryOptions(where, options, own);
    requireDtype(where, dtype, quantization_config !== undefined);
    const quantization =
      quantization_config === undefined || quantization_config instanceof BitsAndBytesConfig
        ? quantization_config
        : new BitsAndBytesConfig(quantization_config);
    const fetched = await fetchRepository(where, pathOrId, { kind: "model", select: selectCheckpointFiles }, repository);
    return new Qwen2ForCausalLM(await openCheckpoint(fetched?.dir ?? pathOrId), choice, pathOrId, quantization, dtype);
  }
}
