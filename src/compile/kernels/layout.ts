/** Kernels that move or repeat elements. */
import { EngineError } from "../../errors.js";
import type { DType, Graph, Value } from "../graph.js";
import { defineKernel, input } from "./registry.js";
import { axisOf, cast, expand, iota, reshape, slice, sizeOf, transpose } from "./shapes.js";

defineKernel("Reshape", (call) => {
  const x = input(call, "x");
  const shape = [...(call.attributes["shape"] as number[])];
  const hole = shape.indexOf(-1);
  if (hole >= 0) shape[hole] = sizeOf(x.shape) / sizeOf(shape.filter((_, i) => i !== hole));
  return reshape(call.graph, x, shape);
});

defineKernel("ExpandDims", (call) => {
  const x = input(call, "input");
  const axis = axisOf(call.attributes["dim"] as number, x.shape.length + 1);
  return reshape(call.graph, x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]);
});

defineKernel("Transpose", (call) => transpose(call.graph, input(call, "x"), call.attributes["perm"] as number[]));

defineKernel("BroadcastTo", (call) => expand(call.graph, input(call, "x"), call.attributes["shape"] as number[]));

export function concat(graph: Graph, values: readonly Value[], axis: number): Value {
  const filledValues = values.filter((value) => sizeOf(value.shape) > 0);
  const parts = filledValues.length === 0 ? values.slice(0, 1) : filledValues;
  if (parts.length === 1) return parts[0]!;
  const first = parts[0]!;
  const shape = first.shape.map((dimension, i) => (i === axis ? parts.reduce((sum, value) => sum + value.shape[axis]!, 0) : dimension));
  return graph.op("Concat", parts, { dtype: first.dtype, shape }, { axis });
}

defineKernel("Concat", ({ graph, list, attributes }) => concat(graph, list, axisOf(attributes["axis"] as number, list[0]!.shape.length)));

defineKernel("Pack", ({ graph, list, attributes }) => {
  const axis = axisOf(attributes["axis"] as number, list[0]!.shape.length + 1);
  const parts = list.map((value) => reshape(graph, value, [...value.shape.slice(0, axis), 1, ...value.shape.slice(axis)]));
  return concat(graph, parts, axis);
});

export function split(graph: Graph, x: Value, sizes: readonly number[], axis: number): Value[] {
  if (sizes.length === 1) return [x];
  const outputs = sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((dimension, i) => (i === axis ? size : dimension)) }));
  return graph.ops("Split", [x, graph.int64s(sizes)], outputs, { axis });
}

defineKernel("SplitV", (call) => {
  const x = input(call, "x");
  const axis = axisOf(call.attributes["axis"] as number, x.shape.length);
  const wanted = call.attributes["numOrSizeSplits"] as number | number[];
  const length = x.shape[axis]!;
  if (typeof wanted === "number") return split(call.graph, x, Array.from({ length: wanted }, () => length / wanted), axis);
  const known = wanted.filter((size) => size >= 0).reduce((sum, size) => sum + size, 0);
  return split(call.graph, x, wanted.map((size) => (size < 0 ? length - known : size)), axis);
});

defineKernel("Unpack", (call) => {
  const x = input(call, "value");
  const axis = axisOf(call.attributes["axis"] as number, x.shape.length);
  const shape = x.shape.filter((_, i) => i !== axis);
  const sizes = Array.from({ length: x.shape[axis]! }, () => 1);
  return split(call.graph, x, sizes, axis).map((part) => reshape(call.graph, part, shape));
});

defineKernel("Slice", (call) => {
  const x = input(call, "x");
  const { begin, size } = call.attributes as { begin: number | number[]; size: number | number[] };
  const starts = typeof begin === "number" ? [begin, ...x.shape.slice(1).map(() => 0)] : [...begin];
  while (starts.length < x.shape.length) starts.push(0);
  const given = typeof size === "number" ? [size] : [...(size ?? [])];
  const sizes = x.shape.map((dimension, i) => (given[i] === undefined || given[i]! < 0 ? dimension - starts[i]! : given[i]!));
  return slice(call.graph, x, starts, sizes);
});

defineKernel("Tile", (call) => {
  const x = input(call, "x");
  const reps = call.attributes["reps"] as number[];
  if (reps.every((repeat) => repeat === 1)) return x;
  const shape = x.shape.map((dimension, i) => dimension * reps[i]!);
  if (x.uniform !== undefined) return call.graph.fill(x.uniform, x.dtype, shape);
  if (x.shape.every((dimension, i) => dimension === 1 || reps[i] === 1)) return expand(call.graph, x, shape);
  return call.graph.op("Tile", [x, call.graph.int64s(reps)], { dtype: x.dtype, shape });
});

defineKernel("PadV2", (call) => {
  const x = input(call, "x");
  const { paddings, constantValue } = call.attributes as { paddings: [number, number][]; constantValue: number };
  if (paddings.every(([before, after]) => before === 0 && after === 0)) return x;
  const shape = x.shape.map((dimension, i) => dimension + paddings[i]![0] + paddings[i]![1]);
  const pads = call.graph.int64s([...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)]);
  return call.graph.op("Pad", [x, pads, call.graph.scalar(constantValue, x.dtype)], { dtype: x.dtype, shape }, { mode: "constant" });
});

defineKernel("Reverse", (call) => {
  const x = input(call, "x");
  const axes = (call.attributes["dims"] as number[]).map((axis) => axisOf(axis, x.shape.length));
  if (axes.length === 0) return x;
  const { graph } = call;
  // Slice with step -1 from the last element to before the first.
  const inputs = [x, graph.int64s(axes.map(() => -1)), graph.int64s(axes.map((axis) => -x.shape[axis]! - 1)), graph.int64s(axes), graph.int64s(axes.map(() => -1))];
  return graph.op("Slice", inputs, { dtype: x.dtype, shape: x.shape });
});

defineKernel("Fill", (call) => {
  const { shape, value, dtype } = call.attributes as { shape: number[]; value: number | string; dtype?: DType };
  if (typeof value === "string") throw new EngineError("tensor_type", "compile: tensors are float32, int32 or bool, got string");
  return call.graph.fill(value, dtype ?? "float32", shape);
});

defineKernel("Range", (call) => {
  const { start, stop, step, dtype } = call.attributes as { start: number; stop: number; step: number; dtype: DType };
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (dtype === "int32" && step === 1) return iota(call.graph, length, [length], start);
  const values = Float32Array.from({ length }, (_, i) => start + i * step);
  return cast(call.graph, call.graph.constant(values, "float32", [length]), dtype);
});

defineKernel("LinSpace", (call) => {
  const { start, stop, num } = call.attributes as { start: number; stop: number; num: number };
  const step = num > 1 ? (stop - start) / (num - 1) : 0;
  return call.graph.constant(Float32Array.from({ length: num }, (_, i) => start + i * step), "float32", [num]);
});
