import { defineOptions, type OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { LORA_OPTIONS, LoraConfig, type ModulePattern } from "../model/loraConfig.js";

const lora = LORA_OPTIONS.entries;

/** TRL's command-line flags for LoRA: its own names and defaults over the options of `LoraConfig`, and flags for more of them. */
export const LORA_FLAGS = defineOptions("LoRA options (LoraConfig)", {
  use_peft: { type: "boolean", default: false, help: "Train a LoRA adapter instead of all weights" },
  lora_r: { ...lora.r, default: 16 },
  lora_alpha: { ...lora.lora_alpha, default: 32 },
  lora_dropout: {
    ...lora.lora_dropout,
    default: 0.05,
    help: `${lora.lora_dropout.help}. sft always drops; dpo, kto, cpo and orpo only with --disable_dropout false`,
  },
  lora_target_modules: {
    ...lora.target_modules,
    placeholder: "NAME",
    rule: {
      text: `${lora.target_modules.rule.text}, or a regular expression`,
      accepts: (name: string) => isExpression(name) || lora.target_modules.rule.accepts(name),
    },
    help: 'Which projections get an adapter: ends of module paths; "all-linear" stands for all seven, null for q_proj and v_proj. One value with signs like .* is a regular expression for the whole path',
  },
  lora_modules_to_save: { ...lora.modules_to_save, placeholder: "NAME" },
  lora_layers_to_transform: lora.layers_to_transform,
  lora_rank_pattern: {
    type: "json",
    default: null,
    nullable: true,
    help: 'Ranks of single modules instead of lora_r, by the end of their path, e.g. {"layers.0.self_attn.q_proj": 4}',
  },
  lora_alpha_pattern: { type: "json", default: null, nullable: true, help: "lora_alpha of single modules, written as lora_rank_pattern" },
  use_rslora: lora.use_rslora,
  use_dora: lora.use_dora,
  lora_task_type: lora.task_type,
  lora_target_parameters: { refused: "Qwen2 has no parameter outside linear layers and norms; use lora_target_modules" },
});

type LoraFlags = OptionValues<(typeof LORA_FLAGS)["entries"]>;

/** The `LoraConfig` that the flags ask for, or undefined without `use_peft`. @param names options that were given at all
 *  @throws ConfigError as LoraConfig, and when LoRA options are given but use_peft is not said, because they would have no effect */
export function toLoraConfig(values: LoraFlags, names: ReadonlySet<string>, where: string): LoraConfig | undefined {
  const given = [...LORA_FLAGS.specs.keys()].filter((name) => name !== "use_peft" && names.has(name));
  if (given.length > 0 && !names.has("use_peft")) {
    throw new ConfigError("option_conflict", `${where}: --${given[0]} needs --use_peft; without it all weights are trained`);
  }
  if (!values.use_peft) return undefined;
  const targets = values.lora_target_modules;
  return new LoraConfig({
    r: values.lora_r,
    lora_alpha: values.lora_alpha,
    lora_dropout: values.lora_dropout,
    target_modules: targets?.length === 1 && isExpression(targets[0]!) ? targets[0] : targets,
    modules_to_save: values.lora_modules_to_save,
    layers_to_transform: values.lora_layers_to_transform,
    // LoraConfig checks that these are numbers.
    rank_pattern: values.lora_rank_pattern as ModulePattern | null,
    alpha_pattern: values.lora_alpha_pattern as ModulePattern | null,
    use_rslora: values.use_rslora,
    use_dora: values.use_dora,
    task_type: values.lora_task_type,
  });
}

/** Whether a target is no plain name: module paths consist of letters, digits, _ and dots, "all-linear" excepted. */
function isExpression(target: string): boolean {
  return target !== "all-linear" && /[^\w.]/.test(target);
}
