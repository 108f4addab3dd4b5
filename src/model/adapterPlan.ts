/** What an adapter is made of on a given model: the adapted modules, and the parameters that it replaces. */
import { ConfigError } from "../errors.js";
import type { Qwen2Config } from "./config.js";
import type { LoraConfig } from "./loraConfig.js";
import { hasSuffix, isTargeted, moduleNames, patternKey } from "./loraPatterns.js";
import { PROJECTION_NAMES, PROJECTIONS, parameterShapes, projectionShapes } from "./shapes.js";

/** A projection with A and B. */
export interface AdaptedModule {
  /** e.g. `model.layers.0.self_attn.q_proj` */
  readonly path: string;
  readonly r: number;
  /** What the low-rank part is multiplied by. */
  readonly scaling: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Whether the projection itself has a bias. */
  readonly hasBias: boolean;
  readonly dora: boolean;
  readonly loraBias: boolean;
}

/** A parameter of the base model that the adapter has its own, trained copy of. */
export interface ReplacedParameter {
  /** Name in the checkpoint, e.g. `model.norm.weight`; `lm_head.weight` may be one that the base model has not, when it is tied. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Names in PEFT's file; two for an embedding that stays tied to the head. */
  readonly files: readonly string[];
}

export interface AdapterPlan {
  readonly modules: ReadonlyMap<string, AdaptedModule>;
  readonly replaced: readonly ReplacedParameter[];
  /** Whether embedding and head, one tensor in the base model, are two with this adapter. */
  readonly unties: boolean;
}

export type AdapterMatrix = "A" | "B";

/** The name of a matrix in PEFT's file. @param module e.g. "model.layers.0.self_attn.q_proj" */
export function adapterTensorName(module: string, matrix: AdapterMatrix): string {
  return `base_model.model.${module}.lora_${matrix}.weight`;
}

/** The bias behind B, with `lora_bias`. */
export function adapterBiasName(module: string): string {
  return `base_model.model.${module}.lora_B.bias`;
}

/** DoRA's length of each row of the weight. */
export function magnitudeName(module: string): string {
  return `base_model.model.${module}.lora_magnitude_vector`;
}

const EMBEDDING = "model.embed_tokens.weight";
export const HEAD = "lm_head.weight";

/**
 * @param strict also refuses names and patterns that fit nothing; PEFT passes over them, so files may have such
 * @throws ConfigError `no_target`, `no_match`, `modules_overlap`, `bias_twice`, `tying`, `pattern`
 */
export function planAdapter(model: Qwen2Config, lora: LoraConfig, strict = false): AdapterPlan {
  if (strict) requireLayers(model, lora);
  const modules = adaptedModules(model, lora);
  const saved = savedModules(model, lora, strict);
  for (const module of saved) {
    const overlap = [...modules.keys(), ...saved].find((other) => other !== module && other.startsWith(`${module}.`));
    if (overlap !== undefined || modules.has(module)) {
      throw new ConfigError(
        "modules_overlap",
        `LoraConfig: modules_to_save must not contain what is adapted or saved already, got ${module} with ${overlap ?? module} inside; leave one of them out`,
      );
    }
  }
  if (strict) requireMatches(model, lora, modules);
  const replaced = [...savedParameters(model, lora, saved), ...trainedBiases(model, lora, modules, saved)];
  const unties = model.tie_word_embeddings && !lora.ensure_weight_tying && replaced.some(({ name }) => name === EMBEDDING || name === HEAD);
  return { modules, replaced, unties };
}

function adaptedModules(model: Qwen2Config, lora: LoraConfig): Map<string, AdaptedModule> {
  const choice = lora.moduleChoice;
  const projections = projectionShapes(model);
  const parameters = parameterShapes(model);
  const modules = new Map<string, AdaptedModule>();
  for (const path of moduleNames(model)) {
    if (!isTargeted(choice, path)) continue;
    const name = PROJECTION_NAMES.find((projection) => path.endsWith(`.${PROJECTIONS[projection]}`));
    if (name === undefined) {
      const why =
        path === "lm_head" || path === "model.embed_tokens"
          ? "LoRA on embedding and head is not supported; train it in full with modules_to_save"
          : "it has no weight matrix; write the pattern so that it fits projections only";
      throw new ConfigError("no_target", `LoraConfig: target_modules must fit ${PROJECTION_NAMES.join(", ")} only, got ${path}; ${why}`);
    }
    const [outputs, inputs] = projections[name];
    const { r, scaling } = lora.at(path);
    const hasBias = parameters.has(`${path}.bias`);
    modules.set(path, { path, r, scaling, inputs, outputs, hasBias, dora: lora.use_dora, loraBias: lora.lora_bias });
  }
  if (modules.size === 0) {
    throw new ConfigError(
      "no_target",
      `LoraConfig: at least one module must be adapted, got none for target_modules ${JSON.stringify(choice.target_modules)} on ${model.num_hidden_layers} layers; a string is a regular expression for the whole path (".*q_proj"), a list holds names; see also exclude_modules, layers_to_transform and modules_to_save`,
    );
  }
  return modules;
}

