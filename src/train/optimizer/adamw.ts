/** AdamW, arXiv:1711.05101, in the order of operations of torch.optim.AdamW. */
import { type Engine, type TensorMap, tf } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import { GroupedOptimizer, type Member, type Slot } from "./groupedOptimizer.js";
import type { OptimizerKind } from "./optimizer.js";

export { decays } from "./optimizer.js";

export type AdamOptions = Pick<TrainingOptions, "adam_beta1" | "adam_beta2" | "adam_epsilon" | "weight_decay">;

export class AdamW extends GroupedOptimizer {
  readonly kind: OptimizerKind = "adamw";
  readonly #options: AdamOptions;

  protected constructor(engine: Engine, model: CausalLM, options: AdamOptions) {
    super(engine, model);
    this.#options = options;
  }

  /** @param groupElements most elements of small tensors that one program updates */
  static async create(engine: Engine, model: CausalLM, options: AdamOptions, groupElements?: number): Promise<AdamW> {
    return new AdamW(engine, model, options).begin(groupElements);
  }

  protected slots(_name: string, shape: readonly number[]): Slot[] {
    return ["mean", "square"].map((slot) => ({ slot, shape, dtype: "float32" }));
  }

  protected numbers(learningRate: number, step: number): Record<string, number> {
    const { adam_beta1, adam_beta2, weight_decay } = this.#options;
    return {
      decay: 1 - learningRate * weight_decay,
      stepSize: learningRate / (1 - adam_beta1 ** step),
      rootCorrection: Math.sqrt(1 - adam_beta2 ** step),
    };
  }

  protected updated(member: Member): { weight: tf.Tensor } & TensorMap {
    const { weight, gradient, state } = member;
    const mean = this.newMean(state["mean"]!, gradient);
    const square = this.newSquare(state["square"]!, gradient);
    return { weight: tf.sub(this.decayed(weight, member), this.change(mean, square, member)), mean, square };
  }

  protected newMean(mean: tf.Tensor, gradient: tf.Tensor): tf.Tensor {
    const { adam_beta1: beta } = this.#options;
    return tf.add(tf.mul(mean, beta), tf.mul(gradient, 1 - beta));
  }

  protected newSquare(square: tf.Tensor, gradient: tf.Tensor): tf.Tensor {
    const { adam_beta2: beta } = this.#options;
    return tf.add(tf.mul(square, beta), tf.mul(tf.square(gradient), 1 - beta));
  }

  protected decayed(weight: tf.Tensor, { decays, numbers }: Member): tf.Tensor {
    return decays && this.#options.weight_decay !== 0 ? tf.mul(weight, numbers["decay"]!) : weight;
  }

  /** What is taken off the weight. */
  protected change(mean: tf.Tensor, square: tf.Tensor, { numbers }: Member): tf.Tensor {
    const denominator = tf.add(tf.div(tf.sqrt(square), numbers["rootCorrection"]!), this.#options.adam_epsilon);
    return tf.mul(tf.div(mean, denominator), numbers["stepSize"]!);
  }
}
