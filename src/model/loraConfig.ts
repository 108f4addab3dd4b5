import { defineOptions, type OptionInput, type OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type ModuleChoice, patternKey, pythonPattern } from "./loraPatterns.js";
import type { Json, JsonObject } from "./pythonJson.js";
import { PROJECTION_NAMES, PROJECTIONS, type ProjectionName } from "./shapes.js";

const PROJECTION_END = new RegExp(`^([\\w.]*\\.)?(${PROJECTION_NAMES.join("|")})$`);

/** The options of `LoraConfig`, with the names and defaults of PEFT's class of that name. (TRL's *command line* has its own: r 16, alpha 32, dropout 0.05.) */
export const LORA_OPTIONS = defineOptions("LoraConfig", {
  r: { type: "integer", default: 8, min: 1, help: "Rank of the two small matrices beside each adapted weight" },
  lora_alpha: {
    type: "number",
    default: 8,
    exclusiveMin: 0,
    help: "The adapter's output is multiplied by lora_alpha / r, or by lora_alpha / sqrt(r) with use_rslora",
  },
  lora_dropout: {
    type: "number",
    default: 0,
    min: 0,
    exclusiveMax: 1,
    help: "Probability of dropping an input of the adapter while training",
  },
  target_modules: {
    type: "string",
    list: true,
    nullable: true,
    default: null,
    rule: {
      text: `names that end in ${PROJECTION_NAMES.join(", ")}, or "all-linear"`,
      accepts: (name: string) => name === "all-linear" || PROJECTION_END.test(name),
    },
    help: 'Which projections get an adapter: ends of module paths; "all-linear" stands for all seven, null for q_proj and v_proj. In code and in JSON a string is a regular expression for the whole path',
    differs: "PEFT can also adapt the embedding and the head; here only the seven projections of a layer",
  },
  exclude_modules: {
    type: "string",
    list: true,
    nullable: true,
    default: null,
    help: "Modules that get no adapter although target_modules names them; written as target_modules",
  },
  layers_to_transform: {
    type: "integer",
    list: true,
    nullable: true,
    default: null,
    min: 0,
    help: "Layers that get adapters, from 0; null for all. Not with a regular expression in target_modules",
  },
  layers_pattern: {
    type: "string",
    list: true,
    nullable: true,
    default: null,
    help: 'Name before the layer\'s number in module paths; "layers" in Qwen2. Needs layers_to_transform',
  },
  modules_to_save: {
    type: "string",
    list: true,
    nullable: true,
    default: null,
    help: "Modules that are trained in full and saved with the adapter: ends of paths, such as lm_head, embed_tokens, norm (also every layer's norms), k_proj, mlp. With a tied model, lm_head or embed_tokens become two tensors unless ensure_weight_tying is set",
  },
  ensure_weight_tying: {
    type: "boolean",
    default: false,
    help: "Keep embedding and head one tensor when modules_to_save has one of them",
  },
  bias: {
    type: "string",
    default: "none",
    choices: ["none", "all", "lora_only"],
    help: "Which biases of the model are trained with the adapter: none, all, or those of adapted projections",
  },
  lora_bias: { type: "boolean", default: false, help: "A trained bias behind B; not with use_dora" },
  use_dora: {
    type: "boolean",
    default: false,
    help: "Weight-decomposed adaptation, arXiv:2402.09353: the length of each row of the weight is trained apart from its direction",
  },
  use_rslora: { type: "boolean", default: false, help: "Rank-stabilised scale, arXiv:2312.03732" },
  task_type: {
    type: "string",
    default: "CAUSAL_LM",
    choices: ["CAUSAL_LM"],
    help: "What the adapted model is for",
    differs: "PEFT's default is null, and it knows other tasks; only causal language models are trained here",
  },
  base_model_name_or_path: {
    type: "string",
    nullable: true,
    default: null,
    help: "The model the adapter belongs to, as written to adapter_config.json",
  },
});

type LoraValues = OptionValues<typeof LORA_OPTIONS.entries>;

/** Ranks or alphas by pattern: a key is a regular expression for the end of a module's path, and the first that fits counts. */
export type ModulePattern = Readonly<Record<string, number>>;

/** The options whose values are no plain flags. */
interface StructuredOptions {
  /** Rank of the modules that a key fits, instead of `r`. Default `{}`. */
  rank_pattern?: ModulePattern | null;
  /** `lora_alpha` of the modules that a key fits. Default `{}`. */
  alpha_pattern?: ModulePattern | null;
  /** How A and B start: true (default) A Kaiming-uniform and B zero; "gaussian" A normal with deviation 1/r and B zero; false both
   *  Kaiming-uniform, so that the adapter changes the model from the start. */
  init_lora_weights?: LoraStart;
}
export type LoraStart = boolean | "gaussian";

