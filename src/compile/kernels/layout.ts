/** Kernels that rearrange, join or repeat elements. */
import type { Graph, Value } from "../graph.js";
import { binary } from "./operators.js";
import { defineKernel, input } from "./registry.js";
import { axisOf, cast, expand, iota, reshape, sizeOf, transpose } from "./shapes.js";

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

/** Parts without elements are left out, and the type is the first tensor's, as in TensorFlow.js. */
export function concat(graph: Graph, values: readonly Value[], axis: number): Value {
  const { dtype, shape } = values[0]!;
  const parts = values.filter((value) => sizeOf(value.shape) > 0);
  if (parts.length === 1) return parts[0]!;
  const length = values.reduce((sum, value) => sum + value.shape[axis]!, 0);
  return graph.op(
    "Concat",
    parts.map((part) => cast(graph, part, dtype)),
    { dtype, shape: shape.map((dimension, i) => (i === axis ? length : dimension)) },
    { axis },
  );
}

defineKernel("Concat", ({ graph, list, attributes }) => concat(graph, list, axisOf(attributes["axis"] as number, list[0]!.shape.length)));

defineKernel("Pack", ({ graph, list, attributes }) => {
  const axis = axisOf(attributes["axis"] as number, list[0]!.shape.length + 1);
  const parts = list.map((value) => reshape(graph, value, [...value.shape.slice(0, axis), 1, ...value.shape.slice(axis)]));
  return concat(graph, parts, axis);
});

function split(graph: Graph, x: Value, sizes: readonly number[], axis: number): Value[] {
  if (sizes.length === 1) return [x];
  const outputs = sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((dimension, i) => (i === axis ? size : dimension)) }));
  return graph.ops("Split", [x, graph.int64s(sizes)], outputs, { axis });
}

defineKernel("SplitV", (call) => {
  const x = input(call, "x");
  const axis = axisOf(call.attributes["axis"] as number, x.shape.length);
  const wanted = call.attributes["numOrSizeSplits"] as number | number[];
  const length = x.shape[axis]!;
  if (typeof wanted === "number")
    return split(
      call.graph,
      x,
      Array.from({ length: wanted }, () => length / wanted),
      axis,
    );
  const known = wanted.filter((size) => size >= 0).reduce((sum, size) => sum + size, 0);
  return split(
    call.graph,
    x,
    wanted.map((size) => (size < 0 ? length - known : size)),
    axis,
  );
});

defineKernel("Unpack", (call) => {
  const x = input(call, "value");
  const axis = axisOf(call.attributes["axis"] as number, x.shape.length);
  const shape = x.shape.filter((_, i) => i !== axis);
  const sizes = Array.from({ length: x.shape[axis]! }, () => 1);
  return split(call.graph, x, sizes, axis).map((part) => reshape(call.graph, part, shape));
});

defineKernel("Tile", (call) => {
  const x = input(call, "x");
  const reps = call.attributes["reps"] as number[];
  if (reps.every((repeat) => repeat === 1)) return x;
  const shape = x.shape.map((dimension, i) => dimension * reps[i]!);
  if (x.shape.every((dimension, i) => dimension === 1 || reps[i] === 1)) return expand(call.graph, x, shape);
  if (x.uniform !== undefined) return call.graph.fill(x.uniform, x.dtype, shape);
  return call.graph.op("Tile", [x, call.graph.int64s(reps)], { dtype: x.dtype, shape });
});

defineKernel("PadV2", (call) => {
  const x = input(call, "x");
  const { paddings, constantValue } = call.attributes as { paddings: [number, number][]; constantValue: number };
  const { graph } = call;
  const shape = x.shape.map((dimension, i) => dimension + paddings[i]![0] + paddings[i]![1]);
  if (sizeOf(x.shape) === 0) return graph.fill(constantValue, x.dtype, shape);
  if (paddings.every(([before, after]) => before === 0 && after === 0)) return x;
  const pads = graph.int64s([...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)]);
  return graph.op("Pad", [x, pads, graph.scalar(constantValue, x.dtype)], { dtype: x.dtype, shape }, { mode: "constant" });
});

/** Both modes as gathers of each axis; ONNX has no "symmetric". */
defineKernel("MirrorPad", (call) => {
  const { graph } = call;
  const { paddings, mode } = call.attributes as { paddings: [number, number][]; mode: "reflect" | "symmetric" };
  return paddings.reduce(
    (value, [before, after], axis) => {
      if (before === 0 && after === 0) return value;
      const indices = mirrored(value.shape[axis]!, before, after, mode === "symmetric");
      const shape = value.shape.map((dimension, i) => (i === axis ? indices.length : dimension));
      return graph.op("Gather", [value, graph.constant(indices, "int32", [indices.length])], { dtype: value.dtype, shape }, { axis });
    },
    input(call, "x"),
  );
});

/** For each element of a mirror-padded axis the element that it repeats. "Symmetric" repeats the edge itself too. */
export function mirrored(length: number, before: number, after: number, symmetric: boolean): Int32Array {
  const edge = symmetric ? 1 : 0;
  return Int32Array.from({ length: before + length + after }, (_, i) => {
    const at = i - before;
    if (at < 0) return -at - edge;
    return at < length ? at : 2 * (length - 1) - at + edge;
  });
}

/** The elements of x on the diagonal of a tensor of x's shape twice. */
defineKernel("Diag", (call) => {
  const { graph } = call;
  const x = input(call, "x");
  const length = sizeOf(x.shape);
  const diagonal = binary(graph, "Equal", iota(graph, length, [length, 1]), iota(graph, length), "bool");
  const square = graph.op("Where", [diagonal, reshape(graph, x, [length]), graph.scalar(0, x.dtype)], {
    dtype: x.dtype,
    shape: [length, length],
  });
  return reshape(graph, square, [...x.shape, ...x.shape]);
});
