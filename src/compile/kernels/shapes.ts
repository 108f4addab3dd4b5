/** Shapes and types shared by the kernels. TensorFlow.js hands some axes over unnormalised (`Concat`, `SplitV`). */
import { EngineError } from "../../errors.js";
import { type DType, type Graph, type Value, isConstant, sameShape, sizeOf } from "../graph.js";

export function axisOf(axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw new EngineError("axis_range", `axis must be in [-${rank}, ${rank}), got ${axis}`);
  }
  return normal;
}

export function axesOf(axes: number | readonly number[] | null | undefined, rank: number): number[] {
  if (axes === null || axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  return (typeof axes === "number" ? [axes] : [...axes]).map((axis) => axisOf(axis, rank));
}

export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new EngineError("broadcast", `shapes [${a.join(",")}] and [${b.join(",")}] do not broadcast`);
    }
    return x === 1 ? y : x;
  });
}

/** The same elements under another shape; chains of reshapes collapse, and a reshape to the same shape is the value itself. */
export function reshape(graph: Graph, value: Value, shape: readonly number[]): Value {
  if (sameShape(value.shape, shape)) return value;
  if (value.uniform !== undefined) return graph.fill(value.uniform, value.dtype, shape);
  if (value.producer?.opType === "Reshape") return reshape(graph, value.producer.inputs[0]!, shape);
  return graph.op("Reshape", [value, graph.int64s(shape)], { dtype: value.dtype, shape });
}

export function cast(graph: Graph, value: Value, dtype: DType): Value {
  if (value.dtype === dtype) return value;
  if (value.uniform !== undefined) return graph.fill(castNumber(value.uniform, dtype), dtype, value.shape);
  const to = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 }[dtype];
  return graph.op("Cast", [value], { dtype, shape: value.shape }, { to });
}

/**
 * To int32 as JavaScript's typed arrays do it: the fraction is cut off, and NaN and the infinities become 0, where a
 * processor's own conversion gives its smallest number. Beyond ±2^31 the result is 0 (TensorFlow.js: modulo 2^32).
 */
export function truncate(graph: Graph, value: Value): Value {
  if (value.dtype !== "float32" || value.uniform !== undefined) return cast(graph, value, "int32");
  const { shape } = value;
  const magnitude = graph.op("Abs", [value], { dtype: "float32", shape });
  const fits = graph.op("LessOrEqual", [magnitude, graph.scalar(2 ** 31)], { dtype: "bool", shape });
  return cast(graph, graph.op("Where", [fits, value, graph.scalar(0)], { dtype: "float32", shape }), "int32");
}

/** A number under another type, as assigning it to a JavaScript typed array converts it. */
export function castNumber(value: number, dtype: DType): number {
  if (dtype === "float32") return Math.fround(value);
  if (dtype === "bool") return value === 0 ? 0 : 1;
  return value | 0;
}

/** Broadcasts to `shape`. */
export function expand(graph: Graph, value: Value, shape: readonly number[]): Value {
  if (sameShape(value.shape, shape)) return value;
  if (value.uniform !== undefined) return graph.fill(value.uniform, value.dtype, shape);
  return graph.op("Expand", [value, graph.int64s(shape)], { dtype: value.dtype, shape });
}

/** A constant of one repeated number as an array, for the operators that read the shape of this input. */
export function materialise(graph: Graph, value: Value): Value {
  if (value.uniform === undefined || value.shape.length === 0) return value;
  return graph.op("Expand", [graph.fill(value.uniform, value.dtype, []), graph.int64s(value.shape)], value);
}

/** The same number as a rank-0 constant, when that broadcasts to the same result. */
export function shrinkUniform(graph: Graph, value: Value, other: Value, result: readonly number[]): Value {
  if (value.uniform === undefined || !sameShape(other.shape, result)) return value;
  return graph.fill(value.uniform, value.dtype, []);
}

export function transpose(graph: Graph, value: Value, permutation: readonly number[]): Value {
  const shape = permutation.map((axis) => value.shape[axis]!);
  if (value.uniform !== undefined) return graph.fill(value.uniform, value.dtype, shape);
  if (permutation.every((axis, i) => axis === i)) return value;
  // Moving only axes of length 1 moves no data.
  const moved = permutation.filter((axis) => value.shape[axis] !== 1);
  if (moved.every((axis, i) => i === 0 || moved[i - 1]! < axis)) return reshape(graph, value, shape);
  return graph.op("Transpose", [value], { dtype: value.dtype, shape }, { perm: [...permutation] });
}

export function slice(graph: Graph, value: Value, begin: readonly number[], size: readonly number[]): Value {
  const axes = begin.map((_, i) => i).filter((i) => begin[i] !== 0 || size[i] !== value.shape[i]);
  if (axes.length === 0) return value;
  if (value.uniform !== undefined) return graph.fill(value.uniform, value.dtype, size);
  const starts = axes.map((i) => begin[i]!);
  const ends = axes.map((i) => begin[i]! + size[i]!);
  const inputs = [value, graph.int64s(starts), graph.int64s(ends), graph.int64s(axes)];
  return graph.op("Slice", inputs, { dtype: value.dtype, shape: size });
}

/** A constant of consecutive int32 numbers `start, start+1, …`. */
export function iota(graph: Graph, length: number, shape: readonly number[] = [length], start = 0): Value {
  return graph.constant(
    Int32Array.from({ length }, (_, i) => start + i),
    "int32",
    shape,
  );
}

/** 0, step, 2·step, … as a column: where the rows of a flattened matrix begin. */
export function constantOffsets(graph: Graph, rows: number, step: number): Value {
  return graph.constant(
    Int32Array.from({ length: rows }, (_, i) => i * step),
    "int32",
    [rows, 1],
  );
}

/** The larger of two types, as TensorFlow.js orders them: bool, int32, float32. */
export function widerType(a: DType, b: DType): DType {
  const order: DType[] = ["bool", "int32", "float32"];
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}

/** bool as int32; other types as they are. */
export function asNumber(graph: Graph, value: Value): Value {
  return value.dtype === "bool" ? cast(graph, value, "int32") : value;
}

/** Numbers of a constant. @throws EngineError `dynamic_argument` if the value is traced */
export function constantNumbers(value: Value, where: string): number[] {
  if (!isConstant(value)) {
    throw new EngineError("dynamic_argument", `${where} must be known while tracing, got a traced value; use a plain number or array`);
  }
  return value.data === undefined ? new Array<number>(sizeOf(value.shape)).fill(value.uniform!) : [...value.data].map(Number);
}

export { sizeOf };
