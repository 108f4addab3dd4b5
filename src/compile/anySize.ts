/**
 * One graph for all sizes. A function is traced at two sets of sizes; where the two graphs differ in a number, the number is a sum of named
 * sizes, times a factor, plus an offset, and the graph computes it from the shapes of its inputs. Graphs that differ in anything else belong
 * to their sizes alone.
 */
import { type Graph, type Node, type TypedArray, type Value, isConstant } from "./graph.js";
import type { Signature } from "./engine.js";
import { type Sizes, sizeNames } from "./signature.js";
import type { Trace } from "./trace.js";

/** `factor` · (the sum of `sizes`) + `offset` */
export interface SizeTerm {
  readonly factor: number;
  readonly sizes: readonly string[];
  readonly offset: number;
}

/** The length of one axis: the same for all sizes, or computed from them. */
export type Extent = number | SizeTerm;

/**
 * Sizes to trace at. Primes, and no other sum of some of them is a multiple of one: what a number depends on can be told. No axis of a
 * model is as long by chance, and if one is, the two graphs differ in more than numbers.
 */
const FIRST = [1013, 2039, 4079, 8161, 16319, 32647, 65287, 130579];
const STEPS = [1009, 2027, 4057, 8117, 16229, 31469, 62921, 125887];

/** Two sets of sizes for `generalise`; none for a signature without names, or with more names than there are markers. */
export function markerSizes(signature: Signature): readonly [Sizes, Sizes] | undefined {
  const names = sizeNames(signature);
  if (names.length === 0 || names.length > FIRST.length) return undefined;
  const sizes = (of: (i: number) => number): Sizes => Object.fromEntries(names.map((name, i) => [name, of(i)]));
  return [sizes((i) => FIRST[i]!), sizes((i) => FIRST[i]! + STEPS[i]!)];
}

export function extentAt(extent: Extent, sizes: Sizes): number {
  if (typeof extent === "number") return extent;
  return extent.factor * extent.sizes.reduce((sum, name) => sum + sizes[name]!, 0) + extent.offset;
}

/** A name for the dimension in an ONNX model: equal lengths have equal names. */
export function extentName({ factor, sizes, offset }: SizeTerm): string {
  return `${factor}*(${sizes.join("+")})+${offset}`;
}

/** The shape of a value at any size; undefined for one that only computes sizes. */
export type Extents = (value: Value) => readonly Extent[] | undefined;

/**
 * Makes the first of two traces right for all sizes.
 * @param traces of one function at the two sets of sizes, after the passes of optimise.ts
 * @returns the shapes of the graph's values; undefined if the graph cannot be generalised, and both are of no use then
 */
export function generalise(traces: readonly [Trace, Trace], sizes: readonly [Sizes, Sizes], signature: Signature): Extents | undefined {
  const pairs = new Pairs(sizes);
  const [first, second] = traces;
  if (!pairs.match(first, second)) return undefined;
  const writer = new SizeWriter(first.graph, pairs, signature);
  const rewritten = new Map<Node, (Value | null)[]>();
  for (const node of [...first.graph.nodes]) {
    const inputs = node.inputs.map((value) => (value !== null && isConstant(value) ? writer.constant(value) : value));
    if (inputs.includes(undefined)) return undefined;
    rewritten.set(node, inputs as (Value | null)[]);
  }
  const outputs = new Map<string, Value>();
  for (const [name, value] of first.outputs) {
    const constant = isConstant(value) ? writer.constant(value) : value;
    if (constant === undefined) return undefined;
    outputs.set(name, constant);
  }
  for (const [node, inputs] of rewritten) (node as { inputs: readonly (Value | null)[] }).inputs = inputs;
  for (const [name, value] of outputs) first.outputs.set(name, value);
  first.graph.nodes.unshift(...writer.nodes());
  return (value) => pairs.extents(value);
}

/** Values of the first graph beside those of the second. */
class Pairs {
  readonly #second = new Map<Value, Value>();
  readonly #defined = new Map<Value, readonly Extent[]>();
  readonly #extents = new Map<string, Extent | undefined>();
  readonly #sums: { names: string[]; first: number; step: number }[] = [];

  constructor([first, second]: readonly [Sizes, Sizes]) {
    const names = Object.keys(first);
    for (let choice = 1; choice < 1 << names.length; choice++) {
      const chosen = names.filter((_, i) => (choice >> i) & 1);
      const sum = (sizes: Sizes): number => chosen.reduce((total, name) => total + sizes[name]!, 0);
      this.#sums.push({ names: chosen, first: sum(first), step: sum(second) - sum(first) });
    }
  }

