/** The order of nodes, which decides when ONNX Runtime widens a weight. */
import { expect, test } from "vitest";
import { Graph } from "../../src/compile/graph.js";
import { deferWeights } from "../../src/compile/optimise.js";

test("nodes on stored tensors and constants alone come first, all others keep their order", () => {
  const graph = new Graph();
  const matrix = { dtype: "float32" as const, shape: [2, 2] };
  const x = graph.input("x", "float32", [2, 2]);
  const [first, second] = [graph.input("first", "float16", [2, 2]), graph.input("second", "float16", [2, 2])];
  const seen = graph.op("Relu", [x], matrix);
  const wide = graph.op("Cast", [first], matrix, { to: 1 });
  const y = graph.op("MatMul", [seen, wide], matrix);
  const scaled = graph.op("Mul", [graph.op("Cast", [second], matrix, { to: 1 }), graph.scalar(2)], matrix);
  graph.op("MatMul", [y, scaled], matrix);
  deferWeights(graph, new Set(["first", "second"]));
  expect(graph.nodes.map(({ opType }) => opType)).toEqual(["Cast", "Cast", "Mul", "Relu", "MatMul", "MatMul"]);
  const known = new Set(graph.inputs);
  for (const node of graph.nodes) {
    for (const input of node.inputs) expect(input === null || input.uniform !== undefined || known.has(input)).toBe(true);
    node.outputs.forEach((output) => known.add(output));
  }
});
