/** Running sums and products. */
import type { Graph, Value } from "../graph.js";
import { binary } from "./operators.js";
import { defineKernel, input } from "./registry.js";
import { asNumber, axisOf, slice } from "./shapes.js";

interface ScanAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

defineKernel("Cumsum", (call) => {
  const { graph } = call;
  const x = asNumber(graph, input(call, "x"));
  const { axis, exclusive, reverse } = call.attributes as ScanAttributes;
  const axisValue = graph.constant(Int32Array.of(axisOf(axis, x.shape.length)), "int32", []);
  return graph.op("CumSum", [x, axisValue], x, { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 });
});

/** ONNX has no running product: log2(n) rounds, in each of which every element takes in the one `distance` before it. */
defineKernel("Cumprod", (call) => {
  const { graph } = call;
  const x = asNumber(graph, input(call, "x"));
  const { axis: given, exclusive, reverse } = call.attributes as ScanAttributes;
  const axis = axisOf(given, x.shape.length);
  const length = x.shape[axis]!;
  let product = exclusive ? shifted(graph, x, axis, 1, reverse) : x;
  for (let distance = 1; distance < length; distance *= 2)
    product = binary(graph, "Mul", product, shifted(graph, product, axis, distance, reverse));
  return product;
});

/** Moves elements along an axis, ones filling in: forwards, or backwards if reversed. */
function shifted(graph: Graph, x: Value, axis: number, distance: number, reverse: boolean): Value {
  const length = x.shape[axis]!;
  const kept = slice(
    graph,
    x,
    x.shape.map((_, i) => (i === axis && reverse ? distance : 0)),
    x.shape.map((size, i) => (i === axis ? length - distance : size)),
  );
  const ones = graph.fill(
    1,
    x.dtype,
    x.shape.map((size, i) => (i === axis ? distance : size)),
  );
  if (distance >= length) return ones;
  return graph.op("Concat", reverse ? [kept, ones] : [ones, kept], x, { axis });
}
