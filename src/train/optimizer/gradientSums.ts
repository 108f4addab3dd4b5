/** The stored sums that all gradient programs add to. */
import { type InputSpec, type TensorMap, tf } from "../../compile/index.js";
import { type CausalLM, headName } from "../../model/index.js";

/** Store name of the gradient that is being summed for a trainable tensor. */
export function gradientName(name: string): string {
  return `gradient/${name}`;
}

/** Whether training leaves the language-model head as it is. */
export function headIsFrozen(model: CausalLM): boolean {
  return !model.trainable().has(headName(model.config));
}

/** The gradient sums of a model's trainable tensors, seen from inside a program. */
export class GradientSums {
  readonly #model: CausalLM;
  readonly #head: string;
  /** The head reads its weight through these views, whose gradients are rows of the weight's. */
  readonly #views: string[];

  constructor(model: CausalLM) {
    this.#model = model;
    this.#head = headName(model.config);
    this.#views = headIsFrozen(model) ? [] : model.base.headBlocks().map(({ view }) => view);
  }

  /** The sums as state inputs, and `carry`, which is 0 to start them anew and 1 to add to them. */
  signature(): Record<string, InputSpec> {
    const signature: Record<string, InputSpec> = { carry: { shape: [] } };
    for (const [name, shape] of this.#model.trainable()) {
      signature[gradientName(name)] = { shape, role: "state", store: gradientName(this.#model.storeName(name)) };
    }
    return signature;
  }

  /** What to differentiate for. */
  variables(inputs: TensorMap): TensorMap {
    return Object.fromEntries([...this.#model.trainable().keys(), ...this.#views].map((name) => [name, inputs[name]!]));
  }

  /** The new sums, as outputs that replace the old ones. */
  added(inputs: TensorMap, gradients: TensorMap): TensorMap {
    const sums: TensorMap = {};
    for (const name of this.#model.trainable().keys()) {
      const gradient = name === this.#head ? this.#headGradient(gradients) : gradients[name]!;
      sums[gradientName(name)] = tf.add(tf.mul(inputs[gradientName(name)]!, inputs["carry"]!), gradient);
    }
    return sums;
  }

  #headGradient(gradients: TensorMap): tf.Tensor {
    const own = gradients[this.#head]!;
    if (this.#views.length === 0) return own;
    const rows = this.#views.map((view) => gradients[view] as tf.Tensor2D);
    return tf.add(own, tf.concat(rows, 0));
  }
}
