/** Kernels that take parts of a tensor by constant bounds. */
import type { Graph, Value } from "../graph.js";
import { tf } from "../tensorflow.js";
import { defineKernel, input } from "./registry.js";
import { axesOf, reshape, slice, sizeOf } from "./shapes.js";

defineKernel("Slice", (call) => {
  const x = input(call, "x");
  const { begin, size } = call.attributes as { begin: number | number[]; size: number | number[] };
  const starts = typeof begin === "number" ? [begin, ...x.shape.slice(1).map(() => 0)] : [...begin];
  while (starts.length < x.shape.length) starts.push(0);
  const given = typeof size === "number" ? [size] : [...(size ?? [])];
  const sizes = x.shape.map((dimension, i) => (given[i] === undefined || given[i] < 0 ? dimension - starts[i]! : given[i]));
  return slice(call.graph, x, starts, sizes);
});

interface StridedAttributes {
  readonly begin: number[];
  readonly end: number[];
  readonly strides: number[];
  readonly beginMask: number;
  readonly endMask: number;
  readonly ellipsisMask: number;
  readonly newAxisMask: number;
  readonly shrinkAxisMask: number;
}

interface StridedBounds {
  readonly begin: number[];
  readonly end: number[];
  readonly strides: number[];
  readonly finalShape: number[];
}

defineKernel("StridedSlice", (call) => {
  const x = input(call, "x");
  const a = call.attributes as StridedAttributes;
  // TensorFlow.js resolves masks, negative bounds and ellipses.
  const masks = [a.beginMask, a.endMask, a.ellipsisMask, a.newAxisMask, a.shrinkAxisMask] as const;
  const bounds = tf.slice_util.sliceInfo([...x.shape], a.begin, a.end, a.strides, ...masks) as StridedBounds;
  const { begin, end, strides, finalShape } = bounds;
  if (sizeOf(finalShape) === 0) return call.graph.fill(0, x.dtype, finalShape);
  const sizes = begin.map((from, i) => Math.ceil((end[i]! - from) / strides[i]!));
  return reshape(call.graph, stridedSlice(call.graph, x, begin, strides, sizes), finalShape);
});

/** Elements `begin + i·stride`, for `i` below `shape`, along every axis. */
function stridedSlice(graph: Graph, x: Value, begin: readonly number[], strides: readonly number[], shape: readonly number[]): Value {
  const axes = shape.map((_, i) => i).filter((i) => begin[i] !== 0 || strides[i] !== 1 || shape[i] !== x.shape[i]);
  if (axes.length === 0) return x;
  const ends = axes.map((i) => {
    const end = begin[i]! + (shape[i]! - 1) * strides[i]! + Math.sign(strides[i]!);
    // ONNX counts an end of −1 from the back; before the first element is written so.
    return end < 0 ? -x.shape[i]! - 1 : end;
  });
  const inputs = [
    x,
    graph.int64s(axes.map((i) => begin[i]!)),
    graph.int64s(ends),
    graph.int64s(axes),
    graph.int64s(axes.map((i) => strides[i]!)),
  ];
  return graph.op("Slice", inputs, { dtype: x.dtype, shape });
}

defineKernel("Reverse", (call) => {
  const x = input(call, "x");
  const axes = new Set(axesOf(call.attributes["dims"] as number[] | undefined, x.shape.length));
  const begin = x.shape.map((dimension, i) => (axes.has(i) ? dimension - 1 : 0));
  return stridedSlice(
    call.graph,
    x,
    begin,
    x.shape.map((_, i) => (axes.has(i) ? -1 : 1)),
    x.shape,
  );
});
