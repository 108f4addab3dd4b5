/**
 * The graph that a trace fills: a plain list of ONNX nodes over typed, statically shaped values.
 * Nodes stand in the order in which they were traced, which is a topological order.
 */
import { EngineError } from "../errors.js";

export type DType = "float32" | "int32" | "int64" | "bool" | "uint8" | "int8" | "float16";
export type TypedArray = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array | Uint16Array;
type AttributeValue = number | number[] | string | { float: number };
export type Attributes = Record<string, AttributeValue>;

/** One edge of the graph. `data` is set for constants, `uniform` for constants whose elements are all equal. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly producer?: Node;
  readonly data?: TypedArray;
  readonly uniform?: number;
}

/** One ONNX operator. An absent optional input is `null`; an attribute `{float}` is written as a float even when whole. */
export interface Node {
  readonly opType: string;
  readonly domain: "" | "com.microsoft";
  readonly inputs: readonly (Value | null)[];
  readonly outputs: Value[];
  readonly attributes: Attributes;
}

/** Operators whose result is their first input seen otherwise, in its memory: ONNX Runtime copies nothing. */
export const ALIASES: ReadonlySet<string> = new Set(["Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"]);

/** A dimension whose size depends on numbers. Only inside one fused operation: no tensor of TensorFlow.js may have it. */
export const UNKNOWN = -1;

export interface Output {
  dtype: DType;
  shape: readonly number[];
}

export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  readonly #constants = new Map<string, Value>();
  #count = 0;

  input(name: string, dtype: DType, shape: readonly number[]): Value {
    const value: Value = { name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** A constant with its own data; equal small constants are stored once. */
  constant(data: TypedArray, dtype: DType, shape: readonly number[]): Value {
    if (data.length !== sizeOf(shape)) {
      throw new EngineError(
        "constant_size",
        `Graph.constant: shape [${shape.join(",")}] needs ${sizeOf(shape)} elements, got ${data.length}`,
      );
    }
    const uniform = uniformOf(data);
    if (uniform !== undefined) return this.fill(uniform, dtype, shape);
    if (data.length > 256) return { name: this.#name("const"), dtype, shape, data };
    return this.#shared(`${dtype}[${shape.join(",")}]${data.join(",")}`, () => ({ name: this.#name("const"), dtype, shape, data }));
  }

  /** A tensor of one repeated number; the full array is only made if an operator needs it. */
  fill(value: number, dtype: DType, shape: readonly number[]): Value {
    // -0 and NaN need a key of their own: String(-0) is "0".
    const key = Object.is(value, -0) ? "-0" : String(value);
    return this.#shared(`fill:${dtype}[${shape.join(",")}]${key}`, () => ({ name: this.#name("fill"), dtype, shape, uniform: value }));
  }

  scalar(value: number, dtype: DType = "float32"): Value {
    return this.fill(value, dtype, []);
  }

  /** A 1-D int64 constant: ONNX takes shapes, axes, starts and ends this way. */
  int64s(values: readonly number[]): Value {
    return this.#shared(`int64s[${values.join(",")}]`, () => ({
      name: this.#name("dims"),
      dtype: "int64",
      shape: [values.length],
      data: BigInt64Array.from(values, (value) => BigInt(value)),
    }));
  }

  /** Adds a node with one output. */
  op(opType: string, inputs: readonly (Value | null)[], output: Output, attributes: Attributes = {}, domain: Node["domain"] = ""): Value {
    return this.ops(opType, inputs, [output], attributes, domain)[0]!;
  }

  /** Adds a node with several outputs, unless none of them has elements. */
  ops(
    opType: string,
    inputs: readonly (Value | null)[],
    outputs: readonly Output[],
    attributes: Attributes = {},
    domain: Node["domain"] = "",
  ): Value[] {
    // Results without elements need no computing; not every operator of ONNX Runtime takes tensors without elements.
    if (outputs.every(({ shape }) => sizeOf(shape) === 0)) return outputs.map(({ dtype, shape }) => this.fill(0, dtype, [...shape]));
    const node: Node = { opType, domain, inputs, outputs: [], attributes };
    for (const { dtype, shape } of outputs) node.outputs.push({ name: this.#name(opType), dtype, shape: [...shape], producer: node });
    this.nodes.push(node);
    return node.outputs;
  }

  #shared(key: string, make: () => Value): Value {
    let value = this.#constants.get(key);
    if (value === undefined) this.#constants.set(key, (value = make()));
    return value;
  }

  #name(prefix: string): string {
    // No input is called so: values of a graph need names of their own.
    return `%${this.#count++}.${prefix}`;
  }
}

export function isConstant(value: Value): boolean {
  return value.data !== undefined || value.uniform !== undefined;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dimension, i) => dimension === b[i]);
}

/** The number that every element equals, or undefined. */
function uniformOf(data: TypedArray): number | undefined {
  const first = data[0];
  if (typeof first !== "number") return undefined;
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], first)) return undefined;
  return first;
}
