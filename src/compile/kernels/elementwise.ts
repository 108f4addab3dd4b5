/** Elementwise kernels. TensorFlow.js makes the operand types equal before a binary kernel runs. */
import type { DType, Graph, Value } from "../graph.js";
import { defineKernel, input } from "./registry.js";
import { broadcastShapes, cast, expand, shrinkUniform } from "./shapes.js";

type Unary = (graph: Graph, x: Value) => Value;

export function unary(opType: string): Unary {
  return (graph, x) => graph.op(opType, [x], { dtype: x.dtype, shape: x.shape });
}

/** A broadcasting operator; results keep the operand type unless `dtype` says otherwise. */
export function binary(graph: Graph, opType: string, a: Value, b: Value, dtype: DType = a.dtype): Value {
  const shape = broadcastShapes(a.shape, b.shape);
  return graph.op(opType, [shrinkUniform(graph, a, b, shape), shrinkUniform(graph, b, a, shape)], { dtype, shape });
}

const add = (graph: Graph, a: Value, b: Value): Value => simplified(graph, "Add", a, b);
const multiply = (graph: Graph, a: Value, b: Value): Value => simplified(graph, "Mul", a, b);

/** Gradients bring many `x·1`, `x·0` and `x+0`; they cost a pass over memory each, so they are resolved here. */
function simplified(graph: Graph, opType: "Add" | "Mul" | "Sub" | "Div", a: Value, b: Value): Value {
  const shape = broadcastShapes(a.shape, b.shape);
  const neutral = opType === "Add" || opType === "Sub" ? 0 : 1;
  if (b.uniform === neutral) return expand(graph, a, shape);
  if (a.uniform === neutral && (opType === "Add" || opType === "Mul")) return expand(graph, b, shape);
  if (opType === "Mul" && (a.uniform === 0 || b.uniform === 0)) return graph.fill(0, a.dtype, shape);
  if (a.uniform !== undefined && b.uniform !== undefined && a.dtype === "float32") {
    const [x, y] = [a.uniform, b.uniform];
    const value = { Add: x + y, Sub: x - y, Mul: x * y, Div: x / y }[opType];
    return graph.fill(Math.fround(value), a.dtype, shape);
  }
  return binary(graph, opType, a, b);
}

const unaryKernels: Record<string, Unary> = {
  Abs: unary("Abs"),
  Acos: unary("Acos"),
  Acosh: unary("Acosh"),
  Asin: unary("Asin"),
  Asinh: unary("Asinh"),
  Atan: unary("Atan"),
  Atanh: unary("Atanh"),
  Ceil: unary("Ceil"),
  Cos: unary("Cos"),
  Cosh: unary("Cosh"),
  Elu: unary("Elu"),
  Erf: unary("Erf"),
  Exp: unary("Exp"),
  Floor: unary("Floor"),
  Log: unary("Log"),
  Reciprocal: unary("Reciprocal"),
  Relu: unary("Relu"),
  Round: unary("Round"),
  Sigmoid: unary("Sigmoid"),
  Sign: unary("Sign"),
  Sin: unary("Sin"),
  Sinh: unary("Sinh"),
  Softplus: unary("Softplus"),
  Sqrt: unary("Sqrt"),
  Tan: unary("Tan"),
  Tanh: unary("Tanh"),
  LogicalNot: unary("Not"),
  Neg: (graph, x) => (x.uniform === undefined ? unary("Neg")(graph, x) : graph.fill(-x.uniform, x.dtype, x.shape)),
  Square: (graph, x) => binary(graph, "Mul", x, x),
  Rsqrt: (graph, x) => unary("Reciprocal")(graph, unary("Sqrt")(graph, x)),
  Expm1: (graph, x) => binary(graph, "Sub", unary("Exp")(graph, x), graph.scalar(1)),
  Log1p: (graph, x) => unary("Log")(graph, binary(graph, "Add", x, graph.scalar(1))),
  Relu6: (graph, x) => graph.op("Clip", [x, graph.scalar(0, x.dtype), graph.scalar(6, x.dtype)], { dtype: x.dtype, shape: x.shape }),
  Selu: (graph, x) =>
    graph.op("Selu", [x], { dtype: x.dtype, shape: x.shape }, { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554804 } }),
  IsNan: (graph, x) => graph.op("IsNaN", [x], { dtype: "bool", shape: x.shape }),
  IsInf: (graph, x) => graph.op("IsInf", [x], { dtype: "bool", shape: x.shape }),
  IsFinite: (graph, x) => {
    const bad = binary(graph, "Or", graph.op("IsNaN", [x], { dtype: "bool", shape: x.shape }), graph.op("IsInf", [x], { dtype: "bool", shape: x.shape }), "bool");
    return unary("Not")(graph, bad);
  },
};
for (const [name, build] of Object.entries(unaryKernels)) defineKernel(name, (call) => build(call.graph, input(call, "x")));

