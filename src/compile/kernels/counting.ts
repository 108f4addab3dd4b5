/** Counting and sorting. */
import type { Graph, Value } from "../graph.js";
import { binary, select, test } from "./operators.js";
import { addAt } from "./indexing.js";
import { type KernelCall, defineKernel, input } from "./registry.js";
import { reduce } from "./reductions.js";
import { asNumber, cast, constantOffsets, reshape, sizeOf } from "./shapes.js";

/** Numbers outside [0, size) are not counted. TensorFlow.js throws for negative ones; a graph has nobody to tell. */
function bincount(call: KernelCall): Value {
  const { graph } = call;
  const [x, weights] = [input(call, "x"), input(call, "weights")];
  const { size, binaryOutput = false } = call.attributes as { size: number; binaryOutput?: boolean };
  const count = sizeOf(x.shape);
  const places = reshape(graph, rowPlaces(graph, x, size), [count]);
  const rows = x.shape.length === 2 ? x.shape[0]! : 1;
  const weighted = sizeOf(weights.shape) > 0 && !binaryOutput;
  const updates = weighted
    ? reshape(graph, weights, [count])
    : graph.op("Expand", [graph.scalar(1, weights.dtype), graph.int64s([count])], { dtype: weights.dtype, shape: [count] });
  const counts = addAt(graph, places, updates, rows * size, binaryOutput && x.shape.length === 2 ? "max" : "add");
  return x.shape.length === 2 ? reshape(graph, counts, [rows, size]) : counts;
}

/** Each row of a matrix counts into its own stretch of `size` places. */
function rowPlaces(graph: Graph, x: Value, size: number): Value {
  if (x.shape.length !== 2) return x;
  const outside = test(
    graph,
    "Or",
    test(graph, "Less", x, graph.scalar(0, "int32")),
    test(graph, "GreaterOrEqual", x, graph.scalar(size, "int32")),
  );
  return select(graph, outside, graph.scalar(-1, "int32"), binary(graph, "Add", x, constantOffsets(graph, x.shape[0]!, size)));
}

defineKernel("Bincount", bincount);
defineKernel("DenseBincount", bincount);

/** The largest first and equal ones in their order, whether or not `sorted` is asked for. */
defineKernel("TopK", (call) => {
  const given = input(call, "x");
  const x = asNumber(call.graph, given);
  const k = call.attributes["k"] as number;
  const shape = [...x.shape.slice(0, -1), k];
  const outputs = [
    { dtype: x.dtype, shape },
    { dtype: "int64" as const, shape },
  ];
  const [values, indices] = call.graph.ops("TopK", [x, call.graph.int64s([k])], outputs, { axis: -1, largest: 1, sorted: 1 });
  return [cast(call.graph, values!, given.dtype), cast(call.graph, indices!, "int32")];
});

/** How many numbers of the sorted row lie before each value. */
defineKernel("SearchSorted", (call) => {
  const { graph } = call;
  const [sequence, values] = [input(call, "sortedSequence"), input(call, "values")];
  const [rows, length] = sequence.shape as [number, number];
  const before = test(
    graph,
    call.attributes["side"] === "left" ? "Less" : "LessOrEqual",
    reshape(graph, sequence, [rows, 1, length]),
    reshape(graph, values, [rows, values.shape[1]!, 1]),
  );
  return reduce(graph, "ReduceSum", cast(graph, before, "int32"), [2], false);
});
