/** Sums and extremes over axes, softmax. */
import type { DType, Graph, Value } from "../graph.js";
import { binary, select, unary } from "./operators.js";
import { defineKernel, input } from "./registry.js";
import { asNumber, axesOf, axisOf, cast, reshape, sizeOf } from "./shapes.js";

/** What the reductions of nothing give in TensorFlow.js; an extreme of integers is the stored form of NaN. */
const OF_NOTHING: Record<string, number> = {
  ReduceSum: 0,
  ReduceSumSquare: 0,
  ReduceMean: 0,
  ReduceProd: 1,
  ReduceMax: NaN,
  ReduceMin: NaN,
};

/** @param axes normalised, without repetition */
export function reduce(graph: Graph, opType: string, x: Value, axes: readonly number[], keepDims: boolean, dtype: DType = x.dtype): Value {
  const kept = x.shape.map((dimension, i) => (axes.includes(i) ? 1 : dimension));
  const shape = keepDims ? kept : x.shape.filter((_, i) => !axes.includes(i));
  if (axes.every((axis) => x.shape[axis] === 1)) return reshape(graph, x, shape);
  if (sizeOf(x.shape) === 0) {
    const nothing = OF_NOTHING[opType]!;
    return graph.fill(Number.isNaN(nothing) && dtype !== "float32" ? 0 : nothing, dtype, shape);
  }
  return graph.op(opType, [x, graph.int64s(axes)], { dtype, shape }, { keepdims: keepDims ? 1 : 0 });
}

type Reduction = (graph: Graph, x: Value, axes: number[], keepDims: boolean) => Value;

function defineReduction(name: string, build: Reduction): void {
  defineKernel(name, (call) => {
    const x = input(call, "x");
    const { axis, reductionIndices, keepDims } = call.attributes as {
      axis?: number | number[];
      reductionIndices?: number | number[];
      keepDims?: boolean;
    };
    return build(call.graph, x, axesOf(reductionIndices ?? axis, x.shape.length), keepDims ?? false);
  });
}

// TensorFlow.js sums booleans as int32 and averages everything as float32.
defineReduction("Sum", (graph, x, axes, keepDims) => reduce(graph, "ReduceSum", asNumber(graph, x), axes, keepDims));
defineReduction("Mean", (graph, x, axes, keepDims) => reduce(graph, "ReduceMean", cast(graph, x, "float32"), axes, keepDims));
defineReduction("Prod", (graph, x, axes, keepDims) => reduce(graph, "ReduceProd", asNumber(graph, x), axes, keepDims));
defineReduction("Max", extreme("ReduceMax"));
defineReduction("Min", extreme("ReduceMin"));
defineReduction("All", (graph, x, axes, keepDims) => ofBools(graph, "ReduceMin", x, axes, keepDims));
defineReduction("Any", (graph, x, axes, keepDims) => ofBools(graph, "ReduceMax", x, axes, keepDims));

/**
 * NaN wins over every number in TensorFlow.js and is passed over by ONNX Runtime. The sum of squares is NaN exactly
 * where one of the numbers is, and is one quick pass over memory.
 */
function extreme(opType: "ReduceMax" | "ReduceMin"): Reduction {
  return (graph, x, axes, keepDims) => {
    if (x.dtype === "bool") return ofBools(graph, opType, x, axes, keepDims);
    const result = reduce(graph, opType, x, axes, keepDims);
    if (result.producer?.opType !== opType || x.dtype !== "float32") return result;
    const squares = reduce(graph, "ReduceSumSquare", x, axes, keepDims);
    return select(graph, unary(graph, "IsNaN", squares, "bool"), squares, result);
  };
}

function ofBools(graph: Graph, opType: string, x: Value, axes: readonly number[], keepDims: boolean): Value {
  return cast(graph, reduce(graph, opType, cast(graph, x, "int32"), axes, keepDims), "bool");
}

for (const opType of ["ArgMax", "ArgMin"]) {
  defineKernel(opType, (call) => {
    const { graph } = call;
    const x = asNumber(graph, input(call, "x"));
    const axis = axisOf((call.attributes["axis"] as number | undefined) ?? 0, x.shape.length);
    const shape = x.shape.filter((_, i) => i !== axis);
    if (sizeOf(x.shape) === 0) return graph.fill(0, "int32", shape);
    return cast(graph, graph.op(opType, [x], { dtype: "int64", shape }, { axis, keepdims: 0 }), "int32");
  });
}

defineKernel("Softmax", (call) => {
  const logits = input(call, "logits");
  const axis = axisOf((call.attributes["dim"] as number | undefined) ?? -1, logits.shape.length);
  return call.graph.op("Softmax", [cast(call.graph, logits, "float32")], { dtype: "float32", shape: logits.shape }, { axis });
});

/** tf.batchNorm: (x − mean) / √(variance + epsilon) · scale + offset, over whatever the parameters broadcast to. */
defineKernel("FusedBatchNorm", (call) => {
  const { graph } = call;
  const [x, mean, variance] = [input(call, "x"), input(call, "mean"), input(call, "variance")];
  const epsilon = graph.scalar((call.attributes["varianceEpsilon"] as number | undefined) ?? 0.001);
  const deviation = unary(graph, "Sqrt", binary(graph, "Add", variance, epsilon));
  const normalised = binary(graph, "Div", binary(graph, "Sub", x, mean), deviation);
  const { scale, offset } = call.inputs;
  const scaled = scale === undefined ? normalised : binary(graph, "Mul", normalised, scale);
  return offset === undefined ? scaled : binary(graph, "Add", scaled, offset);
});
