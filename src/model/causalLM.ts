/**
 * A language model with its weights in an engine. The weights are read on first use; until then a model is only a folder
 * that was checked. A trained model is the same object with other numbers, as in transformers.
 */
import { registerNativeBackend } from "../compile/nativeBackend.js";
import { CompiledEngine, EagerEngine, type Engine, type Head, type InputSpec, type TensorMap, tf } from "../compile/index.js";
import { fetchRepository, type RepositoryOptions, takeRepositoryOptions } from "../data/repository.js";
import { ConfigError, ModelError } from "../errors.js";
import { openCheckpoint, type Checkpoint } from "./checkpoint.js";
import { type NamedTensor, type SaveCheckpointOptions, saveCheckpoint } from "./checkpointWriter.js";
import type { Qwen2Config } from "./config.js";
import type { GenerationConfig } from "./generationConfig.js";
import type { Adapter } from "./lora.js";
import { headName, headWeight } from "./qwen2.js";
import type { LoraConfig } from "./loraConfig.js";
import { selectCheckpointFiles } from "./repositoryFiles.js";
import { parameterShapes } from "./shapes.js";
import { requireTensors } from "./tensorInventory.js";

/** Where a model computes. */
export interface EngineChoice {
  /** `compiled` (default): ONNX Runtime in a worker; `eager`: a TensorFlow.js backend; or an engine of your own. */
  readonly engine?: "compiled" | "eager" | Engine;
  /** ONNX Runtime's execution provider, for `compiled`; default `cpu`. */
  readonly device?: "cpu" | "webgpu" | "cuda";
  /** Threads of one operator, for `compiled`; default all cores. */
  readonly threads?: number | null;
  /** A registered TensorFlow.js backend, for `eager`; default tfjs-node-gpu or tfjs-node where installed, else the active one. */
  readonly backend?: string | null;
}

/** What a tensor function gets of a model: its weights by name and, if it has one, its adapter. */
export interface ModelTensors {
  readonly weights: TensorMap;
  readonly adapter?: Adapter;
}

/** Store name of the mean of the head's rows. */
export const HEAD_MEAN = "head.mean";

