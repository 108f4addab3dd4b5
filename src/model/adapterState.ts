/** One adapter in an engine's store: its tensors are read or drawn on first use, and freed on their own. */
import { join } from "node:path";
import { type Engine, type InputSpec, type TensorMap, tf } from "../compile/index.js";
import { ModelError } from "../errors.js";
import { Random } from "../random.js";
import { ADAPTER_CONFIG_FILE, type Adapter as AdapterFiles } from "./adapterFiles.js";
import {
  type AdapterPlan,
  type ReplacedParameter,
  HEAD,
  adapterTensorName,
  lowRankShapes,
  magnitudeName,
  planAdapter,
} from "./adapterPlan.js";
import { baseWeight, floatWeight } from "./baseWeight.js";
import type { Qwen2ForCausalLM } from "./causalLM.js";
import type { NamedTensor } from "./checkpointWriter.js";
import { initialAdapter, rowLengths } from "./lora.js";
import type { LoraConfig } from "./loraConfig.js";
import { requireTensors } from "./tensorInventory.js";

/** Where an adapter's numbers come from: a checked folder, or the seed of a fresh one. */
export type AdapterSource = AdapterFiles | { readonly seed: number };

/** Adapters on one engine are told apart by number. */
const adaptersOn = new WeakMap<Qwen2ForCausalLM, number>();

export class AdapterState {
  readonly config: LoraConfig;
  readonly plan: AdapterPlan;
  /** Name and shape of the tensors beside the base model's, by name in PEFT's file. */
  readonly lowRank: ReadonlyMap<string, readonly number[]>;
  /** Before every name of this adapter in the store, and before its low-rank names where several adapters meet. */
  readonly prefix: string;
  readonly #base: Qwen2ForCausalLM;
  readonly #source: AdapterSource;
  readonly #below: Record<string, InputSpec>;
  #changed = false;
  #merged = false;
  #engine: Engine | undefined;
  #loading: Promise<void> | undefined;

  /** @param below what the adapter stands on, as inputs of a program: copies and lengths of a fresh adapter start from it
   *  @throws ConfigError as `planAdapter` */
  constructor(base: Qwen2ForCausalLM, config: LoraConfig, source: AdapterSource, below: Record<string, InputSpec>) {
    this.config = config;
    this.plan = planAdapter(base.config, config, "seed" in source);
    this.lowRank = lowRankShapes(this.plan);
    this.#base = base;
    this.#source = source;
    this.#below = below;
    const number = adaptersOn.get(base) ?? 0;
    adaptersOn.set(base, number + 1);
    this.prefix = `adapter.${number}/`;
  }

  /** Whether it was read from a folder. */
  get wasLoaded(): boolean {
    return "dir" in this.#source;
  }

  /** The folder whose numbers it has, unless they were changed. */
  get dir(): string | undefined {
    return "dir" in this.#source && !this.#changed ? this.#source.dir : undefined;
  }

  markChanged(): void {
    this.#changed = true;
  }

