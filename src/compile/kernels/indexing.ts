/** Gathers, scatters and one-hot. Indices are int32: WebGPU has no int64 arithmetic. */
import type { Graph, Value } from "../graph.js";
import { EngineError } from "../../errors.js";
import { binary, select } from "./elementwise.js";
import { defineKernel, input } from "./registry.js";
import { axisOf, cast, iota, reshape, sizeOf } from "./shapes.js";

defineKernel("GatherV2", (call) => {
  const [x, indices] = [input(call, "x"), input(call, "indices")];
  const { axis, batchDims } = call.attributes as { axis: number; batchDims?: number };
  const at = axisOf(axis, x.shape.length);
  if ((batchDims ?? 0) > 0) return gatherBatched(call.graph, x, indices, at, batchDims!);
  const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
  return call.graph.op("Gather", [x, indices], { dtype: x.dtype, shape }, { axis: at });
});

/** tf.gather with batchDims, for the common form where the gathered axis follows the batch axes directly. */
function gatherBatched(graph: Graph, x: Value, indices: Value, axis: number, batchDims: number): Value {
  if (axis !== batchDims) {
    throw new EngineError("untraceable_op", `compile: tf.gather needs axis equal to batchDims, got axis ${axis}, batchDims ${batchDims}; transpose first`);
  }
  const batch = sizeOf(x.shape.slice(0, batchDims));
  const length = x.shape[axis]!;
  const rest = x.shape.slice(axis + 1);
  const flat = reshape(graph, x, [batch * length, ...rest]);
  const perBatch = indices.shape.slice(batchDims);
  const offsets = graph.constant(Int32Array.from({ length: batch }, (_, i) => i * length), "int32", [batch, ...perBatch.map(() => 1)]);
  const flatIndices = binary(graph, "Add", reshape(graph, indices, [batch, ...perBatch]), offsets);
  const shape = [...x.shape.slice(0, batchDims), ...perBatch, ...rest];
  return reshape(graph, graph.op("Gather", [flat, flatIndices], { dtype: x.dtype, shape: [batch, ...perBatch, ...rest] }, { axis: 0 }), shape);
}

defineKernel("GatherNd", (call) => {
  const [params, indices] = [input(call, "params"), input(call, "indices")];
  const depth = indices.shape.at(-1)!;
  const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
  return call.graph.op("GatherND", [params, cast(call.graph, indices, "int64")], { dtype: params.dtype, shape });
});

function scatterAdd(graph: Graph, base: Value, indices: Value, updates: Value): Value {
  const full = base.uniform === undefined ? base : graph.op("Expand", [graph.fill(base.uniform, base.dtype, []), graph.int64s(base.shape)], base);
  return graph.op("ScatterND", [full, cast(graph, indices, "int64"), updates], { dtype: base.dtype, shape: base.shape }, { reduction: "add" });
}

defineKernel("ScatterNd", (call) => {
  const { graph } = call;
  const updates = input(call, "updates");
  return scatterAdd(graph, graph.fill(0, updates.dtype, call.attributes["shape"] as number[]), input(call, "indices"), updates);
});

defineKernel("TensorScatterUpdate", (call) => {
  const [tensor, indices, updates] = [input(call, "tensor"), input(call, "indices"), input(call, "updates")];
  return call.graph.op("ScatterND", [tensor, cast(call.graph, indices, "int64"), updates], { dtype: tensor.dtype, shape: tensor.shape });
});

/** Rows whose segment id is negative are dropped, as in TensorFlow.js. */
defineKernel("UnsortedSegmentSum", (call) => {
  const { graph } = call;
  const [x, ids] = [input(call, "x"), input(call, "segmentIds")];
  const numSegments = call.attributes["numSegments"] as number;
  const rows = sizeOf(ids.shape);
  const rest = x.shape.slice(ids.shape.length);
  const flatIds = reshape(graph, ids, [rows, 1]);
  const negative = binary(graph, "Less", flatIds, graph.scalar(0, "int32"), "bool");
  const spare = select(graph, negative, graph.fill(numSegments, "int32", [rows, 1]), flatIds);
  const sums = scatterAdd(graph, graph.fill(0, x.dtype, [numSegments + 1, ...rest]), spare, reshape(graph, x, [rows, ...rest]));
  const inputs = [sums, graph.int64s([0]), graph.int64s([numSegments]), graph.int64s([0])];
  return graph.op("Slice", inputs, { dtype: x.dtype, shape: [numSegments, ...rest] });
});

/** Equal(range) rather than OneHot, which WebGPU hands back to the CPU. */
defineKernel("OneHot", (call) => {
  const { graph } = call;
  const indices = input(call, "indices");
  const { depth, onValue, offValue, dtype } = call.attributes as { depth: number; onValue: number; offValue: number; dtype?: "float32" | "int32" | "bool" };
  const wide = reshape(graph, indices, [...indices.shape, 1]);
  const hit = binary(graph, "Equal", wide, iota(graph, depth), "bool");
  const type = dtype ?? "int32";
  if (onValue === 1 && offValue === 0) return cast(graph, hit, type);
  return select(graph, hit, graph.fill(onValue, type, hit.shape), graph.fill(offValue, type, hit.shape));
});

defineKernel("TopK", (call) => {
  const x = input(call, "x");
  const { k, sorted } = call.attributes as { k: number; sorted: boolean };
  const shape = [...x.shape.slice(0, -1), k];
  const outputs = [{ dtype: x.dtype, shape }, { dtype: "int64" as const, shape }];
  const [values, indices] = call.graph.ops("TopK", [x, call.graph.int64s([k])], outputs, { axis: -1, largest: 1, sorted: sorted ? 1 : 0 });
  return [values!, cast(call.graph, indices!, "int32")];
});
