/** Matrix products. */
import { EngineError } from "../../errors.js";
import type { Graph, Value } from "../graph.js";
import { binary, unary } from "./operators.js";
import { type KernelCall, defineKernel, input, refuse } from "./registry.js";
import { broadcastShapes, sizeOf, transpose } from "./shapes.js";
import { leakyRelu, prelu, relu6 } from "./unary.js";

/**
 * `a·b` over the last two axes, either side transposed, leading axes broadcast.
 * A 2-D product with a transposed side is a Gemm, which reads the transposed side in place. A large one with a transposed left side
 * (the gradient of a weight) is 5 to 40 % faster with that side turned round first (docs/log.md).
 */
function matmul(graph: Graph, a: Value, b: Value, transposeA = false, transposeB = false): Value {
  const [rows, inner] = lastTwo(a, transposeA);
  const [innerB, columns] = lastTwo(b, transposeB);
  if (inner !== innerB) {
    throw new EngineError(
      "matmul_shape",
      `matMul of [${a.shape.join(",")}] and [${b.shape.join(",")}] (transpose ${transposeA}, ${transposeB}): inner sizes ${inner} and ${innerB} differ`,
    );
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const output = { dtype: a.dtype, shape: [...batch, rows, columns] };
  if (inner === 0) return graph.fill(0, output.dtype, output.shape);
  if (!transposeA && !transposeB) return graph.op("MatMul", [a, b], output);
  // The operators that transpose are for floats only.
  if (a.dtype !== "float32") return matmul(graph, transposeA ? swapLastTwo(graph, a) : a, transposeB ? swapLastTwo(graph, b) : b);
  const transposes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 };
  if (a.shape.length === 2 && transposeA && !transposeB && Math.min(rows, columns) >= TURNED)
    return graph.op("MatMul", [swapLastTwo(graph, a), b], output);
  if (a.shape.length === 2 && b.shape.length === 2) return graph.op("Gemm", [a, b], output, transposes);
  return graph.op("FusedMatMul", [a, b], output, transposes, "com.microsoft");
}

/** Least rows and columns of a product whose left side is turned round. */
const TURNED = 128;

function lastTwo(value: Value, transposed: boolean): [number, number] {
  const [rows, columns] = value.shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

function swapLastTwo(graph: Graph, value: Value): Value {
  const rank = value.shape.length;
  return transpose(graph, value, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
}

function product(call: KernelCall): Value {
  const { transposeA, transposeB } = call.attributes as { transposeA: boolean; transposeB: boolean };
  const [a, b] = [input(call, "a"), input(call, "b")];
  if (a.dtype === "bool") refuse("tf.matMul of bools", "cast them to float32 first");
  return matmul(call.graph, a, b, transposeA, transposeB);
}

defineKernel("BatchMatMul", product);

const activations: Record<string, (graph: Graph, x: Value, call: KernelCall) => Value> = {
  linear: (_graph, x) => x,
  relu: (graph, x) => unary(graph, "Relu", x),
  sigmoid: (graph, x) => unary(graph, "Sigmoid", x),
  elu: (graph, x) => unary(graph, "Elu", x),
  relu6,
  prelu: (graph, x, call) => prelu(graph, x, input(call, "preluActivationWeights")),
  leakyrelu: (graph, x, call) => leakyRelu(graph, x, (call.attributes["leakyreluAlpha"] as number | undefined) ?? 0.2),
};

defineKernel("_FusedMatMul", (call) => {
  const { bias } = call.inputs;
  const name = (call.attributes["activation"] as string | undefined) ?? "linear";
  const activate = activations[name];
  if (activate === undefined) refuse(`the activation "${name}" of a fused matMul`, "apply it after tf.matMul");
  const y = product(call);
  return activate(call.graph, bias === undefined ? y : binary(call.graph, "Add", y, bias), call);
});

defineKernel("Einsum", ({ graph, list, attributes }) => {
  const equation = (attributes["equation"] as string).replaceAll(" ", "");
  const [left, right] = equation.split("->");
  if (right === undefined)
    throw new EngineError("einsum_equation", `tf.einsum needs an arrow, got "${equation}"; write the result's letters after ->`);
  const sizes = new Map<string, number>();
  left!.split(",").forEach((term, i) => [...term].forEach((letter, axis) => sizes.set(letter, list[i]!.shape[axis]!)));
  const shape = [...right].map((letter) => sizes.get(letter)!);
  if (list.some((value) => sizeOf(value.shape) === 0)) return graph.fill(0, list[0]!.dtype, shape);
  return graph.op("Einsum", list, { dtype: list[0]!.dtype, shape }, { equation });
});
