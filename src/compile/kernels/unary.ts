/** Kernels of one tensor, element by element. */
import type { DType, Graph, Value } from "../graph.js";
import { binary, not, select, test, unary } from "./operators.js";
import { defineKernel, input, refuse } from "./registry.js";
import { cast, castNumber, truncate } from "./shapes.js";

type Unary = (graph: Graph, x: Value) => Value;

/** Kernels that are one ONNX operator of the same name. */
const named = [
  "Abs",
  "Acos",
  "Acosh",
  "Asin",
  "Asinh",
  "Atan",
  "Atanh",
  "Cos",
  "Cosh",
  "Elu",
  "Erf",
  "Exp",
  "Log",
  "Reciprocal",
  "Relu",
  "Sigmoid",
  "Sin",
  "Sinh",
  "Softplus",
  "Sqrt",
  "Tan",
  "Tanh",
];

const composed: Record<string, Unary> = {
  Neg: (graph, x) => (x.uniform === undefined ? unary(graph, "Neg", x) : graph.fill(castNumber(-x.uniform, x.dtype), x.dtype, x.shape)),
  Sign: sign,
  Square: (graph, x) => binary(graph, "Mul", x, x),
  Rsqrt: (graph, x) => unary(graph, "Reciprocal", unary(graph, "Sqrt", x)),
  Expm1: expm1,
  Log1p: log1p,
  Relu6: relu6,
  Selu: (graph, x) => graph.op("Selu", [x], x, { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554804 } }),
};

/** What ONNX Runtime computes for int32 as well. TensorFlow.js's exp gives float32 for every type. */
const OF_INTEGERS = new Set(["Abs", "Neg", "Relu", "Sign", "Square"]);

for (const [name, build] of Object.entries({ ...Object.fromEntries(named.map((name) => [name, ofOperator(name)])), ...composed })) {
  defineKernel(name, (call) => {
    const x = input(call, "x");
    if (x.dtype === "bool" && name === "Neg") refuse("the negative of a bool", "use tf.logicalNot, or cast it to int32 first");
    if (name === "Exp") return build(call.graph, cast(call.graph, x, "float32"));
    return x.dtype === "int32" && OF_INTEGERS.has(name) ? build(call.graph, x) : inFloat(call.graph, x, build);
  });
}

function ofOperator(opType: string): Unary {
  return (graph, x) => unary(graph, opType, x);
}

/**
 * Runs a float operator on any type as TensorFlow.js does: in floating point, the result stored in the tensor's own
 * type, so `reciprocal` of the int32 2 is 0.
 */
function inFloat(graph: Graph, x: Value, build: Unary): Value {
  if (x.dtype === "float32") return build(graph, x);
  return cast(graph, truncate(graph, build(graph, cast(graph, x, "float32"))), x.dtype);
}

/** exp(x) − 1 keeping small x, where the difference would cancel: 2 tanh(x/2) / (1 − tanh(x/2)). */
function expm1(graph: Graph, x: Value): Value {
  const half = unary(graph, "Tanh", binary(graph, "Mul", x, graph.scalar(0.5)));
  const near = binary(graph, "Div", binary(graph, "Mul", half, graph.scalar(2)), binary(graph, "Sub", graph.scalar(1), half));
  return select(graph, isSmall(graph, x), near, binary(graph, "Sub", unary(graph, "Exp", x), graph.scalar(1)));
}

/** log(1 + x) keeping small x: with u = 1 + x rounded, log(u) · x / (u − 1) undoes the rounding (Kahan); x itself where u = 1. */
function log1p(graph: Graph, x: Value): Value {
  const one = graph.scalar(1);
  const u = binary(graph, "Add", x, one);
  const log = unary(graph, "Log", u);
  const corrected = binary(graph, "Mul", log, binary(graph, "Div", x, binary(graph, "Sub", u, one)));
  return select(graph, isSmall(graph, x), select(graph, test(graph, "Equal", u, one), x, corrected), log);
}

function isSmall(graph: Graph, x: Value): Value {
  return test(graph, "Less", unary(graph, "Abs", x), graph.scalar(0.5));
}

/** The sign of NaN is 0. */
function sign(graph: Graph, x: Value): Value {
  const value = unary(graph, "Sign", x);
  return x.dtype === "float32" ? select(graph, isNaN(graph, x), graph.scalar(0), value) : value;
}

