/** A model with LoRA adapters, as PEFT's `PeftModel`. The base model's weights are shared, not copied, and stay as they are. */
import { join } from "node:path";
import type { Engine, InputSpec, TensorMap } from "../compile/index.js";
import { fetchRepository, type RepositoryOptions, takeRepositoryOptions } from "../data/repository.js";
import { ConfigError, ModelError, nearestName } from "../errors.js";
import { type SavedAdapter, openAdapter, saveAdapters } from "./adapterFiles.js";
import { HEAD } from "./adapterPlan.js";
import type { AdapterOptions, SaveAdapterOptions } from "./adapterOptions.js";
import { type AdapterSource, AdapterState } from "./adapterState.js";
import { CausalLM, type ModelTensors, type Qwen2ForCausalLM } from "./causalLM.js";
import type { EngineChoice } from "./engineChoice.js";
import type { Qwen2Config } from "./config.js";
import { HEAD_MEAN } from "./head.js";
import type { LoraConfig } from "./loraConfig.js";
import { mergeProjection, mergedParts } from "./merge.js";
import { selectAdapterFiles } from "./repositoryFiles.js";

const ROUNDED_AGAIN =
  "PeftModel.merge_and_unload: the merged weights are rounded to codes again, so texts may differ a little; merge_and_unload({ dequantize: true }) makes them exact float32";

/** What an adapter is called when nothing else is said. */
const DEFAULT_NAME = "default";

/** How a program sees an active adapter. */
interface ActiveAdapter {
  readonly state: AdapterState;
  readonly trainable: boolean;
  /** Before its low-rank names; empty for the adapter that `peft_config` tells about. */
  readonly prefix: string;
}

export class PeftModel extends CausalLM {
  override readonly base: Qwen2ForCausalLM;
  /** What the adapters stand on: the base model, or a model whose own adapters stay as they are. */
  readonly below: Qwen2ForCausalLM | PeftModel;
  readonly #adapters = new Map<string, AdapterState>();
  readonly #beneath: readonly AdapterState[];
  #active: string[];
  readonly #trainable = new Set<string>();
  #config: Qwen2Config | undefined;

  /** @param source a checked adapter folder, or the seed of a fresh adapter
   *  @throws ConfigError when the configuration does not fit the model */
  constructor(
    below: Qwen2ForCausalLM | PeftModel,
    config: LoraConfig,
    source: AdapterSource,
    { adapter_name: name = DEFAULT_NAME, is_trainable = true }: AdapterOptions = {},
  ) {
    super();
    this.base = below.base;
    this.below = below;
    this.#beneath = below instanceof PeftModel ? below.#states().map(({ state }) => state) : [];
    this.#add(name, config, source);
    this.#active = [name];
    if (is_trainable) this.#trainable.add(name);
  }

  /**
   * Opens a saved adapter on its base model, or on a model with adapters, which then stay as they are.
   * @param pathOrId a folder in PEFT's layout, or a repository on the Hub (`owner/name`, when no such path exists)
   * @throws ModelError if it holds no adapter, or one that does not fit the model; HubError
   */
  static async from_pretrained(
    model: Qwen2ForCausalLM | PeftModel,
    pathOrId: string,
    options: RepositoryOptions & AdapterOptions = {},
  ): Promise<PeftModel> {
    const where = "PeftModel.from_pretrained";
    const [repository, own] = takeRepositoryOptions(where, options, ["adapter_name", "is_trainable"]);
    const files = await openFiles(where, model.base, pathOrId, repository);
    return new PeftModel(model, files.config, files, own);
  }

  #add(name: string, config: LoraConfig, source: AdapterSource): void {
    if (!/^\w[\w-]*$/.test(name))
      throw new ConfigError("adapter_name", `PeftModel: an adapter's name must be letters, digits, _ and -, got "${name}"; choose another`);
    if (this.#adapters.has(name))
      throw new ConfigError(
        "adapter_name",
        `PeftModel: an adapter's name must be new, got "${name}"; choose another or delete_adapter first`,
      );
    this.#adapters.set(name, new AdapterState(this.base, config, source, this.below.signature()));
  }

  /** Adds a fresh adapter, which is not active before `set_adapter`, as PEFT does. @param seed of A's random numbers */
  add_adapter(name: string, config: LoraConfig, { seed = 42 }: { seed?: number } = {}): void {
    this.#requireOneBias(config);
    this.#add(name, config, { seed });
  }

