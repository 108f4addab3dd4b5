/**
 * One case of the contract suite: a TensorFlow.js function with inputs, run on the compiled engine and eagerly on
 * TensorFlow.js's `cpu` backend. Both must give the same shapes, dtypes and numbers. Gradients are compared the same way
 * and, besides, with central differences of the eager function.
 */
import { expect } from "vitest";
import { type Engine, type HostTensor, type HostTensors, type Signature, hostTensor, tf } from "../../src/compile/index.js";
import { toTensor } from "../../src/compile/eagerEngine.js";
import { Random } from "../../src/random.js";

// Any rank: TensorFlow.js types many parameters as Tensor1D, Tensor2D and so on.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type CaseTensor = tf.Tensor<any>;
type Result = tf.Tensor | tf.Tensor[] | Record<string, tf.Tensor>;

export interface ContractCase {
  readonly name: string;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly fn: (inputs: Record<string, CaseTensor>) => Result;
  /** Inputs whose gradient is checked, through a fixed weighted sum of all float outputs. */
  readonly gradientOf: readonly string[];
  /** Allowed |compiled − eager| / max(1, |eager|). */
  readonly tolerance: number;
  /** Allowed |gradient − central difference| / max(1, largest gradient). */
  readonly differenceTolerance: number;
  /** Why central differences cannot judge the gradient, if so. */
  readonly noDifferences?: string;
}

export interface CaseOptions<I extends Record<string, HostTensor>> {
  name: string;
  inputs?: I;
  fn: (inputs: { [K in keyof I]: CaseTensor }) => Result;
  gradientOf?: readonly (keyof I & string)[];
  /** Default 5e-6: a few float32 roundings. TensorFlow.js rounds after each kernel, ONNX Runtime sums in float32. */
  tolerance?: number;
  /** Default 1e-3. */
  differenceTolerance?: number;
  noDifferences?: string;
}

export function contractCase<const I extends Record<string, HostTensor>>(options: CaseOptions<I>): ContractCase {
  const { name, inputs = {}, fn, gradientOf = [], tolerance = 5e-6, differenceTolerance = 1e-3, noDifferences } = options;
  return { name, inputs, fn: fn as ContractCase["fn"], gradientOf, tolerance, differenceTolerance, noDifferences };
}

type Nested = number | boolean | readonly Nested[];

/** A float32 tensor from nested arrays. */
export const floats = (values: Nested): HostTensor => nested(values, "float32");
export const ints = (values: Nested): HostTensor => nested(values, "int32");
export const bools = (values: Nested): HostTensor => nested(values, "bool");

function nested(values: Nested, dtype: "float32" | "int32" | "bool"): HostTensor {
  const shape: number[] = [];
  for (let level: Nested = values; Array.isArray(level); level = level[0] as Nested) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  return hostTensor(flatten(values), shape, dtype);
}

function flatten(values: Nested): number[] {
  return typeof values === "object" ? values.flatMap(flatten) : [Number(values)];
}

/** Standard normal numbers, the same in every run. */
export function normal(shape: readonly number[], seed = 1): HostTensor {
  const random = new Random(seed);
  return hostTensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  );
}

/** Uniform numbers in [low, high), the same in every run. */
export function uniform(shape: readonly number[], low: number, high: number, seed = 1): HostTensor {
  const random = new Random(seed);
  return hostTensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => low + (high - low) * random.uniform()),
    shape,
  );
}

/** A tensor without elements. */
export function empty(shape: readonly number[], dtype: "float32" | "int32" | "bool" = "float32"): HostTensor {
  return hostTensor([], shape, dtype);
}

const GRADIENT = "gradient of ";

function named(result: Result): Record<string, tf.Tensor> {
  if (result instanceof tf.Tensor) return { y: result };
  if (Array.isArray(result)) return Object.fromEntries(result.map((tensor, i) => [`y${i}`, tensor]));
  return result;
}

/** Weights of the sum that is differentiated: of both signs, no two equal. */
function cotangents(shape: readonly number[], seed: number): Float32Array {
  return uniform(shape, 0.5, 1.5, seed).data.map((value, i) => (i % 3 === 1 ? -value : value)) as Float32Array;
}

function weightedSum(result: Result): tf.Scalar {
  const terms = Object.values(named(result))
    .filter((tensor) => tensor.dtype === "float32")
    .map((tensor, i) => tf.sum(tf.mul(tensor, tf.tensor(cotangents(tensor.shape, i), tensor.shape))));
  return terms.reduce((sum, term) => tf.add(sum, term)) as tf.Scalar;
}

