/** Sums, extremes, scans and softmax. */
import type { DType, Graph, Value } from "../graph.js";
import { binary, unary } from "./elementwise.js";
import { defineKernel, input } from "./registry.js";
import { axesOf, axisOf, cast, reshape } from "./shapes.js";

/** @param axesAs where the operator takes its axes: an input (opset 18 and later), as all Reduce* do at our opset */
export function reduce(graph: Graph, opType: string, x: Value, axes: readonly number[], keepDims: boolean, dtype: DType = x.dtype): Value {
  if (axes.length === 0) return x;
  const kept = x.shape.map((dimension, i) => (axes.includes(i) ? 1 : dimension));
  const shape = keepDims ? kept : x.shape.filter((_, i) => !axes.includes(i));
  if (axes.every((axis) => x.shape[axis] === 1)) return reshape(graph, x, shape);
  return graph.op(opType, [x, graph.int64s(axes)], { dtype, shape }, { keepdims: keepDims ? 1 : 0 });
}

function defineReduction(name: string, build: (graph: Graph, x: Value, axes: number[], keepDims: boolean) => Value): void {
  defineKernel(name, (call) => {
    const x = input(call, "x");
    const { axis, reductionIndices, keepDims } = call.attributes as { axis?: number | number[]; reductionIndices?: number | number[]; keepDims?: boolean };
    return build(call.graph, x, axesOf(reductionIndices ?? axis, x.shape.length), keepDims ?? false);
  });
}

// TensorFlow.js sums booleans as int32 and averages everything as float32.
const number = (graph: Graph, x: Value): Value => (x.dtype === "bool" ? cast(graph, x, "int32") : x);
defineReduction("Sum", (graph, x, axes, keepDims) => reduce(graph, "ReduceSum", number(graph, x), axes, keepDims));
defineReduction("Mean", (graph, x, axes, keepDims) => reduce(graph, "ReduceMean", cast(graph, x, "float32"), axes, keepDims));
defineReduction("Prod", (graph, x, axes, keepDims) => reduce(graph, "ReduceProd", number(graph, x), axes, keepDims));
defineReduction("Max", (graph, x, axes, keepDims) => reduce(graph, "ReduceMax", x, axes, keepDims));
defineReduction("Min", (graph, x, axes, keepDims) => reduce(graph, "ReduceMin", x, axes, keepDims));
defineReduction("All", (graph, x, axes, keepDims) => cast(graph, reduce(graph, "ReduceMin", cast(graph, x, "int32"), axes, keepDims), "bool"));
defineReduction("Any", (graph, x, axes, keepDims) => cast(graph, reduce(graph, "ReduceMax", cast(graph, x, "int32"), axes, keepDims), "bool"));

for (const opType of ["ArgMax", "ArgMin"]) {
  defineKernel(opType, (call) => {
    const x = input(call, "x");
    const axis = axisOf((call.attributes["axis"] as number | undefined) ?? 0, x.shape.length);
    const shape = x.shape.filter((_, i) => i !== axis);
    const index = call.graph.op(opType, [x], { dtype: "int64", shape }, { axis, keepdims: 0 });
    return cast(call.graph, index, "int32");
  });
}

defineKernel("Cumsum", (call) => {
  const x = input(call, "x");
  const { axis, exclusive, reverse } = call.attributes as { axis: number; exclusive: boolean; reverse: boolean };
  const axisValue = call.graph.constant(Int32Array.of(axisOf(axis, x.shape.length)), "int32", []);
  return call.graph.op("CumSum", [x, axisValue], { dtype: x.dtype, shape: x.shape }, { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 });
});

defineKernel("Softmax", (call) => {
  const logits = input(call, "logits");
  const axis = axisOf((call.attributes["dim"] as number | undefined) ?? -1, logits.shape.length);
  return call.graph.op("Softmax", [logits], { dtype: "float32", shape: logits.shape }, { axis });
});

/** Composed rather than LogSoftmax, which WebGPU hands back to the CPU. */
defineKernel("LogSoftmax", (call) => {
  const { graph } = call;
  const logits = input(call, "logits");
  const axis = axisOf((call.attributes["axis"] as number | undefined) ?? -1, logits.shape.length);
  const shifted = binary(graph, "Sub", logits, reduce(graph, "ReduceMax", logits, [axis], true));
  const sum = reduce(graph, "ReduceSum", unary("Exp")(graph, shifted), [axis], true);
  return binary(graph, "Sub", shifted, unary("Log")(graph, sum));
});
