/** Kernels of two tensors: arithmetic, comparison, logic, choice. TensorFlow.js makes the operand types equal before they run. */
import type { Graph, Value } from "../graph.js";
import { floorDivide, modulo } from "./division.js";
import { binary, not, select, test, unary } from "./operators.js";
import { defineKernel, input, refuse } from "./registry.js";
import { asNumber, broadcastShapes, cast, castNumber, expand, truncate, widerType } from "./shapes.js";

type Binary = (graph: Graph, a: Value, b: Value) => Value;

/**
 * Gradients bring many `x·1`, `x·0` and `x+0`; they cost a pass over memory each, so they are resolved here. A constant
 * zero times anything is zero, also where TensorFlow.js would find an infinity or NaN on the other side.
 */
function simplified(graph: Graph, opType: "Add" | "Mul" | "Sub" | "Div", a: Value, b: Value): Value {
  const shape = broadcastShapes(a.shape, b.shape);
  const neutral = opType === "Add" || opType === "Sub" ? 0 : 1;
  if (b.uniform === neutral) return expand(graph, a, shape);
  if (a.uniform === neutral && (opType === "Add" || opType === "Mul")) return expand(graph, b, shape);
  if (opType === "Mul" && (a.uniform === 0 || b.uniform === 0)) return graph.fill(0, a.dtype, shape);
  if (a.uniform !== undefined && b.uniform !== undefined) {
    const [x, y] = [a.uniform, b.uniform];
    const value = { Add: x + y, Sub: x - y, Mul: x * y, Div: x / y }[opType];
    return graph.fill(castNumber(value, a.dtype), a.dtype, shape);
  }
  return binary(graph, opType, a, b);
}

/**
 * @param ofBools the kernel for two bools. Without one they are refused: sums and quotients of booleans leave what a bool
 *   can hold, and TensorFlow.js's `cpu` backend gives a "bool" of 2 or 255.
 */
function defineArithmetic(name: string, build: Binary, ofBools?: Binary): void {
  defineKernel(name, (call) => {
    const [a, b] = [input(call, "a"), input(call, "b")];
    if (a.dtype !== "bool") return build(call.graph, a, b);
    return ofBools === undefined ? refuseBools(name) : ofBools(call.graph, a, b);
  });
}

function refuseBools(name: string): never {
  return refuse(`${name} of bools`, "cast one of them to int32 or float32, or use tf.logicalAnd and tf.logicalOr");
}

const add: Binary = (graph, a, b) => simplified(graph, "Add", a, b);
const and: Binary = (graph, a, b) => binary(graph, "And", a, b);
const or: Binary = (graph, a, b) => binary(graph, "Or", a, b);

defineArithmetic("Add", add);
defineArithmetic("Sub", (graph, a, b) => simplified(graph, "Sub", a, b));
defineArithmetic("Multiply", (graph, a, b) => simplified(graph, "Mul", a, b), and);
// tf.div of two int32 tensors is FloorDiv.
defineArithmetic("RealDiv", (graph, a, b) => simplified(graph, "Div", a, b));
defineArithmetic("FloorDiv", floorDivide);
defineArithmetic("Mod", modulo);
defineArithmetic("Maximum", (graph, a, b) => binary(graph, "Max", a, b), or);
defineArithmetic("Minimum", (graph, a, b) => binary(graph, "Min", a, b), and);
defineArithmetic(
  "SquaredDifference",
  (graph, a, b) => {
    const difference = binary(graph, "Sub", a, b);
    return binary(graph, "Mul", difference, difference);
  },
  (graph, a, b) => binary(graph, "Xor", a, b),
);
defineArithmetic("Pow", power);
defineArithmetic("Atan2", atan2);
defineArithmetic("BitwiseAnd", (graph, a, b) => binary(graph, "BitwiseAnd", a, b));

defineKernel("AddN", ({ graph, list, name }) => {
  if (list.some(({ dtype }) => dtype === "bool")) refuseBools(name);
  return list.reduce((sum, value) => add(graph, sum, value));
});

