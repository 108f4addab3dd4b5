import { defineOptions, type OptionValues } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { LORA_OPTIONS, type LoraConfigInput } from "../model/loraConfig.js";

const lora = LORA_OPTIONS.entries;

/** TRL's command-line flags for LoRA: its own names and defaults over the options of `LoraConfig`. */
export const LORA_FLAGS = defineOptions("LoRA options (LoraConfig)", {
  use_peft: { type: "boolean", default: false, help: "Train a LoRA adapter instead of all weights" },
  lora_r: { ...lora.r, default: 16 },
  lora_alpha: { ...lora.lora_alpha, default: 32 },
  lora_dropout: { ...lora.lora_dropout, default: 0.05, help: `${lora.lora_dropout.help}; in effect only with --disable_dropout false` },
  lora_target_modules: { ...lora.target_modules, placeholder: "NAME" },
  use_rslora: lora.use_rslora,
  lora_task_type: lora.task_type,
});

type LoraFlags = OptionValues<(typeof LORA_FLAGS)["entries"]>;

/** The arguments of `new LoraConfig`, or null without `use_peft`. @param names options that were given at all
 *  @throws ConfigError when LoRA options are given but use_peft is not said, because they would have no effect */
export function toLoraInput(values: LoraFlags, names: ReadonlySet<string>, where: string): LoraConfigInput | null {
  const given = [...LORA_FLAGS.specs.keys()].filter((name) => name !== "use_peft" && names.has(name));
  if (given.length > 0 && !names.has("use_peft")) {
    throw new ConfigError("option_conflict", `${where}: --${given[0]} needs --use_peft; without it all weights are trained`);
  }
  if (!values.use_peft) return null;
  return {
    r: values.lora_r,
    lora_alpha: values.lora_alpha,
    lora_dropout: values.lora_dropout,
    target_modules: values.lora_target_modules,
    use_rslora: values.use_rslora,
    task_type: values.lora_task_type,
  };
}
