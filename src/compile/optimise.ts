/** Passes over a traced graph. ONNX Runtime's own are left off: they take longer than these and find no more. */
import { type Graph, type Node, type Value, isConstant, sameShape } from "./graph.js";

/** Keeps only what the outputs need: gradients are traced for everything, and used for little. */
export function prune(graph: Graph, outputs: Iterable<Value>): void {
  const needed = new Set<Node>();
  const visit: Node[] = [];
  const want = (value: Value | null): void => {
    if (value?.producer !== undefined && !needed.has(value.producer)) {
      needed.add(value.producer);
      visit.push(value.producer);
    }
  };
  for (const value of outputs) want(value);
  for (let node = visit.pop(); node !== undefined; node = visit.pop()) node.inputs.forEach(want);
  const kept = graph.nodes.filter((node) => needed.has(node));
  graph.nodes.splice(0, graph.nodes.length, ...kept);
}

/**
 * Puts what depends on stored tensors alone (widening a weight, above all) at the beginning. ONNX Runtime goes backwards from the outputs
 * and takes the inputs of a node in the reverse of this order: a first node is run last, just before what reads it. Without this all
 * weights would be widened before the first layer, and be there at once.
 * @param stored names of the graph inputs that come from the store
 */
export function deferWeights(graph: Graph, stored: ReadonlySet<string>): void {
  const constant = new Set<Node>();
  const ofStore = (value: Value | null): boolean =>
    value === null || (value.producer === undefined ? isConstant(value) || stored.has(value.name) : constant.has(value.producer));
  for (const node of graph.nodes) if (node.inputs.every(ofStore)) constant.add(node);
  const others = graph.nodes.filter((node) => !constant.has(node));
  graph.nodes.splice(0, graph.nodes.length, ...constant, ...others);
}

/** `Gemm(a, b) + bias` is one Gemm, when nothing else reads the product. */
export function foldBias(graph: Graph, outputs: Iterable<Value>): void {
  const uses = new Map<Value, number>();
  const use = (value: Value | null): void => {
    if (value !== null) uses.set(value, (uses.get(value) ?? 0) + 1);
  };
  for (const node of graph.nodes) node.inputs.forEach(use);
  for (const value of outputs) use(value);
  const removed = new Set<Node>();
  for (const [index, node] of graph.nodes.entries()) {
    if (node.opType !== "Add") continue;
    for (const [product, bias] of [node.inputs, [...node.inputs].reverse()] as Value[][]) {
      const gemm = product!.producer;
      if (gemm?.opType !== "Gemm" || gemm.inputs.length !== 2 || uses.get(product!) !== 1) continue;
      if (bias!.shape.length !== 1 || !sameShape(product!.shape, node.outputs[0]!.shape)) continue;
      const fused: Node = { ...gemm, inputs: [...gemm.inputs, bias!], outputs: node.outputs };
      (node.outputs[0] as { producer: Node }).producer = fused;
      graph.nodes[index] = fused;
      removed.add(gemm);
      break;
    }
  }
  if (removed.size === 0) return;
  const kept = graph.nodes.filter((node) => !removed.has(node));
  graph.nodes.splice(0, graph.nodes.length, ...kept);
}

/**
 * Computes once what is written several times: the attention mask of every layer, angles, constants' casts.
 * @param outputs by name; those that are duplicates are replaced
 */
export function mergeDuplicates(graph: Graph, outputs: Map<string, Value>): void {
  const seen = new Map<string, Node>();
  const same = new Map<Value, Value>();
  const kept: Node[] = [];
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((value) => (value === null ? null : (same.get(value) ?? value)));
    (node as { inputs: readonly (Value | null)[] }).inputs = inputs;
    const key = JSON.stringify([node.opType, node.domain, node.attributes, inputs.map((value) => value?.name ?? "")]);
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, node);
      kept.push(node);
    } else {
      node.outputs.forEach((value, i) => same.set(value, first.outputs[i]!));
    }
  }
  graph.nodes.splice(0, graph.nodes.length, ...kept);
  for (const [name, value] of outputs) outputs.set(name, same.get(value) ?? value);
}