/** What `new LoraConfig` takes. A string for target_modules or exclude_modules is a regular expression for the whole path. */
export type LoraConfigInput = OptionInput<typeof LORA_OPTIONS.entries> & StructuredOptions;

/** Names of all options that have an effect here. */
export const LORA_KEYS: ReadonlySet<string> = new Set([...LORA_OPTIONS.specs.keys(), "rank_pattern", "alpha_pattern", "init_lora_weights"]);

/** PEFT's keys that change what is computed and are not implemented, with the reason. Their "off" values are accepted. */
export const UNSUPPORTED_LORA: Readonly<Record<string, string>> = {
  alora_invocation_tokens: "activated LoRA changes with the tokens of the prompt, and its cache with them",
  arrow_config: "routing between several adapters is not implemented",
  corda_config: "CorDA changes the base model's weights before training",
  eva_config: "EVA's start needs a pass over the data",
  fan_in_fan_out: "Qwen2 has no layer that stores its weight transposed",
  kasa_config: "KaSA changes the base model's weights before training",
  layer_replication: "it makes a deeper base model",
  loftq_config: "LoftQ changes the base model's weights before training",
  lora_ga_config: "LoRA-GA's start needs gradients of the data and changes the base model's weights",
  megatron_config: "there is no Megatron here",
  monteclora_config: "Monte-Carlo LoRA is not implemented",
  target_parameters: "Qwen2 has no parameter outside linear layers and norms; use target_modules or modules_to_save",
  trainable_token_indices: "training single rows of the embedding is not implemented; modules_to_save trains all of it",
  use_bdlora: "block-diagonal LoRA is for sharded serving",
  use_qalora: "QA-LoRA is for GPTQ models",
  velora_config: "compressed activations are not implemented",
};

/** Values of init_lora_weights that are refused, with the reason. */
const REFUSED_STARTS: Readonly<Record<string, string>> = {
  eva: UNSUPPORTED_LORA["eva_config"]!,
  corda: UNSUPPORTED_LORA["corda_config"]!,
  lora_ga: UNSUPPORTED_LORA["lora_ga_config"]!,
  loftq: UNSUPPORTED_LORA["loftq_config"]!,
  olora: "OLoRA changes the base model's weights before training",
  pissa: "PiSSA changes the base model's weights before training",
  mica: "MiCA's start needs a decomposition of every weight",
  orthogonal: "the orthogonal start is not implemented",
};

/** PEFT's keys that say nothing about the numbers as long as the unsupported ones are off. */
export const LORA_INFORMATION: readonly string[] = [
  "auto_mapping",
  "inference_mode",
  "megatron_core",
  "peft_type",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
];

/** The content of an adapter_config.json as PEFT 0.21 writes it for a plain LoRA, without the options above. */
const WRITTEN: JsonObject = {
  ...Object.fromEntries(Object.keys(UNSUPPORTED_LORA).map((key) => [key, null])),
  auto_mapping: null,
  fan_in_fan_out: false,
  inference_mode: true,
  loftq_config: {},
  megatron_core: "megatron.core",
  peft_type: "LORA",
  peft_version: "0.21.0",
  qalora_group_size: 16,
  revision: null,
  use_qalora: false,
};

/**
 * Low-rank adapters, arXiv:2106.09685: a frozen weight W [out, in] gets A [r, in] and B [out, r], and y = W x + scaling · B A x.
 * Option names, defaults and the JSON are PEFT's.
 */
export class LoraConfig {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly target_modules: string | string[] | null;
  readonly exclude_modules: string | string[] | null;
  readonly layers_to_transform: number | number[] | null;
  readonly layers_pattern: string | string[] | null;
  readonly rank_pattern: ModulePattern;
  readonly alpha_pattern: ModulePattern;
  readonly modules_to_save: string[] | null;
  readonly ensure_weight_tying: boolean;
  readonly bias: LoraValues["bias"];
  readonly lora_bias: boolean;
  readonly use_rslora: boolean;
  readonly use_dora: boolean;
  readonly init_lora_weights: LoraStart;
  readonly task_type: "CAUSAL_LM";
  readonly base_model_name_or_path: string | null;
  /** Keys of the file this was read from; what is only information there is kept when it is written again. */
  readonly #raw: JsonObject;