const binaryKernels: Record<string, (graph: Graph, a: Value, b: Value) => Value> = {
  Add: add,
  Multiply: multiply,
  Sub: (graph, a, b) => simplified(graph, "Sub", a, b),
  RealDiv: (graph, a, b) => simplified(graph, "Div", a, b),
  Maximum: (graph, a, b) => binary(graph, "Max", a, b),
  Minimum: (graph, a, b) => binary(graph, "Min", a, b),
  Pow: (graph, a, b) => binary(graph, "Pow", a, b),
  SquaredDifference: (graph, a, b) => {
    const difference = binary(graph, "Sub", a, b);
    return binary(graph, "Mul", difference, difference);
  },
  FloorDiv: (graph, a, b) => {
    const quotient = binary(graph, "Div", cast(graph, a, "float32"), cast(graph, b, "float32"));
    return cast(graph, unary("Floor")(graph, quotient), a.dtype);
  },
  // TensorFlow.js's Mod takes the sign of the divisor, as ONNX's integer Mod does; its float Mod (fmod) does not.
  Mod: (graph, a, b) => {
    if (a.dtype === "int32") return binary(graph, "Mod", a, b);
    const quotient = unary("Floor")(graph, binary(graph, "Div", a, b));
    return binary(graph, "Sub", a, binary(graph, "Mul", quotient, b));
  },
  Equal: (graph, a, b) => binary(graph, "Equal", a, b, "bool"),
  NotEqual: (graph, a, b) => unary("Not")(graph, binary(graph, "Equal", a, b, "bool")),
  Greater: (graph, a, b) => compare(graph, "Greater", a, b),
  GreaterEqual: (graph, a, b) => compare(graph, "GreaterOrEqual", a, b),
  Less: (graph, a, b) => compare(graph, "Less", a, b),
  LessEqual: (graph, a, b) => compare(graph, "LessOrEqual", a, b),
  LogicalAnd: (graph, a, b) => binary(graph, "And", a, b, "bool"),
  LogicalOr: (graph, a, b) => binary(graph, "Or", a, b, "bool"),
  LogicalXor: (graph, a, b) => binary(graph, "Xor", a, b, "bool"),
};
for (const [name, build] of Object.entries(binaryKernels)) {
  defineKernel(name, (call) => build(call.graph, input(call, "a"), input(call, "b")));
}

/** ONNX orders numbers only. */
function compare(graph: Graph, opType: string, a: Value, b: Value): Value {
  const number = (value: Value): Value => (value.dtype === "bool" ? cast(graph, value, "int32") : value);
  return binary(graph, opType, number(a), number(b), "bool");
}

defineKernel("AddN", ({ graph, list }) => list.reduce((sum, value) => add(graph, sum, value)));