/** The function with its gradients beside its outputs. */
export function withGradients({ fn, gradientOf }: ContractCase): (inputs: Record<string, tf.Tensor>) => Record<string, tf.Tensor> {
  return (inputs) => {
    const outputs = { ...named(fn(inputs)) };
    if (gradientOf.length === 0) return outputs;
    const of = (...tensors: tf.Tensor[]): tf.Scalar =>
      weightedSum(fn({ ...inputs, ...Object.fromEntries(gradientOf.map((name, i) => [name, tensors[i]!])) }));
    tf.grads(of)(gradientOf.map((name) => inputs[name]!)).forEach((gradient, i) => (outputs[GRADIENT + gradientOf[i]!] = gradient));
    return outputs;
  };
}

export function signatureOf(inputs: Readonly<Record<string, HostTensor>>): Signature {
  return Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype as "float32" }]));
}

export interface Engines {
  readonly compiled: Engine;
  /** On TensorFlow.js's `cpu` backend. */
  readonly eager: Engine;
}

/** Runs a case both ways and compares. */
export async function checkCase(contract: ContractCase, { compiled, eager }: Engines): Promise<void> {
  const signature = signatureOf(contract.inputs);
  const fn = withGradients(contract);
  const program = compiled.compile(fn, signature, { name: contract.name });
  try {
    const actual = await program.run(contract.inputs);
    const wanted = await eager.compile(fn, signature, { name: contract.name }).run(contract.inputs);
    expect(Object.keys(actual).sort()).toEqual(Object.keys(wanted).sort());
    for (const [name, tensor] of Object.entries(wanted))
      expectClose(`${contract.name}, ${name}`, actual[name]!, tensor, contract.tolerance);
    if (contract.noDifferences !== undefined) return;
    for (const name of contract.gradientOf) expectDifferences(contract, name, wanted[GRADIENT + name]!.data as Float32Array);
  } finally {
    await program.dispose();
  }
}

export function expectClose(where: string, actual: HostTensor, wanted: HostTensor, tolerance: number): void {
  expect({ shape: actual.shape, dtype: actual.dtype }, where).toEqual({ shape: wanted.shape, dtype: wanted.dtype });
  let worst = -1;
  let worstAt = 0;
  wanted.data.forEach((value, i) => {
    const difference = distance(actual.data[i]!, value);
    if (difference > worst) [worst, worstAt] = [difference, i];
  });
  const allowed = wanted.dtype === "float32" ? tolerance : 0;
  if (worst > allowed) {
    const show = (tensor: HostTensor): string => [...tensor.data.slice(0, 24)].join(", ");
    expect.fail(`${where}: differs by ${worst} at ${worstAt} (allowed ${allowed})\n compiled ${show(actual)}\n eager    ${show(wanted)}`);
  }
}

/** Relative above 1, absolute below; NaN equals NaN and an infinity equals itself. */
function distance(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0;
  const difference = Math.abs(a - b) / Math.max(1, Math.abs(b));
  return Number.isNaN(difference) ? Infinity : difference;
}

/** Fourth-order central differences: (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h. */
function expectDifferences(contract: ContractCase, name: string, gradient: Float32Array): void {
  const h = 2 ** -6;
  const source = contract.inputs[name]!;
  const scale = Math.max(1, ...gradient.map(Math.abs));
  for (let i = 0; i < gradient.length; i++) {
    const at = (step: number): number => {
      const data = Float32Array.from(source.data);
      data[i]! += step;
      return valueOf(contract, { ...contract.inputs, [name]: { ...source, data } });
    };
    const difference = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    const error = Math.abs(difference - gradient[i]!) / scale;
    if (!(error <= contract.differenceTolerance)) {
      expect.fail(
        `${contract.name}: gradient of ${name} at ${i} is ${gradient[i]}, central difference ${difference}, ${error} apart (allowed ${contract.differenceTolerance})`,
      );
    }
  }
}

/** The weighted sum of the outputs, added up in double precision: float32 sums would drown small differences. */
function valueOf(contract: ContractCase, inputs: HostTensors): number {
  void tf.setBackend("cpu");
  return tf.tidy(() => {
    const tensors = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, toTensor(tensor)]));
    let sum = 0;
    Object.values(named(contract.fn(tensors)))
      .filter((tensor) => tensor.dtype === "float32")
      .forEach((tensor, i) => {
        const weights = cotangents(tensor.shape, i);
        tensor.dataSync().forEach((value, j) => (sum += value * weights[j]!));
      });
    return sum;
  });
}