/**
 * JavaScript has no answer for 1 or −1 to the power of NaN or an infinity; C, which ONNX Runtime asks, says 1. A negative
 * power of the integer 0 is stored as 0, as JavaScript stores an infinity.
 */
function power(graph: Graph, a: Value, b: Value): Value {
  const result = binary(graph, "Pow", a, b);
  if (a.dtype === "int32") {
    const zero = graph.scalar(0, "int32");
    return select(graph, test(graph, "And", test(graph, "Equal", a, zero), test(graph, "Less", b, zero)), zero, result);
  }
  const safeExponent = b.uniform !== undefined && Number.isFinite(b.uniform);
  const safeBase = a.uniform !== undefined && Math.abs(a.uniform) !== 1;
  if (safeExponent || safeBase) return result;
  const one = test(graph, "Equal", unary(graph, "Abs", a), graph.scalar(1));
  // b − b is 0 for finite numbers and NaN for the others.
  const odd = unary(graph, "IsNaN", binary(graph, "Sub", b, b), "bool");
  return select(graph, test(graph, "And", one, odd), graph.scalar(NaN), result);
}

/**
 * The angle of the point (x, y): atan of the smaller over the larger coordinate, then reflected into the right octant.
 * Signs are taken from −0 too, as JavaScript takes them.
 */
function atan2(graph: Graph, y: Value, x: Value): Value {
  if (y.dtype !== "float32") return truncate(graph, atan2(graph, cast(graph, y, "float32"), cast(graph, x, "float32")));
  const [absX, absY] = [unary(graph, "Abs", x), unary(graph, "Abs", y)];
  const [small, large] = [binary(graph, "Min", absX, absY), binary(graph, "Max", absX, absY)];
  // 0/0 is the direction of the x axis, ∞/∞ the diagonal.
  const ratio = select(graph, test(graph, "Equal", small, large), graph.scalar(1), binary(graph, "Div", small, large));
  const octant = unary(graph, "Atan", select(graph, test(graph, "Equal", large, graph.scalar(0)), graph.scalar(0), ratio));
  const quadrant = select(graph, test(graph, "Greater", absY, absX), binary(graph, "Sub", graph.scalar(Math.PI / 2), octant), octant);
  const half = select(graph, isNegative(graph, x), binary(graph, "Sub", graph.scalar(Math.PI), quadrant), quadrant);
  return select(graph, isNegative(graph, y), unary(graph, "Neg", half), half);
}

/** Whether the sign is set, of −0 too. */
function isNegative(graph: Graph, value: Value): Value {
  const below = (v: Value): Value => test(graph, "Less", v, graph.scalar(0));
  return test(graph, "Or", below(value), below(unary(graph, "Reciprocal", value)));
}

function defineTest(name: string, build: Binary): void {
  defineKernel(name, (call) => build(call.graph, input(call, "a"), input(call, "b")));
}

defineTest("Equal", (graph, a, b) => test(graph, "Equal", a, b));
defineTest("NotEqual", (graph, a, b) => not(graph, test(graph, "Equal", a, b)));
const orders = { Greater: "Greater", GreaterEqual: "GreaterOrEqual", Less: "Less", LessEqual: "LessOrEqual" };
for (const [name, opType] of Object.entries(orders)) {
  // ONNX orders numbers only.
  defineTest(name, (graph, a, b) => test(graph, opType, asNumber(graph, a), asNumber(graph, b)));
}
defineTest("LogicalAnd", and);
defineTest("LogicalOr", or);
defineKernel("LogicalNot", (call) => not(call.graph, input(call, "x")));

defineKernel("Select", (call) => {
  const { graph } = call;
  const [condition, t, e] = [input(call, "condition"), input(call, "t"), input(call, "e")];
  const dtype = widerType(t.dtype, e.dtype);
  return select(graph, condition, cast(graph, t, dtype), cast(graph, e, dtype));
});
