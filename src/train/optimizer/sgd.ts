/** Stochastic gradient descent as torch.optim.SGD: with momentum, Nesterov's too, and an L2 weight decay. */
import { type Engine, type TensorMap, tf } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { SgdArguments } from "../options/optimizerNames.js";
import { GroupedOptimizer, type Member, type Slot } from "./groupedOptimizer.js";

export interface SgdOptions extends SgdArguments {
  readonly weight_decay: number;
}

export class SGD extends GroupedOptimizer {
  readonly kind = "sgd";
  readonly #options: SgdOptions;

  private constructor(engine: Engine, model: CausalLM, options: SgdOptions) {
    super(engine, model);
    this.#options = options;
  }

  static async create(engine: Engine, model: CausalLM, options: SgdOptions): Promise<SGD> {
    return new SGD(engine, model, options).begin();
  }

  protected slots(_name: string, shape: readonly number[]): Slot[] {
    return this.#options.momentum === 0 ? [] : [{ slot: "momentum", shape, dtype: "float32" }];
  }

  protected numbers(learningRate: number, step: number): Record<string, number> {
    const { momentum, dampening } = this.#options;
    // The first gradient is taken whole.
    return { rate: learningRate, keep: step === 1 ? 0 : momentum, take: step === 1 ? 1 : 1 - dampening };
  }

  protected updated({ weight, gradient, state, numbers, decays }: Member): { weight: tf.Tensor } & TensorMap {
    const { momentum, nesterov, weight_decay } = this.#options;
    const slope = decays && weight_decay !== 0 ? tf.add(gradient, tf.mul(weight, weight_decay)) : gradient;
    if (momentum === 0) return { weight: tf.sub(weight, tf.mul(slope, numbers["rate"]!)) };
    const moving = tf.add(tf.mul(state["momentum"]!, numbers["keep"]!), tf.mul(slope, numbers["take"]!));
    const direction = nesterov ? tf.add(slope, tf.mul(moving, momentum)) : moving;
    return { weight: tf.sub(weight, tf.mul(direction, numbers["rate"]!)), momentum: moving };
  }
}
