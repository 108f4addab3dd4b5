/** ONNX operators as functions of graph values: what the kernels are built from. */
import type { Attributes, DType, Graph, Value } from "../graph.js";
import { broadcastShapes, expand, shrinkUniform } from "./shapes.js";

/** An operator on each element of one tensor. */
export function unary(graph: Graph, opType: string, x: Value, dtype: DType = x.dtype): Value {
  return graph.op(opType, [x], { dtype, shape: x.shape });
}

/** A broadcasting operator on two tensors; the result keeps the operand type unless `dtype` says otherwise. */
export function binary(graph: Graph, opType: string, a: Value, b: Value, dtype: DType = a.dtype, attributes: Attributes = {}): Value {
  const shape = broadcastShapes(a.shape, b.shape);
  // One of the two must keep the result's shape.
  const left = b.uniform === undefined ? shrinkUniform(graph, a, b, shape) : a;
  return graph.op(opType, [left, shrinkUniform(graph, b, a, shape)], { dtype, shape }, attributes);
}

/** A broadcasting operator whose result is bool. */
export function test(graph: Graph, opType: string, a: Value, b: Value): Value {
  return binary(graph, opType, a, b, "bool");
}

export function not(graph: Graph, condition: Value): Value {
  return unary(graph, "Not", condition);
}

/** Elements of `t` where the condition holds and of `e` elsewhere; all three broadcast. */
export function select(graph: Graph, condition: Value, t: Value, e: Value): Value {
  const shape = broadcastShapes(condition.shape, broadcastShapes(t.shape, e.shape));
  if (condition.uniform !== undefined) return expand(graph, condition.uniform === 0 ? e : t, shape);
  if (t.dtype === "bool") {
    // ONNX Runtime's Where takes no bools.
    return test(graph, "Or", test(graph, "And", condition, t), test(graph, "And", not(graph, condition), e));
  }
  return graph.op("Where", [condition, shrinkFor(graph, t, condition, e, shape), shrinkFor(graph, e, condition, t, shape)], {
    dtype: t.dtype,
    shape,
  });
}

/** A repeated number as rank 0, if the other two fill the result's shape. */
function shrinkFor(graph: Graph, value: Value, condition: Value, other: Value, shape: readonly number[]): Value {
  if (value.uniform === undefined) return value;
  const rest = broadcastShapes(condition.shape, other.uniform === undefined ? other.shape : []);
  const covered = rest.length === shape.length && rest.every((dimension, i) => dimension === shape[i]);
  return covered ? graph.fill(value.uniform, value.dtype, []) : value;
}