  /** @throws ConfigError for an unknown name, an impossible value, or a feature of PEFT that is not supported */
  constructor(input: LoraConfigInput = {}) {
    const { known, rest } = sortKeys(input as Record<string, Json | undefined>, "LoraConfig");
    const { rank_pattern = {}, alpha_pattern = {}, init_lora_weights = true, ...plain } = known;
    const targets = takePattern(plain, "target_modules");
    const excluded = takePattern(plain, "exclude_modules");
    const values = LORA_OPTIONS.resolve(plain, { where: "LoraConfig" });
    this.r = values.r;
    this.lora_alpha = values.lora_alpha;
    this.lora_dropout = values.lora_dropout;
    this.target_modules = targets ?? (values.target_modules === null ? null : [...new Set(values.target_modules)]);
    this.exclude_modules = excluded ?? values.exclude_modules;
    // One value is as good as a list of one, and is written as it was given.
    this.layers_to_transform = typeof plain["layers_to_transform"] === "number" ? plain["layers_to_transform"] : values.layers_to_transform;
    this.layers_pattern = typeof plain["layers_pattern"] === "string" ? plain["layers_pattern"] : values.layers_pattern;
    this.rank_pattern = readPattern("rank_pattern", rank_pattern, true);
    this.alpha_pattern = readPattern("alpha_pattern", alpha_pattern, false);
    this.modules_to_save = values.modules_to_save;
    this.ensure_weight_tying = values.ensure_weight_tying;
    this.bias = values.bias;
    this.lora_bias = values.lora_bias;
    this.use_rslora = values.use_rslora;
    this.use_dora = values.use_dora;
    this.init_lora_weights = readStart(init_lora_weights);
    this.task_type = values.task_type;
    this.base_model_name_or_path = values.base_model_name_or_path;
    this.#raw = rest;
    this.#requireConsistent();
  }