  /** The files whose numbers it has, its configuration first; undefined once it was changed or when it was never saved. */
  files(): string[] | undefined {
    if (this.#changed || !("dir" in this.#source)) return undefined;
    const weights = [...this.#source.tensors.values()].map(({ file }) => file);
    return [join(this.#source.dir, ADAPTER_CONFIG_FILE), ...new Set(weights)];
  }

  storeName(name: string): string {
    return `${this.prefix}${name}`;
  }

  /** Puts the adapter into the engine, once. @throws ModelError `merged` */
  load(engine: Engine): Promise<void> {
    if (this.#merged) {
      // Reading it again would add it to a model that has it already.
      const message = `adapter of ${this.#base.name_or_path}: it was merged into its base model; use the model that merge_and_unload returned`;
      return Promise.reject(new ModelError("merged", message));
    }
    this.#engine = engine;
    this.#loading ??= this.#put(engine).catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #put(engine: Engine): Promise<void> {
    if ("dir" in this.#source) {
      const { tensors } = this.#source;
      for (const name of this.lowRank.keys()) await engine.load(this.storeName(name), tensors.get(name)!);
      for (const { name, files } of this.plan.replaced) await engine.load(this.storeName(name), tensors.get(files[0]!)!);
    } else {
      const fresh = initialAdapter(this.plan, this.config, new Random(this.#source.seed).fork("lora"));
      for (const [name, tensor] of fresh) await engine.put(this.storeName(name), tensor);
      for (const parameter of this.plan.replaced) await this.#copy(engine, parameter);
      for (const { path, dora } of this.plan.modules.values()) if (dora) await this.#measure(engine, path);
    }
    if (!this.plan.replaced.some(({ name }) => name === this.#ownHead)) return;
    for (const { view, start, rows } of this.#base.headBlocks())
      await engine.view(this.storeName(view), this.storeName(this.#ownHead), start, rows);
  }

  /** The parameter that is the head when this adapter has its own. */
  get #ownHead(): string {
    return this.#base.config.tie_word_embeddings && !this.plan.unties ? "model.embed_tokens.weight" : HEAD;
  }

  async #copy(engine: Engine, { name }: ReplacedParameter): Promise<void> {
    const hasHead = Object.keys(this.#below).some((below) => below.startsWith(HEAD));
    const from = name === HEAD && !hasHead ? "model.embed_tokens.weight" : name;
    const module = from.slice(0, from.lastIndexOf("."));
    await this.#make(engine, (inputs) => tf.clone(floatWeight(inputs, from)), this.#part(module), name);
  }

  /** DoRA's lengths start as those of `W + scaling · B A`. */
  async #measure(engine: Engine, path: string): Promise<void> {
    const { scaling } = this.plan.modules.get(path)!;
    const [a, b] = [adapterTensorName(path, "A"), adapterTensorName(path, "B")];
    const signature = { ...this.#part(path) };
    for (const name of [a, b]) signature[name] = { shape: this.lowRank.get(name)!, role: "state", store: this.storeName(name) };
    const lengths = (inputs: TensorMap): tf.Tensor =>
      rowLengths(baseWeight(inputs, path), inputs[a] as tf.Tensor2D, inputs[b] as tf.Tensor2D, scaling);
    await this.#make(engine, lengths, signature, magnitudeName(path));
  }

  /** What is below, of one module. */
  #part(module: string): Record<string, InputSpec> {
    return Object.fromEntries(Object.entries(this.#below).filter(([name]) => name.startsWith(`${module}.`)));
  }

  async #make(engine: Engine, fn: (inputs: TensorMap) => tf.Tensor, signature: Record<string, InputSpec>, name: string): Promise<void> {
    const program = engine.compile((inputs) => ({ made: fn(inputs) }), signature, { name: "start of an adapter" });
    try {
      await program.run({}, { keep: { made: this.storeName(name) } });
    } finally {
      await program.dispose();
    }
  }

  /** Every tensor of PEFT's file with its present numbers. */
  async *tensors(engine: Engine): AsyncGenerator<NamedTensor> {
    const numbers = async (name: string): Promise<Float32Array> => (await engine.fetch(this.storeName(name))).data as Float32Array;
    for (const [name, shape] of this.lowRank) yield [name, shape, await numbers(name)];
    for (const { name, shape, files } of this.plan.replaced) for (const file of files) yield [file, shape, await numbers(name)];
  }

  /** Takes the numbers of a saved adapter of the same configuration. @throws ModelError `tensors_mismatch` */
  async restore(engine: Engine, { dir, tensors }: AdapterFiles): Promise<void> {
    const expected = new Map<string, readonly number[]>(this.lowRank);
    for (const { shape, files } of this.plan.replaced) for (const file of files) expected.set(file, shape);
    requireTensors(dir, expected, tensors, "pass a checkpoint of this adapter");
    await this.load(engine);
    for (const name of this.lowRank.keys()) await engine.load(this.storeName(name), tensors.get(name)!);
    for (const { name, files } of this.plan.replaced) await engine.load(this.storeName(name), tensors.get(files[0]!)!);
    this.markChanged();
  }

  /** Frees the tensors; a loaded adapter can be read again. @param merged it never will be */
  async forget(merged = false): Promise<void> {
    this.#merged ||= merged;
    if (this.#loading === undefined) return;
    await this.#loading;
    await this.#engine!.remove(...this.#engine!.names(this.prefix));
    this.#loading = undefined;
  }

  /** Adds to a program's inputs what this adapter puts there. @param prefix before its low-rank names */
  extend(signature: Record<string, InputSpec>, prefix: string): void {
    this.extendLowRank(signature, prefix);
    for (const { name, shape } of this.plan.replaced) {
      // Quantised storage of the same weight must not be taken for it.
      for (const other of Object.keys(signature)) if (other.startsWith(name)) delete signature[other];
      signature[name] = { shape, role: "state", store: this.storeName(name) };
    }
    if (this.plan.unties && !this.plan.replaced.some(({ name }) => name === HEAD)) this.#keepTiedHead(signature);
    if (!this.plan.replaced.some(({ name }) => name === this.#ownHead)) return;
    for (const { view } of this.#base.headBlocks())
      signature[view] = { ...signature[view]!, dtype: "float32", store: this.storeName(view) };
  }

  /** The part of `extend` that stands beside the model's weights. */
  extendLowRank(signature: Record<string, InputSpec>, prefix: string): void {
    for (const [name, shape] of this.lowRank) signature[prefix + name] = { shape, role: "state", store: this.storeName(name) };
  }

  /** With an embedding of its own, the head stays the embedding beneath, however that is stored. */
  #keepTiedHead(signature: Record<string, InputSpec>): void {
    const embedding = "model.embed_tokens.weight";
    for (const [name, spec] of Object.entries(this.#below)) {
      if (name.startsWith(embedding)) signature[name.replace(embedding, HEAD)] ??= { ...spec, store: spec.store ?? name };
    }
  }
}
