/**
 * How a TensorFlow.js kernel is written down as ONNX. One table for all kernels; the files beside this one fill it by
 * subject. A kernel gets values by input name (or in order, for kernels with a list of inputs) and returns values.
 *
 * The measure of a kernel is TensorFlow.js's own `cpu` backend, odd cases included: what NaN, ties, negative divisors,
 * overflow and booleans give there, they give here. Exceptions are named in docs/internals.md.
 */
import { EngineError } from "../../errors.js";
import type { Graph, Value } from "../graph.js";

// TensorFlow.js attributes are untyped records: each kernel states what it reads.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type KernelAttributes = Record<string, any>;

export interface KernelCall {
  readonly graph: Graph;
  readonly name: string;
  readonly inputs: Readonly<Record<string, Value>>;
  /** The inputs in order, for Concat, Pack, AddN and Einsum. */
  readonly list: readonly Value[];
  readonly attributes: KernelAttributes;
}

export type Kernel = (call: KernelCall) => Value | Value[];

export const kernels = new Map<string, Kernel>();

/** What each refused kernel's message ends with, by kernel name. */
export const refusals = new Map<string, string>();

export function defineKernel(name: string, kernel: Kernel): void {
  kernels.set(name, kernel);
}

/** A kernel that cannot become part of a static graph; `instead` tells the user what can. */
export function refuseKernel(name: string, instead: string): void {
  refusals.set(name, instead);
  kernels.set(name, () => refuse(name, instead));
}

/** @throws EngineError `untraceable_op`, always */
export function refuse(what: string, instead: string): never {
  throw new EngineError("untraceable_op", `${what} cannot be traced; ${instead}`);
}

export function input(call: KernelCall, name: string): Value {
  const value = call.inputs[name];
  if (value === undefined) throw new EngineError("kernel_input", `${call.name}: input "${name}" is missing`);
  return value;
}