  /** Whether the graphs are the same but for numbers that `extent` explains. */
  match(first: Trace, second: Trace): boolean {
    const { inputs, nodes } = first.graph;
    if (inputs.length !== second.graph.inputs.length || nodes.length !== second.graph.nodes.length) return false;
    if (!inputs.every((value, i) => value.name === second.graph.inputs[i]!.name && this.#join(value, second.graph.inputs[i]!)))
      return false;
    for (const [i, node] of nodes.entries()) {
      const other = second.graph.nodes[i]!;
      const same = node.opType === other.opType && node.domain === other.domain && node.inputs.length === other.inputs.length;
      if (!same || JSON.stringify(node.attributes) !== JSON.stringify(other.attributes)) return false;
      if (!node.inputs.every((value, k) => this.#agree(value, other.inputs[k]!))) return false;
      if (!node.outputs.every((value, k) => this.#join(value, other.outputs[k]!))) return false;
    }
    return [...first.outputs].every(([name, value]) => this.#agree(value, second.outputs.get(name) ?? null));
  }

  #agree(first: Value | null, second: Value | null): boolean {
    if (first === null || second === null) return first === second;
    const known = this.#second.get(first);
    if (known !== undefined) return known === second;
    return isConstant(first) && isConstant(second) && this.#join(first, second);
  }

  #join(first: Value, second: Value): boolean {
    this.#second.set(first, second);
    return first.dtype === second.dtype && first.shape.length === second.shape.length && this.extents(first) !== undefined;
  }

  second(value: Value): Value {
    return this.#second.get(value)!;
  }

  /** Says what the shape of a value is that the second graph does not have. */
  define(value: Value, extents: readonly Extent[]): Value {
    this.#defined.set(value, extents);
    return value;
  }

  /** undefined where a length is explained by nothing, and for a value that only computes sizes. */
  extents(value: Value): readonly Extent[] | undefined {
    const defined = this.#defined.get(value);
    if (defined !== undefined) return defined;
    const second = this.#second.get(value);
    if (second === undefined) return undefined;
    const extents = value.shape.map((length, axis) => this.extent(length, second.shape[axis]!));
    return extents.includes(undefined) ? undefined : (extents as Extent[]);
  }

  /** What a number that is `first` in one graph and `second` in the other depends on; undefined if that is not clear. */
  extent(first: number, second: number): Extent | undefined {
    if (first === second) return first;
    const key = `${first},${second}`;
    if (this.#extents.has(key)) return this.#extents.get(key);
    const found: SizeTerm[] = [];
    for (const sum of this.#sums) {
      const factor = (second - first) / sum.step;
      if (Number.isInteger(factor)) found.push({ factor, sizes: sum.names, offset: first - factor * sum.first });
    }
    const extent = found.length === 1 ? found[0] : undefined;
    this.#extents.set(key, extent);
    return extent;
  }
}

/** Writes nodes that compute sizes. */
class SizeWriter {
  readonly #before: number;
  readonly #made = new Map<string, Value>();
  readonly #constants = new Map<Value, Value | undefined>();

  constructor(
    private readonly graph: Graph,
    private readonly pairs: Pairs,
    private readonly signature: Signature,
  ) {
    this.#before = graph.nodes.length;
  }

  /** Takes what was written out of the graph's list. */
  nodes(): Node[] {
    return this.graph.nodes.splice(this.#before);
  }

  /** What stands for a constant at any size: itself, or a computed value; undefined when there is none. */
  constant(value: Value): Value | undefined {
    if (!this.#constants.has(value)) this.#constants.set(value, this.#constant(value));
    return this.#constants.get(value);
  }

  #constant(value: Value): Value | undefined {
    const second = this.pairs.second(value);
    const extents = this.pairs.extents(value)!;
    const fixed = extents.every((extent) => typeof extent === "number");
    if (value.uniform !== undefined && second.uniform !== undefined) {
      const number = this.#number(value, second);
      if (number === undefined || (number === value && fixed)) return number;
      return this.#repeated(number === value ? this.graph.scalar(value.uniform, value.dtype) : number, value, extents);
    }
    if (value.data !== undefined && second.data !== undefined) {
      if (fixed && sameNumbers(value.data, second.data)) return value;
      if (fixed && value.dtype === "int64") return this.#vector(value.data, second.data);
      return this.#progression(value, second, extents);
    }
    return undefined;
  }

  /** The number of a fill: `value` itself where it is one number at all sizes. */
  #number(value: Value, second: Value): Value | undefined {
    if (Object.is(value.uniform, second.uniform)) return value;
    const extent = value.dtype === "int32" ? this.pairs.extent(value.uniform!, second.uniform!) : undefined;
    return extent === undefined ? undefined : this.#int32(extent);
  }

  /** A fill whose number or shape depends on sizes. */
  #repeated(number: Value, { dtype, shape }: Value, extents: readonly Extent[]): Value | undefined {
    if (extents.length === 0) return number;
    const lengths = this.#lengths(extents);
    if (lengths === undefined) return undefined;
    return this.pairs.define(this.graph.op("Expand", [number, lengths], { dtype, shape }), extents);
  }

  /** A number of shape []. */
  #int32(extent: Extent): Value | undefined {
    if (typeof extent === "number") return this.graph.scalar(extent, "int32");
    const term = this.#term(extent);
    if (term === undefined) return undefined;
    const number = this.graph.op("Squeeze", [term, this.graph.int64s([0])], { dtype: "int64", shape: [] });
    return this.pairs.define(this.graph.op("Cast", [number], { dtype: "int32", shape: [] }, { to: 6 }), []);
  }

  /** A list of numbers, as operators take shapes and bounds. */
  #vector(first: TypedArray, second: TypedArray): Value | undefined {
    const extents = [...first].map((number, i) => this.pairs.extent(Number(number), Number(second[i])));
    return extents.includes(undefined) ? undefined : this.#lengths(extents as Extent[]);
  }

  /** start, start + step, start + 2·step, … with a length that depends on sizes. */
  #progression(value: Value, second: Value, extents: readonly Extent[]): Value | undefined {
    const [first, other] = [value.data!, second.data!];
    const step = progressionStep(first);
    const length = this.pairs.extent(first.length, other.length);
    if (value.dtype !== "int32" || step === undefined || length === undefined || typeof length === "number") return undefined;
    if (first[0] !== other[0] || step !== progressionStep(other)) return undefined;
    const from = Number(first[0]);
    const end = this.#int32({ ...length, factor: step * length.factor, offset: step * length.offset + from });
    const shape = this.#lengths(extents);
    if (end === undefined || shape === undefined) return undefined;
    const bounds = [this.graph.scalar(from, "int32"), end, this.graph.scalar(step, "int32")];
    const range = this.pairs.define(this.graph.op("Range", bounds, { dtype: "int32", shape: [first.length] }), [length]);
    if (extents.length === 1) return range;
    return this.pairs.define(this.graph.op("Reshape", [range, shape], value), extents);
  }

  #lengths(extents: readonly Extent[]): Value | undefined {
    const key = extents.map((extent) => (typeof extent === "number" ? String(extent) : extentName(extent))).join(",");
    return this.#once(`[${key}]`, () => {
      const parts = extents.map((extent) => (typeof extent === "number" ? this.graph.int64s([extent]) : this.#term(extent)));
      if (parts.includes(undefined)) return undefined;
      if (parts.length === 1) return parts[0];
      return this.graph.op("Concat", parts as Value[], { dtype: "int64", shape: [parts.length] }, { axis: 0 });
    });
  }

  #term(term: SizeTerm): Value | undefined {
    return this.#once(extentName(term), () => {
      const sizes = term.sizes.map((name) => this.#size(name));
      if (sizes.includes(undefined)) return undefined;
      const number = { dtype: "int64", shape: [1] } as const;
      const sum = (sizes as Value[]).reduce((a, b) => this.graph.op("Add", [a, b], number));
      const scaled = term.factor === 1 ? sum : this.graph.op("Mul", [sum, this.graph.int64s([term.factor])], number);
      return term.offset === 0 ? scaled : this.graph.op("Add", [scaled, this.graph.int64s([term.offset])], number);
    });
  }

  /** Read off the shape of an input. */
  #size(name: string): Value | undefined {
    return this.#once(`size ${name}`, () => {
      for (const input of this.graph.inputs) {
        const axis = this.signature[input.name]!.shape.indexOf(name);
        if (axis >= 0) return this.graph.op("Shape", [input], { dtype: "int64", shape: [1] }, { start: axis, end: axis + 1 });
      }
      return undefined;
    });
  }

  #once(key: string, make: () => Value | undefined): Value | undefined {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = make();
    if (made !== undefined) this.#made.set(key, made);
    return made;
  }
}

function sameNumbers(a: TypedArray, b: TypedArray): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** The difference of neighbours if it is the same everywhere and not 0. */
function progressionStep(numbers: TypedArray): number | undefined {
  const step = Number(numbers[1]) - Number(numbers[0]);
  for (let i = 2; i < numbers.length; i++) if (Number(numbers[i]) - Number(numbers[i - 1]) !== step) return undefined;
  return numbers.length > 1 && step !== 0 ? step : undefined;
}
