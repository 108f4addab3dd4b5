/** What a training loop needs of an optimizer. */
import type { Engine } from "../../compile/index.js";
import type { OPTIMIZER_KINDS } from "../options/optimizerNames.js";

/** What is computed, whatever name it was asked for. */
export type OptimizerKind = (typeof OPTIMIZER_KINDS)[keyof typeof OPTIMIZER_KINDS];

/** A tensor that an optimizer keeps from step to step. */
export interface StateTensor {
  /** Name in `optimizer.safetensors`: SLOT/PARAMETER. */
  readonly name: string;
  /** Name in the engine's store. */
  readonly store: string;
  readonly shape: readonly number[];
  readonly dtype: "float32" | "uint8";
}

/**
 * Parameters, summed gradients and states stay in the engine's store; only the gradient's norm comes out. The gradient programs add to
 * `gradientName(...)`; an optimizer makes those sums and frees them. Two optimizers must not share a model.
 */
export interface Optimizer {
  readonly kind: OptimizerKind;
  /** Holds the parameters and the states. */
  readonly engine: Engine;
  /** Updates so far. */
  readonly steps: number;
  /** L2 norm of the summed gradient over all trainable tensors. */
  gradientNorm(): Promise<number>;
  /**
   * One update with the summed gradient.
   * @param clip factor for the gradient, as torch's clip_grad_norm_ computes it
   */
  step(learningRate: number, clip: number): Promise<void>;
  /** The stored states, in the order of the model's tensors. */
  states(): StateTensor[];
  /** Says that the stored states are those after `steps` updates. */
  resume(steps: number): void;
  /** Frees the states, the gradient sums and the programs. */
  dispose(): Promise<void>;
}

/** Bytes of the states. */
export function stateBytes(optimizer: Optimizer): number {
  return optimizer.states().reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * (dtype === "uint8" ? 1 : 4), 0);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Weight decay leaves out biases and norms, as transformers' Trainer does. */
export function decays(name: string): boolean {
  return !name.endsWith(".bias") && !name.endsWith("norm.weight");
}