export function relu6(graph: Graph, x: Value): Value {
  return graph.op("Clip", [x, graph.scalar(0), graph.scalar(6)], x);
}

/** Whole numbers are rounded already. ONNX rounds half to even, as TensorFlow.js does. */
for (const opType of ["Ceil", "Floor", "Round"]) {
  defineKernel(opType, (call) => {
    const x = input(call, "x");
    return x.dtype === "float32" ? unary(call.graph, opType, x) : x;
  });
}

function isNaN(graph: Graph, x: Value): Value {
  return unary(graph, "IsNaN", x, "bool");
}
const isInf: Unary = (graph, x) => unary(graph, "IsInf", x, "bool");
const numberTests: Record<string, { build: Unary; ofIntegers: 0 | 1 }> = {
  IsNan: { build: isNaN, ofIntegers: 0 },
  IsInf: { build: isInf, ofIntegers: 0 },
  IsFinite: { build: (graph, x) => not(graph, test(graph, "Or", isNaN(graph, x), isInf(graph, x))), ofIntegers: 1 },
};
for (const [name, { build, ofIntegers }] of Object.entries(numberTests)) {
  defineKernel(name, (call) => {
    const x = input(call, "x");
    return x.dtype === "float32" ? build(call.graph, x) : call.graph.fill(ofIntegers, "bool", x.shape);
  });
}

defineKernel("Identity", (call) => input(call, "x"));
defineKernel("Cast", (call) => {
  const x = input(call, "x");
  const dtype = call.attributes["dtype"] as DType;
  // ONNX casts to bool by "not zero", as TensorFlow.js does.
  return dtype === "int32" ? truncate(call.graph, x) : cast(call.graph, x, dtype);
});
defineKernel("ZerosLike", (call) => call.graph.fill(0, input(call, "x").dtype, input(call, "x").shape));
defineKernel("OnesLike", (call) => call.graph.fill(1, input(call, "x").dtype, input(call, "x").shape));

defineKernel("ClipByValue", (call) => {
  const x = input(call, "x");
  if (x.dtype === "bool") refuse("tf.clipByValue of a bool", "cast it to int32 first");
  const { clipValueMin, clipValueMax } = call.attributes as { clipValueMin: number; clipValueMax: number };
  const bound = (value: number): Value => {
    const whole = Math.trunc(Math.min(Math.max(value, -(2 ** 31)), 2 ** 31 - 1));
    return call.graph.scalar(x.dtype === "float32" ? value : whole, x.dtype);
  };
  return call.graph.op("Clip", [x, bound(clipValueMin), bound(clipValueMax)], x);
});

export function leakyRelu(graph: Graph, x: Value, alpha: number): Value {
  return graph.op("LeakyRelu", [cast(graph, x, "float32")], { dtype: "float32", shape: x.shape }, { alpha: { float: alpha } });
}
defineKernel("LeakyRelu", (call) => leakyRelu(call.graph, input(call, "x"), call.attributes["alpha"] as number));

export function prelu(graph: Graph, x: Value, alpha: Value): Value {
  const [floats, slope] = [cast(graph, x, "float32"), cast(graph, alpha, "float32")];
  return select(graph, test(graph, "Less", floats, graph.scalar(0)), binary(graph, "Mul", slope, floats), floats);
}
defineKernel("Prelu", (call) => prelu(call.graph, input(call, "x"), input(call, "alpha")));

defineKernel("EluGrad", (call) => {
  const { graph } = call;
  const [dy, y] = [input(call, "dy"), input(call, "y")];
  const slope = select(graph, test(graph, "GreaterOrEqual", y, graph.scalar(0)), graph.scalar(1), binary(graph, "Add", y, graph.scalar(1)));
  return binary(graph, "Mul", dy, slope);
});

/** tf.step: alpha up to zero, 1 above, NaN where x is NaN. */
defineKernel("Step", (call) => {
  const { graph } = call;
  const x = input(call, "x");
  const alpha = castNumber((call.attributes["alpha"] as number | undefined) ?? 0, x.dtype);
  if (x.dtype === "bool") return alpha === 0 ? x : graph.fill(1, "bool", x.shape);
  const positive = test(graph, "Greater", x, graph.scalar(0, x.dtype));
  const step = select(graph, positive, graph.fill(1, x.dtype, x.shape), graph.fill(alpha, x.dtype, x.shape));
  return x.dtype === "float32" ? select(graph, isNaN(graph, x), x, step) : step;
});
