/** How much memory the intermediate results of a graph take at once. */
import { DTYPE_BYTES } from "./hostTensor.js";
import { ALIASES, type Graph, type Node, type Value, isConstant, sizeOf } from "./graph.js";

/**
 * The most bytes of intermediate results that are alive at once when ONNX Runtime computes a graph: each from its computation to its last
 * use. Inputs, constants and outputs are left out, and so is what an allocator keeps or loses beside.
 */
export function liveBytes(graph: Graph, outputs: Iterable<Value>): number {
  const order = executionOrder(graph.nodes);
  const kept = new Set<Value>();
  for (const value of outputs) kept.add(ownerOf(value));
  const lastUse = new Map<Value, number>();
  order.forEach((node, at) => {
    for (const value of [...node.inputs, ...node.outputs]) if (value !== null) lastUse.set(ownerOf(value), at);
  });
  const ending = new Map<number, Value[]>();
  for (const [value, at] of lastUse) {
    if (value.producer === undefined || isConstant(value) || kept.has(value)) continue;
    ending.set(at, [...(ending.get(at) ?? []), value]);
  }
  let [alive, most] = [0, 0];
  for (const [at, node] of order.entries()) {
    for (const value of node.outputs) if (ownerOf(value) === value && !kept.has(value)) alive += bytesOf(value);
    most = Math.max(most, alive);
    for (const value of ending.get(at) ?? []) alive -= bytesOf(value);
  }
  return most;
}

/** The value whose memory this one is a view of. */
function ownerOf(value: Value): Value {
  let owner = value;
  while (owner.producer !== undefined && ALIASES.has(owner.producer.opType)) owner = owner.producer.inputs[0]!;
  return owner;
}

function bytesOf({ dtype, shape }: Value): number {
  return sizeOf(shape) * (dtype === "int64" ? 8 : DTYPE_BYTES[dtype]);
}

/**
 * The order in which ONNX Runtime computes nodes: backwards from those that nobody reads, the last of them first, and of a node's inputs the
 * one that stands last in the graph first; each node comes when all that it reads is there (`Graph::ReverseDFSFrom` and `GraphViewer`).
 */
function executionOrder(nodes: readonly Node[]): Node[] {
  const place = new Map(nodes.map((node, at) => [node, at]));
  const read = new Set(nodes.flatMap((node) => readBy(node)));
  const order: Node[] = [];
  const visited = new Set<Node>();
  const stack = nodes.filter((node) => !read.has(node)).map((node) => ({ node, done: false }));
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { node, done } = entry;
    if (done) order.push(node);
    if (done || visited.has(node)) continue;
    visited.add(node);
    stack.push({ node, done: true });
    for (const input of readBy(node).sort((a, b) => place.get(a)! - place.get(b)!)) stack.push({ node: input, done: false });
  }
  return order;
}

/** The nodes whose results a node reads. */
function readBy(node: Node): Node[] {
  return node.inputs.flatMap((value) => value?.producer ?? []);
}
