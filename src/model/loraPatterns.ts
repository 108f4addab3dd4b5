/** How PEFT's options name modules: suffixes, Python regular expressions, patterns. Follows peft/tuners/tuners_utils.py 0.21. */
import { ConfigError } from "../errors.js";
import type { Qwen2Config } from "./config.js";
import { PROJECTION_NAMES, PROJECTIONS } from "./shapes.js";

/** Every module of transformers' Qwen2ForCausalLM in the order of `named_modules()`, without the root. */
export function moduleNames(config: Qwen2Config): string[] {
  const names = ["model", "model.embed_tokens", "model.layers"];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const inside = (folder: string): string[] =>
      PROJECTION_NAMES.map((name) => PROJECTIONS[name])
        .filter((path) => path.startsWith(`${folder}.`))
        .map((path) => `${prefix}.${path}`);
    names.push(prefix, `${prefix}.self_attn`, ...inside("self_attn"), `${prefix}.mlp`, ...inside("mlp"), `${prefix}.mlp.act_fn`);
    names.push(`${prefix}.input_layernorm`, `${prefix}.post_attention_layernorm`);
  }
  return [...names, "model.norm", "model.rotary_emb", "lm_head"];
}

/** A Python regular expression as one of JavaScript.
 *  @param where first part of a message, e.g. "LoraConfig: target_modules"
 *  @throws ConfigError `pattern` for one that JavaScript cannot express */
export function pythonPattern(pattern: string, where: string): RegExp {
  const translated = pattern
    .replaceAll("(?P<", "(?<")
    .replace(/\(\?P=(\w+)\)/g, "\\k<$1>")
    // An even number of backslashes before it leaves a plain letter.
    .replace(/(?<!\\)((?:\\\\)*)\\A/g, "$1^")
    .replace(/(?<!\\)((?:\\\\)*)\\Z/g, "$1$");
  try {
    return new RegExp(translated);
  } catch (cause) {
    throw new ConfigError(
      "pattern",
      `${where} must be a regular expression that Python and JavaScript share, got ${JSON.stringify(pattern)}: ${(cause as Error).message}; write it more simply, or list the names`,
      { cause },
    );
  }
}

function fullMatch(pattern: string, name: string, where: string): boolean {
  return pythonPattern(`^(?:${pattern})$`, where).test(name);
}

/** Whether `names` has the module itself or a dotted end of its path. */
export function hasSuffix(names: readonly string[], module: string): boolean {
  return names.some((name) => module === name || module.endsWith(`.${name}`));
}

/** The options that choose modules; a string is a regular expression for the whole path, a list holds dotted ends of paths. */
export interface ModuleChoice {
  readonly target_modules: string | readonly string[];
  readonly exclude_modules: string | readonly string[] | null;
  readonly modules_to_save: readonly string[] | null;
  readonly layers_to_transform: readonly number[] | null;
  readonly layers_pattern: readonly string[] | null;
}

/** Whether a module is excluded, or trained in full, whatever `target_modules` says. */
export function isExcluded(choice: ModuleChoice, module: string): boolean {
  const { exclude_modules: excluded, modules_to_save: saved } = choice;
  if (typeof excluded === "string" && fullMatch(excluded, module, "LoraConfig: exclude_modules")) return true;
  if (excluded !== null && typeof excluded !== "string" && hasSuffix(excluded, module)) return true;
  return saved?.some((name) => pythonPattern(`^(^|.*\\.)${name}($|\\..*)`, "LoraConfig: modules_to_save").test(module)) ?? false;
}

/** Whether a module gets A and B. */
export function isTargeted(choice: ModuleChoice, module: string): boolean {
  if (isExcluded(choice, module)) return false;
  const { target_modules: targets, layers_to_transform: layers, layers_pattern: patterns } = choice;
  if (typeof targets === "string") return fullMatch(targets, module, "LoraConfig: target_modules");
  if (!hasSuffix(targets, module)) return false;
  if (layers === null) return true;
  const layer = layerOf(module, patterns);
  return layer !== undefined && layers.includes(layer);
}

/** The first number in a module's path, behind any name or behind one of the given ones. */
function layerOf(module: string, patterns: readonly string[] | null): number | undefined {
  const found =
    patterns === null
      ? /^.*?\.[^.]*\.(\d+)\./.exec(module)?.[1]
      : patterns
          .map((pattern) =>
            pythonPattern(`^(?:^|.*?\\.)(?:${pattern})\\.(?<preflabLayer>\\d+)\\.`, "LoraConfig: layers_pattern").exec(module),
          )
          .find((match) => match !== null)?.groups?.["preflabLayer"];
  return found === undefined ? undefined : Number(found);
}

/** The first key of `rank_pattern` or `alpha_pattern` that fits the end of a module's path. */
export function patternKey(pattern: Readonly<Record<string, number>>, module: string): string | undefined {
  return Object.keys(pattern).find((key) => pythonPattern(`^(.*\\.)?(${key})$`, "LoraConfig: rank_pattern").test(module));
}