  #requireConsistent(): void {
    const { target_modules: targets, layers_to_transform: layers, layers_pattern } = this;
    if (Array.isArray(targets) && targets.length > 1 && targets.includes("all-linear")) {
      throw new ConfigError(
        "option_range",
        `LoraConfig: target_modules must be names or "all-linear" alone, got ${targets.join(", ")}; drop one of the two`,
      );
    }
    if ((typeof targets === "string" || targets?.includes("all-linear") === true) && layers !== null)
      throw conflict("layers_to_transform", "a list of names in target_modules", targets, "put the layers into the regular expression");
    if (layers_pattern !== null && layers === null)
      throw conflict("layers_pattern", "layers_to_transform", layers, "set it, or leave out layers_pattern");
    if (this.lora_bias && this.use_dora) throw conflict("lora_bias", "use_dora false", true, "leave out one of the two, as PEFT asks");
    if (this.lora_bias && this.init_lora_weights === "gaussian")
      throw conflict("lora_bias", "init_lora_weights true or false", "gaussian", "leave out one of the two, as PEFT asks");
  }

  /** What the low-rank part is multiplied by in modules that no pattern fits. */
  get scaling(): number {
    return this.#scaling(this.lora_alpha, this.r);
  }

  #scaling(alpha: number, r: number): number {
    return alpha / (this.use_rslora ? Math.sqrt(r) : r);
  }

  /** Rank and scale in one module. @param module e.g. `model.layers.0.self_attn.q_proj` */
  at(module: string): { r: number; scaling: number } {
    const rankKey = patternKey(this.rank_pattern, module);
    const alphaKey = patternKey(this.alpha_pattern, module);
    const r = rankKey === undefined ? this.r : this.rank_pattern[rankKey]!;
    return { r, scaling: this.#scaling(alphaKey === undefined ? this.lora_alpha : this.alpha_pattern[alphaKey]!, r) };
  }

  /** The options that choose modules, with "all-linear" and the default written out. */
  get moduleChoice(): ModuleChoice {
    const { exclude_modules, modules_to_save } = this;
    const layers_to_transform = asList(this.layers_to_transform);
    const layers_pattern = asList(this.layers_pattern);
    return { target_modules: this.#writtenTargets(), exclude_modules, modules_to_save, layers_to_transform, layers_pattern };
  }

  #writtenTargets(): string | string[] {
    const targets = this.target_modules;
    if (targets === null) return ["q_proj", "v_proj"];
    return targets.includes("all-linear") ? [...PROJECTION_NAMES] : targets;
  }

  /** The kinds of projection that target_modules can fit, in the order of the layer. Which modules it does fit depends on the model. */
  get targets(): ProjectionName[] {
    const targets = this.#writtenTargets();
    if (Array.isArray(targets)) return PROJECTION_NAMES.filter((name) => targets.some((target) => target.split(".").at(-1) === name));
    const pattern = pythonPattern(`^(?:${targets})$`, "LoraConfig: target_modules");
    const layers = Array.from({ length: 100 }, (_, layer) => `model.layers.${layer}.`);
    return PROJECTION_NAMES.filter((name) => layers.some((layer) => pattern.test(layer + PROJECTIONS[name])));
  }

  /** The content of adapter_config.json. */
  toJson(): JsonObject {
    // Python's all-linear would also be resolved: PEFT writes the names it found.
    return { ...WRITTEN, ...this.#raw, ...this.#options(), target_modules: this.#writtenTargets() };
  }

  #options(): JsonObject {
    return structuredClone(Object.fromEntries([...LORA_KEYS].map((key) => [key, this[key as keyof this] as Json])));
  }

  /** The same with some options changed. @throws ConfigError as the constructor */
  with(changes: LoraConfigInput): LoraConfig {
    return new LoraConfig({ ...this.#raw, ...this.#options(), ...changes } as LoraConfigInput);
  }
}

function asList<T extends string | number>(value: T | T[] | null): T[] | null {
  return value === null || typeof value === "object" ? value : [value];
}

function conflict(option: string, needed: string, got: Json, advice: string): ConfigError {
  return new ConfigError("option_conflict", `LoraConfig: ${option} needs ${needed}, got ${JSON.stringify(got)}; ${advice}`);
}

/** Takes a regular expression out of the plain options; a list, "all-linear" and a projection's name stay. */
function takePattern(plain: Record<string, Json>, option: "target_modules" | "exclude_modules"): string | undefined {
  const value = plain[option];
  if (typeof value !== "string") return undefined;
  if (value.toLowerCase() === "all-linear") plain[option] = ["all-linear"];
  else if (!(PROJECTION_NAMES as readonly string[]).includes(value)) {
    pythonPattern(value, `LoraConfig: ${option}`);
    delete plain[option];
    return value;
  }
  return undefined;
}

function readPattern(option: string, value: Json, whole: boolean): ModulePattern {
  if (value === null) return {};
  const rule = `names or patterns with ${whole ? "integers >= 1" : "numbers > 0"}`;
  const fits = (item: Json): boolean =>
    typeof item === "number" && Number.isFinite(item) && (whole ? Number.isInteger(item) && item >= 1 : item > 0);
  if (typeof value !== "object" || Array.isArray(value) || !Object.values(value).every(fits))
    throw new ConfigError("option_type", `LoraConfig: ${option} must be ${rule}, got ${JSON.stringify(value)}; the default is {}`);
  for (const key of Object.keys(value)) pythonPattern(key, `LoraConfig: ${option}`);
  return { ...value } as ModulePattern;
}

function readStart(value: Json): LoraStart {
  if (typeof value === "boolean" || value === "gaussian") return value;
  const kind = typeof value === "string" ? Object.keys(REFUSED_STARTS).find((name) => value.toLowerCase().startsWith(name)) : undefined;
  const why = kind === undefined ? "the default is true" : `${REFUSED_STARTS[kind]!}`;
  throw new ConfigError(
    kind === undefined ? "option_type" : "option_unsupported",
    `LoraConfig: init_lora_weights must be true, false or "gaussian", got ${JSON.stringify(value)}; ${why}`,
  );
}

/** Splits into this class's own options and PEFT's other keys; of those, only "off" and informational ones may be there. */
function sortKeys(input: Record<string, Json | undefined>, where: string): { known: Record<string, Json>; rest: JsonObject } {
  const known: Record<string, Json> = {};
  const rest: JsonObject = {};
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined) continue;
    const why = Object.hasOwn(UNSUPPORTED_LORA, key) ? UNSUPPORTED_LORA[key]! : undefined;
    if (why !== undefined) {
      if (!isOff(value))
        throw new ConfigError(
          "option_unsupported",
          `${where}: ${key} is not supported, got ${JSON.stringify(value)}: ${why}; leave it out`,
        );
      rest[key] = value;
    } else if (LORA_INFORMATION.includes(key)) {
      rest[key] = value;
    } else {
      // An empty list means "none" to PEFT, except where modules must be named.
      known[key] = Array.isArray(value) && value.length === 0 && key !== "target_modules" ? null : value;
    }
  }
  return { known, rest };
}

/** Whether a value means that a feature is not used. */
export function isOff(value: Json): boolean {
  if (value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
