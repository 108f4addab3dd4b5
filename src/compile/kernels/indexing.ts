/** Gathers, scatters and one-hot. Indices are int32: WebGPU has no int64 arithmetic. */
import type { Graph, Value } from "../graph.js";
import { binary, select, test } from "./operators.js";
import { defineKernel, input } from "./registry.js";
import { axisOf, cast, castNumber, constantOffsets, iota, materialise, reshape, sizeOf, slice, transpose } from "./shapes.js";

defineKernel("GatherV2", (call) => {
  const [x, indices] = [input(call, "x"), input(call, "indices")];
  const { axis, batchDims = 0 } = call.attributes as { axis: number; batchDims?: number };
  const at = axisOf(axis, x.shape.length);
  const batch = batchDims < 0 ? batchDims + indices.shape.length : batchDims;
  if (batch > 0) return gatherBatched(call.graph, x, indices, at, batch);
  const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
  return call.graph.op("Gather", [x, indices], { dtype: x.dtype, shape }, { axis: at });
});

/** One gather of rows: the batch's share of rows begins at its number times the length of the axis. */
function gatherBatched(graph: Graph, x: Value, indices: Value, axis: number, batchDims: number): Value {
  const leading = x.shape.slice(0, batchDims);
  const outer = x.shape.slice(batchDims, axis);
  const inner = x.shape.slice(axis + 1);
  const perBatch = indices.shape.slice(batchDims);
  const [batch, length, outerSize, innerSize, picks] = [sizeOf(leading), x.shape[axis]!, sizeOf(outer), sizeOf(inner), sizeOf(perBatch)];
  const rows = transpose(graph, reshape(graph, x, [batch, outerSize, length, innerSize]), [0, 2, 1, 3]);
  const flat = reshape(graph, rows, [batch * length, outerSize, innerSize]);
  const flatIndices = binary(graph, "Add", reshape(graph, indices, [batch, picks]), constantOffsets(graph, batch, length));
  const picked = graph.op("Gather", [flat, flatIndices], { dtype: x.dtype, shape: [batch, picks, outerSize, innerSize] }, { axis: 0 });
  return reshape(graph, transpose(graph, picked, [0, 2, 1, 3]), [...leading, ...outer, ...perBatch, ...inner]);
}

defineKernel("GatherNd", (call) => {
  const [params, indices] = [input(call, "params"), input(call, "indices")];
  const depth = indices.shape.at(-1)!;
  const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
  return call.graph.op("GatherND", [params, cast(call.graph, indices, "int64")], { dtype: params.dtype, shape });
});

/** @param indices shape [..., coordinates] @param reduction what becomes of several updates of one place; by default the last one stays */
export function scatter(graph: Graph, base: Value, indices: Value, updates: Value, reduction?: "add" | "max"): Value {
  if (sizeOf(updates.shape) === 0) return base;
  const inputs = [materialise(graph, base), cast(graph, indices, "int64"), updates];
  return graph.op("ScatterND", inputs, { dtype: base.dtype, shape: base.shape }, reduction === undefined ? {} : { reduction });
}

defineKernel("ScatterNd", (call) => {
  const { graph } = call;
  const updates = input(call, "updates");
  return scatter(graph, graph.fill(0, updates.dtype, call.attributes["shape"] as number[]), input(call, "indices"), updates, "add");
});

defineKernel("TensorScatterUpdate", (call) => scatter(call.graph, input(call, "tensor"), input(call, "indices"), input(call, "updates")));

defineKernel("SparseToDense", (call) => {
  const { graph } = call;
  const [indices, values, initial] = [input(call, "sparseIndices"), input(call, "sparseValues"), input(call, "defaultValue")];
  const shape = call.attributes["outputShape"] as number[];
  const count = indices.shape[0] ?? 1;
  const places = reshape(graph, indices, [count, shape.length]);
  const base =
    initial.uniform === undefined
      ? graph.op("Expand", [initial, graph.int64s(shape)], { dtype: values.dtype, shape })
      : graph.fill(initial.uniform, values.dtype, shape);
  const updates =
    values.shape.length === 0 ? graph.op("Expand", [values, graph.int64s([count])], { dtype: values.dtype, shape: [count] }) : values;
  return scatter(graph, base, places, updates);
});

/** Ids outside [0, numSegments) are dropped and integers are summed as float32, as in TensorFlow.js's `cpu` backend. */
defineKernel("UnsortedSegmentSum", (call) => {
  const { graph } = call;
  const [x, ids] = [cast(graph, input(call, "x"), "float32"), input(call, "segmentIds")];
  const numSegments = call.attributes["numSegments"] as number;
  const rows = sizeOf(ids.shape);
  const rest = x.shape.slice(ids.shape.length);
  return addAt(graph, reshape(graph, ids, [rows]), reshape(graph, x, [rows, ...rest]), numSegments);
});

/**
 * Sums updates by place; places outside [0, length) are dropped: they go to a spare row that is cut off.
 * @param places shape [n] int32 @param updates shape [n, ...rest] @returns shape [length, ...rest]
 */
export function addAt(graph: Graph, places: Value, updates: Value, length: number, reduction: "add" | "max" = "add"): Value {
  const rest = updates.shape.slice(1);
  const [zero, end] = [graph.scalar(0, "int32"), graph.scalar(length, "int32")];
  const outside = test(graph, "Or", test(graph, "Less", places, zero), test(graph, "GreaterOrEqual", places, end));
  const kept = reshape(graph, select(graph, outside, end, places), [places.shape[0]!, 1]);
  const sums = scatter(graph, graph.fill(0, updates.dtype, [length + 1, ...rest]), kept, updates, reduction);
  return slice(graph, sums, [0, ...rest.map(() => 0)], [length, ...rest]);
}

/** Equal(range) rather than OneHot, which WebGPU hands back to the CPU. */
defineKernel("OneHot", (call) => {
  const { graph } = call;
  const indices = input(call, "indices");
  const {
    depth,
    onValue,
    offValue,
    dtype: type = "int32",
  } = call.attributes as { depth: number; onValue: number; offValue: number; dtype?: "float32" | "int32" | "bool" };
  const hit = test(graph, "Equal", reshape(graph, indices, [...indices.shape, 1]), iota(graph, depth));
  if (onValue === 1 && offValue === 0) return cast(graph, hit, type);
  return select(
    graph,
    hit,
    graph.fill(castNumber(onValue, type), type, hit.shape),
    graph.fill(castNumber(offValue, type), type, hit.shape),
  );
});