/** Rows of one block of the language-model head. 8,192 rows of logits for 160 tokens are 5 MB: they stay in the cache. */
const HEAD_BLOCK_ROWS = 8192;

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

  /** Reads the weights into the engine, once. @param choice where to compute, if the model has no engine yet */
  abstract load(choice?: EngineChoice): Promise<Engine>;
  /** Names the program that computes the model: it changes with the active adapters, and when a tied head is untied. */
  abstract readonly form: string;
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
  readonly #choice: EngineChoice;
  #config: Qwen2Config | undefined;
  #changed = false;
  #disposed = false;
  #engine: Engine | undefined;
  #loading: Promise<Engine> | undefined;

  /** @param choice where it computes; a choice given to `load` before the first use comes first
   *  @param source what to call it, default the checkpoint's folder */
  constructor(checkpoint: Checkpoint, choice: EngineChoice = {}, source: string = checkpoint.dir) {
    super();
    this.checkpoint = checkpoint;
    this.source = source;
    this.#choice = choice;
  }

  override get form(): string {
    return this.#config === undefined ? "" : "untied";
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
      for (const [name, entry] of this.checkpoint.tensors) await engine.load(name, entry);
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
    const name = headName(this.config);
    for (const { view, start, rows } of this.headBlocks()) await engine.view(view, name, start, rows);
  }

  /** Gives a tied model a head of its own, equal to the embedding for now; nothing for one that has it. */
  async untieHead(): Promise<void> {
    if (!this.config.tie_word_embeddings) return;
    const engine = await this.load();
    await engine.copy("model.embed_tokens.weight", "lm_head.weight");
    const { config } = this;
    this.#config = { ...config, tie_word_embeddings: false, raw: { ...config.raw, tie_word_embeddings: false } };
    await this.#viewHead(engine);
    this.markChanged();
  }

  /** Views of the head's rows; none when the vocabulary is small enough for one block. */
  headBlocks(): { view: string; start: number; rows: number }[] {
    const rows = this.config.vocab_size;
    if (rows <= 2 * HEAD_BLOCK_ROWS) return [];
    const count = Math.ceil(rows / HEAD_BLOCK_ROWS);
    return Array.from({ length: count }, (_, i) => {
      const start = i * HEAD_BLOCK_ROWS;
      return { view: `head.block.${i}`, start, rows: Math.min(HEAD_BLOCK_ROWS, rows - start) };
    });
  }

  override signature(): Record<string, InputSpec> {
    const signature: Record<string, InputSpec> = {};
    for (const [name, shape] of parameterShapes(this.config)) signature[name] = { shape, role: "state" };
    for (const { view, rows } of this.headBlocks()) signature[view] = { shape: [rows, this.config.hidden_size], role: "state" };
    return signature;
  }

  override tensors(inputs: TensorMap): ModelTensors {
    return { weights: inputs };
  }

  /** The language-model head out of a program's inputs. A frozen head may come with the mean of its rows, `HEAD_MEAN`. */
  head(weights: TensorMap, trainable: boolean): Head {
    const weight = headWeight(this.config, weights);
    const views = this.headBlocks();
    const blocks = views.length === 0 ? [weight] : views.map(({ view }) => weights[view] as tf.Tensor2D);
    const mean = trainable ? undefined : (weights[HEAD_MEAN] as tf.Tensor1D | undefined);
    return { weight, blocks, mean, trainable };
  }

  /** Stores the mean of the head's rows as it is now, for programs that list `HEAD_MEAN` among their inputs. */
  async storeHeadMean(): Promise<void> {
    const engine = await this.load();
    const name = headName(this.config);
    const { vocab_size, hidden_size } = this.config;
    const mean = engine.compile(
      ({ weight }) => ({ mean: tf.mean(weight!, 0) }),
      { weight: { shape: [vocab_size, hidden_size], role: "state", store: name } },
      { name: "mean of the head" },
    );
    await mean.run({}, { keep: { mean: HEAD_MEAN } });
    await mean.dispose();
  }

  override trainable(): Map<string, readonly number[]> {
    return parameterShapes(this.config);
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
    for (const [name, shape] of parameterShapes(this.config)) yield [name, shape, (await engine.fetch(name)).data as Float32Array];
  }

  override async save_pretrained(dir: string, options: SaveCheckpointOptions = {}): Promise<void> {
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

function createEngine({ engine = "compiled", device, threads, backend }: EngineChoice): Engine {
  if (engine === "eager") return new EagerEngine(backend ?? registerNativeBackend()?.backend);
  if (engine === "compiled") return new CompiledEngine({ device, threads: threads ?? undefined });
  return engine;
}

function definedOnly(choice: EngineChoice): EngineChoice {
  return Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined && value !== null));
}

/** transformers' entry point. */
export class AutoModelForCausalLM {
  /**
   * @param pathOrId a folder in Hugging Face's layout, or a repository on the Hub (`owner/name`, when no such path exists)
   * @throws ModelError for what is no checkpoint, or one whose tensors do not fit its config; HubError
   */
  static async from_pretrained(pathOrId: string, options: EngineChoice & RepositoryOptions = {}): Promise<Qwen2ForCausalLM> {
    const where = "AutoModelForCausalLM.from_pretrained";
    const [repository, choice] = takeRepositoryOptions(where, options, ["engine", "device", "threads", "backend"]);
    const fetched = await fetchRepository(where, pathOrId, { kind: "model", select: selectCheckpointFiles }, repository);
    return new Qwen2ForCausalLM(await openCheckpoint(fetched?.dir ?? pathOrId), choice, pathOrId);
  }
}