  /** Adds a saved adapter, which is not active before `set_adapter`. @throws ModelError, HubError as `from_pretrained` */
  async load_adapter(pathOrId: string, name: string, options: RepositoryOptions & { is_trainable?: boolean } = {}): Promise<void> {
    const where = "PeftModel.load_adapter";
    const [repository, { is_trainable = false }] = takeRepositoryOptions(where, options, ["is_trainable"]);
    const files = await openFiles(where, this.base, pathOrId, repository);
    this.#requireOneBias(files.config);
    this.#add(name, files.config, files);
    if (is_trainable) this.#trainable.add(name);
  }

  #requireOneBias(config: LoraConfig): void {
    if (config.bias !== "none" && [...this.#adapters.values()].some((state) => state.config.bias !== "none"))
      throw new ConfigError(
        "two_biases",
        `PeftModel: one adapter at most may train biases, got two with bias not "none"; set bias "none" in one`,
      );
  }

  /**
   * Says which adapters are active, in the order in which they are applied, and makes exactly these trainable.
   * @param inference_mode leaves them frozen
   * @throws ConfigError `adapter_unknown`; `two_copies` when two have a copy of the same module; `two_dropouts`
   */
  set_adapter(names: string | readonly string[], { inference_mode = false }: { inference_mode?: boolean } = {}): void {
    const wanted = typeof names === "string" ? [names] : [...new Set(names)];
    if (wanted.length === 0)
      throw new ConfigError(
        "adapter_unknown",
        "PeftModel.set_adapter: at least one adapter must be named, got none; disable_adapter() is the model without",
      );
    const copies = new Map<string, string>();
    for (const name of wanted) {
      for (const { name: parameter } of this.#find(name, "set_adapter").plan.replaced) {
        const other = copies.get(parameter);
        if (other !== undefined)
          throw new ConfigError(
            "two_copies",
            `PeftModel.set_adapter: one active adapter at most may have its own copy of a parameter, got ${parameter} in ${other} and ${name}; activate one of them`,
          );
        copies.set(parameter, name);
      }
    }
    if (!inference_mode) this.#requireOneDropout(wanted);
    this.#active = wanted;
    this.#trainable.clear();
    if (!inference_mode) for (const name of wanted) this.#trainable.add(name);
    this.#config = undefined;
  }

  /** Makes adapters trainable or freezes them; the active ones stay active. */
  set_requires_grad(names: string | readonly string[], requires_grad = true): void {
    const wanted = typeof names === "string" ? [names] : names;
    for (const name of wanted) this.#find(name, "set_requires_grad");
    const after = new Set([...this.#trainable].filter((name) => requires_grad || !wanted.includes(name)));
    if (requires_grad) for (const name of wanted) after.add(name);
    this.#requireOneDropout([...after].filter((name) => this.#active.includes(name)));
    this.#trainable.clear();
    for (const name of after) this.#trainable.add(name);
  }

  /** A trainer draws the masks of all trained adapters with one probability. */
  #requireOneDropout(names: readonly string[]): void {
    const rates = new Set(names.map((name) => this.#adapters.get(name)!.config.lora_dropout));
    if (rates.size > 1)
      throw new ConfigError(
        "two_dropouts",
        `PeftModel: adapters trained together must have one lora_dropout, got ${[...rates].join(" and ")}; make them equal`,
      );
  }

  /** Frees an adapter. If none is left active, the first that remains is, as in PEFT. @throws ConfigError `adapter_unknown`, `last_adapter` */
  async delete_adapter(name: string): Promise<void> {
    const state = this.#find(name, "delete_adapter");
    if (this.#adapters.size === 1)
      throw new ConfigError(
        "last_adapter",
        `PeftModel.delete_adapter: one adapter must remain, got the last one, "${name}"; use disable_adapter() or the base model`,
      );
    this.#adapters.delete(name);
    this.#trainable.delete(name);
    this.#active = this.#active.filter((active) => active !== name);
    if (this.#active.length === 0) this.set_adapter([...this.#adapters.keys()][0]!);
    this.#config = undefined;
    await state.forget();
  }

  /** The model without this model's own adapters: what `get_peft_model` was given. Nothing is switched; both can be used side by side. */
  disable_adapter(): Qwen2ForCausalLM | PeftModel {
    return this.below;
  }

  get active_adapters(): string[] {
    return [...this.#active];
  }

  /** Every adapter's configuration by its name. */
  get adapters(): ReadonlyMap<string, LoraConfig> {
    return new Map([...this.#adapters].map(([name, { config }]) => [name, config]));
  }

  #find(name: string, verb: string): AdapterState {
    const state = this.#adapters.get(name);
    if (state !== undefined) return state;
    const names = [...this.#adapters.keys()];
    const nearest = nearestName(name, names);
    const hint = nearest === undefined ? "choose one of them" : `did you mean ${nearest}?`;
    throw new ConfigError("adapter_unknown", `PeftModel.${verb}: the adapter must be one of ${names.join(", ")}, got "${name}"; ${hint}`);
  }

  /** The active adapter that is trained, else the first active one. */
  get #main(): string {
    return this.#active.find((name) => this.#trainable.has(name)) ?? this.#active[0]!;
  }

  /** The configuration of the active adapter that is trained, else of the first active one. */
  override get peft_config(): LoraConfig {
    return this.#adapters.get(this.#main)!.config;
  }

  /** Active adapters in the order in which they are applied, those of the model beneath first. */
  #states(): ActiveAdapter[] {
    const main = this.#main;
    const own = this.#active.map((name): ActiveAdapter => {
      const state = this.#adapters.get(name)!;
      return { state, trainable: this.#trainable.has(name), prefix: name === main ? "" : state.prefix };
    });
    return [...this.#beneath.map((state) => ({ state, trainable: false, prefix: state.prefix })), ...own];
  }

  /** The base model's, untied where an adapter has a head or an embedding of its own. */
  override get config(): Qwen2Config {
    const config = this.base.config;
    if (!config.tie_word_embeddings || !this.#states().some(({ state }) => state.plan.unties)) return config;
    return (this.#config ??= { ...config, tie_word_embeddings: false });
  }

  override get form(): string {
    return [this.base.form, ...this.#states().map(({ state, prefix }) => `${prefix}=${state.prefix}`)].join();
  }

  override get computation(): unknown {
    const adapters = this.#states().map(({ state: { plan }, prefix, trainable }) => [prefix, trainable, [...plan.modules], plan.replaced]);
    return { base: this.base.computation, adapters };
  }

  /** Whether the trained adapter was read from a folder; a fresh one leaves the model's outputs unchanged until it is trained. */
  get wasLoaded(): boolean {
    return this.#adapters.get(this.#main)!.wasLoaded;
  }

  override async load(choice: EngineChoice = {}): Promise<Engine> {
    const engine = await this.base.load(choice);
    for (const { state } of this.#states()) await state.load(engine);
    return engine;
  }

  override signature(): Record<string, InputSpec> {
    const signature = this.base.signature();
    for (const { state, prefix } of this.#states()) state.extend(signature, prefix);
    return signature;
  }

  override tensors(inputs: TensorMap, masks?: TensorMap): ModelTensors {
    const states = this.#states();
    const adapter = { layers: states.map(({ state, prefix }) => ({ prefix, modules: state.plan.modules })), weights: inputs, masks };
    if (!this.#hasOwnHead(states) || inputs[HEAD_MEAN] === undefined) return { weights: inputs, adapter };
    // The stored mean is the base model's head's.
    const { [HEAD_MEAN]: _mean, ...weights } = inputs;
    return { weights, adapter };
  }

  #hasOwnHead(states: readonly ActiveAdapter[]): boolean {
    const heads = this.config.tie_word_embeddings ? ["model.embed_tokens.weight"] : [HEAD];
    return states.some(({ state }) => state.plan.replaced.some(({ name }) => heads.includes(name)));
  }

  override trainable(): Map<string, readonly number[]> {
    const shapes = new Map<string, readonly number[]>();
    for (const { state, trainable, prefix } of this.#states()) {
      if (!trainable) continue;
      for (const [name, shape] of state.lowRank) shapes.set(prefix + name, shape);
      for (const { name, shape } of state.plan.replaced) shapes.set(name, shape);
    }
    return shapes;
  }

  override storeName(name: string): string {
    for (const { state, trainable, prefix } of this.#states()) {
      if (!trainable) continue;
      if (state.plan.replaced.some((parameter) => parameter.name === name)) return state.storeName(name);
      if (name.startsWith(prefix) && state.lowRank.has(name.slice(prefix.length))) return state.storeName(name.slice(prefix.length));
    }
    throw new ModelError("not_trained", `PeftModel: ${name} must be a tensor that is trained; see trainable()`);
  }

  override files(): string[] | undefined {
    const files = [this.base.files(), ...this.#states().map(({ state }) => state.files())];
    return files.includes(undefined) ? undefined : files.flatMap((names) => names!);
  }

  override markChanged(): void {
    for (const { state, trainable } of this.#states()) if (trainable) state.markChanged();
  }

  /**
   * Saves adapters alone, in PEFT's format. `base_model_name_or_path` says what they stand on: the base model, or the folder of an
   * adapter beneath; one that was never saved, or was changed since, goes along into a sub-folder `beneath-1`, ….
   * @throws ConfigError `adapter_unknown`
   */
  override async save_pretrained(dir: string, { alsoWrite, selected_adapters }: SaveAdapterOptions = {}): Promise<void> {
    const trained = [...this.#adapters.keys()].filter((name) => this.#trainable.has(name));
    const names = selected_adapters ?? (trained.length > 0 ? trained : [...this.#adapters.keys()]);
    const engine = await this.base.load();
    const { standing, along } = this.#ground(dir);
    const saved: SavedAdapter[] = [];
    const add = async (state: AdapterState, folder: string | undefined, standsOn: string): Promise<void> => {
      await state.load(engine);
      const named = state.config.base_model_name_or_path;
      // What a file says stays, unless it would leave out an adapter beneath.
      const config = named !== null && this.#beneath.length === 0 ? state.config : state.config.with({ base_model_name_or_path: standsOn });
      saved.push({ folder, config, tensors: state.tensors(engine) });
    };
    for (const name of names) await add(this.#find(name, "save_pretrained"), name === DEFAULT_NAME ? undefined : name, standing);
    for (const { state, folder, standsOn } of along) await add(state, folder, standsOn);
    await saveAdapters(dir, this.base.config, saved, alsoWrite);
  }

  override async restore(dir: string): Promise<void> {
    const engine = await this.load();
    for (const name of this.#trainable) {
      const folder = name === DEFAULT_NAME ? dir : join(dir, name);
      await this.#adapters.get(name)!.restore(engine, await openAdapter(folder, this.base.config));
    }
  }

  /** What the adapters stand on, as a loader finds it, and the adapters that must be saved along for that. */
  #ground(dir: string): { standing: string; along: { state: AdapterState; folder: string; standsOn: string }[] } {
    let standing = this.name_or_path;
    const along = [];
    for (const [i, state] of this.#beneath.entries()) {
      const alone = state.dir !== undefined && i === 0;
      const folder = `beneath-${i + 1}`;
      if (!alone) along.push({ state, folder, standsOn: standing });
      standing = alone ? state.dir! : join(dir, folder);
    }
    return { standing, along };
  }

  /**
   * Adds the active adapters to the base model's weights and returns the base model, which from then on is the tuned one. A model
   * whose head an adapter has untied stays untied.
   * @param options.dequantize of a quantised base: the merged weights become float32, exact, instead of being rounded to codes again as PEFT does
   * @throws ConfigError `inference_only`; ModelError `lora_bias_merge` for a trained bias behind a projection that has none
   */
  async merge_and_unload({ dequantize = false }: { dequantize?: boolean } = {}): Promise<Qwen2ForCausalLM> {
    this.base.requireFloats("PeftModel.merge_and_unload");
    const states = this.#states();
    const parts = mergedParts(states.map(({ state }) => state));
    const engine = await this.load();
    if (this.base.quantization_config !== undefined && !dequantize) console.warn(ROUNDED_AGAIN);
    if (!this.config.tie_word_embeddings) await this.base.untieHead();
    for (const { state } of states) {
      for (const { name } of state.plan.replaced) {
        await engine.copy(state.storeName(name), name);
        // A module's own copy was trained in float32 and stays so.
        await this.base.settle(name, true);
      }
    }
    const signature = this.base.signature();
    for (const { state } of states) state.extendLowRank(signature, state.prefix);
    for (const [path, own] of parts) {
      await mergeProjection(engine, path, own, signature);
      await this.base.settle(`${path}.weight`, dequantize);
    }
    for (const { state } of states) await state.forget(true);
    this.base.markChanged();
    return this.base;
  }

  /** Frees the adapters; the model beneath stays. */
  override async dispose(): Promise<void> {
    for (const state of this.#adapters.values()) await state.forget();
  }
}

async function openFiles(where: string, base: Qwen2ForCausalLM, pathOrId: string, repository: RepositoryOptions) {
  const fetched = await fetchRepository(where, pathOrId, { kind: "model", select: selectAdapterFiles }, repository);
  return openAdapter(fetched?.dir ?? pathOrId, base.config);
}

/** PEFT's way to put a fresh adapter on a model. On a model with adapters, those stay as they are beneath the new one: its base
 *  view, `disable_adapter()`, is the given model. @param seed of A's random numbers */
export function get_peft_model(
  model: Qwen2ForCausalLM | PeftModel,
  config: LoraConfig,
  { seed = 42, adapter_name = DEFAULT_NAME }: { seed?: number; adapter_name?: string } = {},
): PeftModel {
  return new PeftModel(model, config, { seed }, { adapter_name });
}
