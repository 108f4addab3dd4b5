/** The optimizers by transformers' names (OptimizerNames): what each is here, why others are not, and what `optim_args` may say. */
import { ConfigError } from "../../errors.js";
import type { TrainingOptions } from "./trainingConfig.js";

/** The name of an optimizer that is offered. */
export type OptimizerName = TrainingOptions["optim"];

const ELSEWHERE = "it needs a package or a device that this project does not use; use adamw_torch";
const MEMORY = "it is not implemented; for less memory use adamw_8bit, or train a LoRA adapter";
const OTHER = "it is not implemented; use adamw_torch or sgd";

/** Names that transformers knows, or knew, and that are not offered. */
export const REFUSED_OPTIMIZERS: Readonly<Record<string, string>> = {
  adamw_hf: "transformers removed it; use adamw_torch",
  adamw_torch_xla: ELSEWHERE,
  adamw_torch_npu_fused: ELSEWHERE,
  adamw_apex_fused: ELSEWHERE,
  adamw_anyprecision: ELSEWHERE,
  adamw_torch_4bit: MEMORY,
  adamw_torch_8bit: "its 8-bit format is torchao's; adamw_8bit has that of bitsandbytes",
  adafactor: MEMORY,
  ademamix: OTHER,
  ademamix_8bit: OTHER,
  paged_ademamix_32bit: OTHER,
  paged_ademamix_8bit: OTHER,
  adagrad: OTHER,
  lion_8bit: OTHER,
  lion_32bit: OTHER,
  paged_lion_32bit: OTHER,
  paged_lion_8bit: OTHER,
  rmsprop: OTHER,
  rmsprop_bnb: OTHER,
  rmsprop_bnb_8bit: OTHER,
  rmsprop_bnb_32bit: OTHER,
  galore_adamw: MEMORY,
  galore_adamw_8bit: MEMORY,
  galore_adafactor: MEMORY,
  galore_adamw_layerwise: MEMORY,
  galore_adamw_8bit_layerwise: MEMORY,
  galore_adafactor_layerwise: MEMORY,
  lomo: MEMORY,
  adalomo: MEMORY,
  apollo_adamw: MEMORY,
  apollo_adamw_layerwise: MEMORY,
  grokadamw: OTHER,
  schedule_free_radam: OTHER,
  schedule_free_adamw: OTHER,
  schedule_free_sgd: OTHER,
  stable_adamw: OTHER,
};

/** What is computed under each name. */
export const OPTIMIZER_KINDS = {
  adamw_torch: "adamw",
  adamw_torch_fused: "adamw",
  paged_adamw_32bit: "adamw",
  adamw_8bit: "adamw8bit",
  adamw_bnb_8bit: "adamw8bit",
  paged_adamw_8bit: "adamw8bit",
  sgd: "sgd",
} as const satisfies Record<OptimizerName, string>;

/** Arguments of torch.optim.SGD; the weight decay is the option `weight_decay`, as in transformers' parameter groups. */
export interface SgdArguments {
  /** In [0, ∞), default 0. */
  readonly momentum: number;
  /** Share of the gradient that the momentum leaves out, default 0. */
  readonly dampening: number;
  readonly nesterov: boolean;
}

/** @returns `optim_args` of sgd, complete @throws ConfigError as `requireOptimizerOptions` */
export function sgdArguments(optimArgs: string | null, where: string): SgdArguments {
  const given = readArguments(optimArgs, "sgd", ["momentum", "dampening", "nesterov"], where);
  const number = (name: string): number => {
    const text = given.get(name) ?? "0";
    const value = text === "" ? NaN : Number(text);
    if (!Number.isFinite(value) || (name === "momentum" && value < 0)) throw broken(where, name, "a number >= 0", text);
    return value;
  };
  const nesterov = given.get("nesterov") ?? "false";
  if (!/^(true|false|1|0|yes|no)$/i.test(nesterov)) throw broken(where, "nesterov", "true or false", nesterov);
  const values = { momentum: number("momentum"), dampening: number("dampening"), nesterov: /^(true|1|yes)$/i.test(nesterov) };
  if (values.nesterov && (values.momentum === 0 || values.dampening !== 0))
    throw new ConfigError("option_conflict", `${where}: optim_args: nesterov needs momentum > 0 and dampening 0, got ${optimArgs}`);
  return values;
}

/** The options of AdamW that sgd does not read, with their defaults. */
const ADAM_OPTIONS = { adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8 } as const;

/** @throws ConfigError `option_unknown`, `option_type`, `option_conflict` for options that the chosen optimizer does not take */
export function requireOptimizerOptions(
  values: Pick<TrainingOptions, "optim" | "optim_args" | keyof typeof ADAM_OPTIONS>,
  where: string,
): void {
  if (values.optim !== "sgd") {
    readArguments(values.optim_args, values.optim, [], where);
    return;
  }
  sgdArguments(values.optim_args, where);
  for (const [name, fallback] of Object.entries(ADAM_OPTIONS)) {
    const value = values[name as keyof typeof ADAM_OPTIONS];
    if (value !== fallback)
      throw new ConfigError("option_conflict", `${where}: ${name} is for AdamW, got ${value} with optim "sgd"; remove it`);
  }
}

/** `name=value,name=value`, as transformers reads it: spaces do not count. */
function readArguments(text: string | null, optim: string, known: readonly string[], where: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const part of (text ?? "").replaceAll(" ", "").split(",")) {
    if (part === "") continue;
    const [name, value, ...rest] = part.split("=");
    if (value === undefined || rest.length > 0)
      throw new ConfigError("option_type", `${where}: optim_args must be NAME=VALUE,NAME=VALUE, got ${JSON.stringify(part)}`);
    if (!known.includes(name!))
      throw new ConfigError(
        "option_unknown",
        `${where}: optim_args of "${optim}" must be known to it, got ${name}; known: ${known.length === 0 ? "none" : known.join(", ")}`,
      );
    values.set(name!, value);
  }
  return values;
}

function broken(where: string, name: string, rule: string, got: string): ConfigError {
  return new ConfigError("option_type", `${where}: optim_args: ${name} must be ${rule}, got ${JSON.stringify(got)}`);
}
