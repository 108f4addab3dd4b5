/** The optimizer that the option `optim` names. */
import type { Engine } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import { OPTIMIZER_KINDS, sgdArguments } from "../options/optimizerNames.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import { AdamW } from "./adamw.js";
import { AdamW8bit } from "./adamw8bit.js";
import type { Optimizer } from "./optimizer.js";
import { SGD } from "./sgd.js";

type OptimizerOptions = Pick<TrainingOptions, "optim" | "optim_args" | "weight_decay" | "adam_beta1" | "adam_beta2" | "adam_epsilon">;

let toldOfPaging = false;

/**
 * Puts zero states and zero gradient sums for a loaded model's trainable tensors into the engine's store. The caller disposes of it.
 * @throws ConfigError as the options' own check
 */
export async function createOptimizer(engine: Engine, model: CausalLM, args: OptimizerOptions): Promise<Optimizer> {
  if (args.optim.startsWith("paged_") && !toldOfPaging) {
    toldOfPaging = true;
    console.info(`optim ${args.optim}: paging has no meaning here, the states lie in ordinary memory; the numbers are the same`);
  }
  switch (OPTIMIZER_KINDS[args.optim]) {
    case "adamw":
      return AdamW.create(engine, model, args);
    case "adamw8bit":
      return AdamW8bit.create(engine, model, args);
    case "sgd":
      return SGD.create(engine, model, { ...sgdArguments(args.optim_args, "optim"), weight_decay: args.weight_decay });
  }
}
