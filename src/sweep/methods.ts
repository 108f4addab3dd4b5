/** The training methods as a sweep sees them: their options, their classes, and what their runs are judged by. */
import type { OptionTable } from "../config/index.js";
import { unknownOption } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { LORA_KEYS, LoraConfig, type LoraConfigInput } from "../model/loraConfig.js";
import type { Trainer } from "../train/index.js";
import type { TrainerInput } from "../train/loop/trainerInput.js";
import { CPO_OPTIONS, CPOConfig } from "../train/options/cpoConfig.js";
import { DPO_OPTIONS, DPOConfig } from "../train/options/dpoConfig.js";
import { KTO_OPTIONS, KTOConfig } from "../train/options/ktoConfig.js";
import { ORPO_OPTIONS, ORPOConfig } from "../train/options/orpoConfig.js";
import { SFT_OPTIONS, SFTConfig } from "../train/options/sftConfig.js";
import type { TrainingConfig } from "../train/options/trainingConfig.js";

export type MethodName = "sft" | "dpo" | "kto" | "cpo" | "orpo";

export interface SweepMethod {
  readonly table: OptionTable;
  config(options: Record<string, unknown>, where: string): TrainingConfig;
  /** Loaded late: wrong options are told before TensorFlow.js is there. */
  trainer(input: TrainerInput<TrainingConfig>): Promise<Trainer>;
  /** What is measured on evaluation rows, without `eval_`. */
  readonly metric: string;
}

/** A method whose runs with different losses can be compared. */
const ACCURACY = "rewards/accuracies";

function entry<Config extends TrainingConfig>(
  table: OptionTable,
  config: new (options: object, check: { where: string }) => Config,
  load: (trainers: typeof import("../train/index.js")) => new (input: TrainerInput<Config>) => Trainer,
  metric: string,
): SweepMethod {
  return {
    table,
    config: (options, where) => new config(options, { where }),
    trainer: async (input) => {
      const Trainer = load(await import("../train/index.js"));
      return new Trainer(input as TrainerInput<Config>);
    },
    metric,
  };
}

export const METHODS: Readonly<Record<MethodName, SweepMethod>> = {
  sft: entry(SFT_OPTIONS, SFTConfig, ({ SFTTrainer }) => SFTTrainer, "loss"),
  dpo: entry(DPO_OPTIONS, DPOConfig, ({ DPOTrainer }) => DPOTrainer, ACCURACY),
  kto: entry(KTO_OPTIONS, KTOConfig, ({ KTOTrainer }) => KTOTrainer, "rewards/margins"),
  cpo: entry(CPO_OPTIONS, CPOConfig, ({ CPOTrainer }) => CPOTrainer, ACCURACY),
  orpo: entry(ORPO_OPTIONS, ORPOConfig, ({ ORPOTrainer }) => ORPOTrainer, ACCURACY),
};

/** The sweep's own business. */
const OWN: Readonly<Record<string, string>> = {
  output_dir: "every trial has a folder of its own below the sweep's",
  resume_from_checkpoint: "a trial goes on from its last checkpoint by itself",
};

/** `r` and, as flags write it, `lora_r`. */
function loraName(name: string): string | undefined {
  if (LORA_KEYS.has(name)) return name;
  const short = name.replace(/^lora_/, "");
  return short !== name && LORA_KEYS.has(short) ? short : undefined;
}

export interface SplitOptions {
  readonly training: Record<string, unknown>;
  /** undefined: all weights are trained. */
  readonly lora: Record<string, unknown> | undefined;
}

/** Sorts options by whose they are. @throws ConfigError `option_unknown`, `sweep_option` */
export function splitOptions(method: SweepMethod, values: Readonly<Record<string, unknown>>, where: string): SplitOptions {
  const training: Record<string, unknown> = {};
  const lora: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const own = method.table.canonicalName(name);
    if (own !== undefined && own in OWN)
      throw new ConfigError("sweep_option", `${where}: ${name} cannot be set, got ${JSON.stringify(value)}; ${OWN[own]!}`);
    const adapter = loraName(name);
    if (own !== undefined || Object.hasOwn(method.table.entries, name)) training[own ?? name] = value;
    else if (adapter !== undefined) lora[adapter] = value;
    else throw unknownOption(name, [...method.table.knownNames, ...LORA_KEYS], { where });
  }
  return { training, lora: Object.keys(lora).length === 0 ? undefined : lora };
}

export function loraConfig(options: Record<string, unknown>): LoraConfig {
  return new LoraConfig(options as LoraConfigInput);
}