function savedModules(model: Qwen2Config, lora: LoraConfig, strict: boolean): string[] {
  const wanted = lora.modules_to_save ?? [];
  const withParameters = [...parameterShapes(model).keys(), HEAD];
  const candidates = moduleNames(model).filter((module) => withParameters.some((name) => name.startsWith(`${module}.`)));
  const unknown = wanted.find((name) => !candidates.some((module) => module.endsWith(name)));
  if (strict && unknown !== undefined) {
    throw new ConfigError(
      "no_match",
      `LoraConfig: modules_to_save must be ends of module paths (lm_head, embed_tokens, norm, input_layernorm, k_proj, mlp, …), got "${unknown}", which fits none; correct it`,
    );
  }
  // As PEFT: the plain end of the path, so that "norm" is also every input_layernorm.
  return candidates.filter((module) => wanted.some((name) => module.endsWith(name)));
}

function savedParameters(model: Qwen2Config, lora: LoraConfig, saved: readonly string[]): ReplacedParameter[] {
  const parameters = new Map<string, readonly number[]>(parameterShapes(model));
  if (!parameters.has(HEAD)) parameters.set(HEAD, [model.vocab_size, model.hidden_size]);
  const ends = (name: string): boolean => saved.some((module) => name.startsWith(`${module}.`));
  const touchesHead = ends(EMBEDDING) || ends(HEAD);
  const tying = lora.ensure_weight_tying && model.tie_word_embeddings && touchesHead;
  return [...parameters]
    .filter(([name]) => (tying && name === EMBEDDING) || (ends(name) && !(tying && name === HEAD)))
    .map(([name, shape]) => ({
      name,
      shape,
      files: (tying && name === EMBEDDING ? [name, HEAD] : [name]).map((file) => `base_model.model.${file}`),
    }));
}

function trainedBiases(
  model: Qwen2Config,
  lora: LoraConfig,
  modules: ReadonlyMap<string, AdaptedModule>,
  saved: readonly string[],
): ReplacedParameter[] {
  if (lora.bias === "none") return [];
  const biases = [...parameterShapes(model)].filter(([name]) => name.endsWith(".bias"));
  const trained = lora.bias === "all" ? biases : biases.filter(([name]) => modules.has(moduleOf(name)));
  return trained.map(([name, shape]) => {
    const module = moduleOf(name);
    if (saved.some((outer) => name.startsWith(`${outer}.`))) {
      throw new ConfigError(
        "bias_twice",
        `LoraConfig: bias "all" must not meet a bias that modules_to_save trains as well, got ${name}; leave one of the two out`,
      );
    }
    return { name, shape, files: [`base_model.model.${module}${modules.has(module) ? ".base_layer" : ""}.bias`] };
  });
}

function moduleOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf("."));
}

function requireLayers(model: Qwen2Config, lora: LoraConfig): void {
  const absent = lora.moduleChoice.layers_to_transform?.find((layer) => layer >= model.num_hidden_layers);
  if (absent === undefined) return;
  throw new ConfigError(
    "no_match",
    `LoraConfig: layers_to_transform must be layers of the model, 0 to ${model.num_hidden_layers - 1}, got ${absent}; correct it`,
  );
}

function requireMatches(model: Qwen2Config, lora: LoraConfig, modules: ReadonlyMap<string, AdaptedModule>): void {
  const { target_modules: targets } = lora.moduleChoice;
  const names = moduleNames(model);
  const refuse = (option: string, got: string, advice: string): never => {
    throw new ConfigError("no_match", `LoraConfig: ${option} must fit a module of the model, got ${got}, which fits none; ${advice}`);
  };
  if (typeof targets !== "string") {
    const stray = targets.find((target) => !names.some((name) => hasSuffix([target], name)));
    if (stray !== undefined) refuse("target_modules", `"${stray}"`, "correct the path");
  }
  for (const option of ["rank_pattern", "alpha_pattern"] as const) {
    const keys = new Set([...modules.keys()].map((path) => patternKey(lora[option], path)));
    const stray = Object.keys(lora[option]).find((key) => !keys.has(key));
    if (stray !== undefined) refuse(option, `"${stray}"`, "its keys are ends of the adapted modules' paths, the first that fits counts");
  }
  if (lora.ensure_weight_tying && !model.tie_word_embeddings)
    throw new ConfigError(
      "tying",
      "LoraConfig: ensure_weight_tying must be false for a model whose head is not tied, got true; leave it out",
    );
  const tied = (lora.modules_to_save ?? []).some((name) => "model.embed_tokens".endsWith(name) || "lm_head".endsWith(name));
  if (lora.ensure_weight_tying && !tied)
    throw new ConfigError(
      "tying",
      "LoraConfig: ensure_weight_tying needs embed_tokens or lm_head in modules_to_save, got neither; add one",
    );
}

/** Name and shape of every low-rank tensor by its name in the file, module by module: A [r, inputs], B [outputs, r], and as the
 *  configuration has them B's bias [outputs] and DoRA's lengths [outputs]. */
export function lowRankShapes(plan: AdapterPlan): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (const { path, r, inputs, outputs, dora, loraBias } of plan.modules.values()) {
    shapes.set(adapterTensorName(path, "A"), [r, inputs]);
    shapes.set(adapterTensorName(path, "B"), [outputs, r]);
    if (loraBias) shapes.set(adapterBiasName(path), [outputs]);
    if (dora) shapes.set(magnitudeName(path), [outputs]);
  }
  return shapes;
}

/** Name and shape of every tensor in the adapter's file. @throws ConfigError as `planAdapter` */
export function adapterShapes(model: Qwen2Config, lora: LoraConfig): Map<string, number[]> {
  const plan = planAdapter(model, lora);
  const shapes = lowRankShapes(plan);
  for (const { shape, files } of plan.replaced) for (const file of files) shapes.set(file, [...shape]);
  return shapes;
}