defineKernel("Identity", (call) => input(call, "x"));
defineKernel("Cast", (call) => {
  const x = input(call, "x");
  const dtype = call.attributes["dtype"] as DType;
  // ONNX casts float to bool by "not zero", as TensorFlow.js does.
  return cast(call.graph, x, dtype);
});
defineKernel("ZerosLike", (call) => call.graph.fill(0, input(call, "x").dtype, input(call, "x").shape));
defineKernel("OnesLike", (call) => call.graph.fill(1, input(call, "x").dtype, input(call, "x").shape));

defineKernel("ClipByValue", (call) => {
  const x = input(call, "x");
  const { clipValueMin, clipValueMax } = call.attributes as { clipValueMin: number; clipValueMax: number };
  const bounds = [call.graph.scalar(clipValueMin, x.dtype), call.graph.scalar(clipValueMax, x.dtype)];
  return call.graph.op("Clip", [x, ...bounds], { dtype: x.dtype, shape: x.shape });
});

defineKernel("LeakyRelu", (call) => {
  const x = input(call, "x");
  return call.graph.op("LeakyRelu", [x], { dtype: x.dtype, shape: x.shape }, { alpha: { float: call.attributes["alpha"] as number } });
});

defineKernel("Prelu", (call) => {
  const { graph } = call;
  const [x, alpha] = [input(call, "x"), input(call, "alpha")];
  const positive = binary(graph, "Greater", x, graph.scalar(0), "bool");
  return select(graph, positive, x, binary(graph, "Mul", alpha, x));
});

defineKernel("EluGrad", (call) => {
  const { graph } = call;
  const [dy, y] = [input(call, "dy"), input(call, "y")];
  const positive = binary(graph, "GreaterOrEqual", y, graph.scalar(0), "bool");
  return binary(graph, "Mul", dy, select(graph, positive, graph.fill(1, "float32", y.shape), binary(graph, "Add", y, graph.scalar(1))));
});

/** tf.step: alpha below zero, 1 above, NaN where x is NaN. */
defineKernel("Step", (call) => {
  const { graph } = call;
  const x = input(call, "x");
  const positive = binary(graph, "Greater", x, graph.scalar(0, x.dtype), "bool");
  const alpha = (call.attributes["alpha"] as number | undefined) ?? 0;
  const step = select(graph, positive, graph.fill(1, x.dtype, x.shape), graph.fill(alpha, x.dtype, x.shape));
  if (x.dtype !== "float32") return step;
  return select(graph, graph.op("IsNaN", [x], { dtype: "bool", shape: x.shape }), x, step);
});

defineKernel("Select", (call) => {
  const { graph } = call;
  const [condition, t, e] = [input(call, "condition"), input(call, "t"), input(call, "e")];
  // A rank-1 condition chooses whole rows, which trailing axes of length 1 express.
  const rows = condition.shape.length === 1 && t.shape.length > 1;
  const shape = [...condition.shape, ...(rows ? t.shape.slice(1).map(() => 1) : [])];
  const wide = rows ? graph.op("Reshape", [condition, graph.int64s(shape)], { dtype: "bool", shape }) : condition;
  return select(graph, wide, t, e);
});

export function select(graph: Graph, condition: Value, t: Value, e: Value): Value {
  const shape = broadcastShapes(condition.shape, broadcastShapes(t.shape, e.shape));
  const inputs = [expandUniform(graph, condition, shape), shrinkFor(graph, t, condition, e, shape), shrinkFor(graph, e, condition, t, shape)];
  return graph.op("Where", inputs, { dtype: t.dtype, shape });
}

function expandUniform(graph: Graph, value: Value, shape: readonly number[]): Value {
  return value.uniform === undefined ? value : expand(graph, value, shape);
}

function shrinkFor(graph: Graph, value: Value, condition: Value, other: Value, shape: readonly number[]): Value {
  const rest = broadcastShapes(condition.uniform === undefined ? condition.shape : shape, other.uniform === undefined ? other.shape : []);
  const covered = rest.length === shape.length && rest.every((dimension, i) => dimension === shape[i]);
  return value.uniform !== undefined && covered ? graph.fill(value.uniform, value.dtype, []) : value;
}
