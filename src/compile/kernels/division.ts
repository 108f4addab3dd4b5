/** Integer quotients and remainders, which processors and languages disagree about. */
import type { Graph, Value } from "../graph.js";
import { binary, not, select, test, unary } from "./operators.js";
import { cast, truncate } from "./shapes.js";

/** The quotient rounded down, as int32, for floats too; 0 where the divisor is 0. */
export function floorDivide(graph: Graph, a: Value, b: Value): Value {
  if (a.dtype !== "int32") {
    // The rounded quotient of floats may lie just above a whole number; a − (a mod b) is exactly divisible.
    const quotient = binary(graph, "Div", binary(graph, "Sub", a, modulo(graph, a, b)), b);
    return truncate(graph, unary(graph, "Round", quotient));
  }
  const [zero, minusOne] = [graph.scalar(0, "int32"), graph.scalar(-1, "int32")];
  const divisor = safeDivisor(graph, b);
  const quotient = binary(graph, "Div", a, divisor); // towards zero
  const remainder = binary(graph, "Sub", a, binary(graph, "Mul", quotient, divisor));
  const opposite = test(graph, "Xor", test(graph, "Less", remainder, zero), test(graph, "Less", divisor, zero));
  const down = test(graph, "And", not(graph, test(graph, "Equal", remainder, zero)), opposite);
  const floor = binary(graph, "Sub", quotient, cast(graph, down, "int32"));
  const result = select(graph, test(graph, "Equal", b, minusOne), unary(graph, "Neg", a), floor);
  return select(graph, test(graph, "Equal", b, zero), zero, result);
}

/** The remainder with the divisor's sign; where the divisor is 0, 0 for integers and NaN for floats. */
export function modulo(graph: Graph, a: Value, b: Value): Value {
  if (a.dtype === "int32") return binary(graph, "Mod", a, safeDivisor(graph, b));
  // TensorFlow.js: a % b while both have one sign, else ((a % b) + b) % b. ONNX's fmod is JavaScript's %.
  const percent = (x: Value): Value => binary(graph, "Mod", x, b, "float32", { fmod: 1 });
  const both = (opType: string): Value =>
    test(graph, "And", test(graph, opType, a, graph.scalar(0)), test(graph, opType, b, graph.scalar(0)));
  const remainder = percent(a);
  return select(graph, test(graph, "Or", both("Less"), both("GreaterOrEqual")), remainder, percent(binary(graph, "Add", remainder, b)));
}

/** 1 in place of 0 and −1: in ONNX Runtime x/0 fails the run and −2^31/−1 kills the process. */
function safeDivisor(graph: Graph, b: Value): Value {
  if (b.uniform !== undefined) return b.uniform === 0 || b.uniform === -1 ? graph.fill(1, "int32", b.shape) : b;
  const unsafe = test(graph, "Or", test(graph, "Equal", b, graph.scalar(0, "int32")), test(graph, "Equal", b, graph.scalar(-1, "int32")));
  return select(graph, unsafe, graph.scalar(1, "int32"), b);
}
