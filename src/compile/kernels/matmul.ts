/** Matrix products. */
import { EngineError } from "../../errors.js";
import type { Graph, Value } from "../graph.js";
import { binary, select, unary } from "./elementwise.js";
import { defineKernel, input } from "./registry.js";
import { broadcastShapes } from "./shapes.js";

/**
 * `a·b` over the last two axes, either side transposed, leading axes broadcast.
 * A 2-D product with a transposed side is a Gemm, which reads the transposed side in place.
 */
export function matmul(graph: Graph, a: Value, b: Value, transposeA = false, transposeB = false): Value {
  const [rows, inner] = lastTwo(a, transposeA);
  const [innerB, columns] = lastTwo(b, transposeB);
  if (inner !== innerB) {
    throw new EngineError("matmul_shape", `compile: matMul of [${a.shape.join(",")}] and [${b.shape.join(",")}] (transpose ${transposeA}, ${transposeB}): inner sizes ${inner} and ${innerB} differ`);
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const output = { dtype: a.dtype, shape: [...batch, rows, columns] };
  if (!transposeA && !transposeB) return graph.op("MatMul", [a, b], output);
  const transposes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 };
  if (a.shape.length === 2 && b.shape.length === 2) return graph.op("Gemm", [a, b], output, transposes);
  return graph.op("FusedMatMul", [a, b], output, transposes, "com.microsoft");
}

function lastTwo(value: Value, transposed: boolean): [number, number] {
  const [rows, columns] = value.shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

defineKernel("BatchMatMul", (call) => {
  const { transposeA, transposeB } = call.attributes as { transposeA: boolean; transposeB: boolean };
  return matmul(call.graph, input(call, "a"), input(call, "b"), transposeA, transposeB);
});

const activations: Record<string, (graph: Graph, x: Value) => Value> = {
  linear: (_graph, x) => x,
  relu: unary("Relu"),
  sigmoid: unary("Sigmoid"),
  elu: unary("Elu"),
  relu6: (graph, x) => graph.op("Clip", [x, graph.scalar(0), graph.scalar(6)], { dtype: x.dtype, shape: x.shape }),
};

defineKernel("_FusedMatMul", (call) => {
  const { graph } = call;
  const { transposeA, transposeB, activation, leakyreluAlpha } = call.attributes as {
    transposeA: boolean;
    transposeB: boolean;
    activation?: string;
    leakyreluAlpha?: number;
  };
  let y = matmul(graph, input(call, "a"), input(call, "b"), transposeA, transposeB);
  if (call.inputs["bias"] !== undefined) y = binary(graph, "Add", y, call.inputs["bias"]);
  if (activation === "prelu") {
    const alpha = input(call, "preluActivationWeights");
    return select(graph, binary(graph, "Greater", y, graph.scalar(0), "bool"), y, binary(graph, "Mul", alpha, y));
  }
  if (activation === "leakyrelu") return graph.op("LeakyRelu", [y], { dtype: y.dtype, shape: y.shape }, { alpha: { float: leakyreluAlpha ?? 0.2 } });
  const apply = activations[activation ?? "linear"];
  if (apply === undefined) throw new EngineError("untraceable_op", `compile: fused matMul activation "${activation}" cannot be traced; apply the activation after tf.matMul`);
  return apply(graph, y);
});

defineKernel("Einsum", ({ graph, list, attributes }) => {
  const equation = (attributes["equation"] as string).replaceAll(" ", "");
  const [left, right] = equation.split("->") as [string, string];
  const sizes = new Map<string, number>();
  left.split(",").forEach((term, i) => [...term].forEach((letter, axis) => sizes.set(letter, list[i]!.shape[axis]!)));
  const shape = [...right].map((letter) => sizes.get(letter)!);
  return graph.op("Einsum", list, { dtype: list[0]!.dtype, shape }, { equation });
});

