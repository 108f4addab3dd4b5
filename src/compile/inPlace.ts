/** Which states a graph may compute straight into the memory of their old values. */
import { ALIASES, type Graph, type Node, type Value } from "./graph.js";

/** Operators that read element i of an input before they write element i of the output, and nothing of it afterwards. */
const ELEMENTWISE = new Set(["Add", "Sub", "Mul", "Div", "Sqrt", "Neg"]);

/**
 * The outputs of a graph that may be written over the state input of their name. ONNX Runtime writes an output when it runs the node
 * that makes it, in an order of its own choosing; so every other node that reads the old value must be one that this node waits for,
 * and if this node reads it itself, then element by element.
 * @param states names of the state inputs
 */
export function inPlaceOutputs(graph: Graph, outputs: ReadonlyMap<string, Value>, states: ReadonlySet<string>): Set<string> {
  const readers = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    for (const value of new Set(node.inputs)) if (value !== null) readers.set(value, [...(readers.get(value) ?? []), node]);
  }
  const outputValues = new Set(outputs.values());
  const safe = new Set<string>();
  for (const [name, value] of outputs) {
    const old = graph.inputs.find((input) => input.name === name);
    const last = value.producer;
    if (old === undefined || !states.has(name) || value === old) continue;
    if (old.dtype !== value.dtype || old.shape.join() !== value.shape.join()) continue;
    // One value under two names is copied into the second, and who knows when.
    if ([...outputs.values()].filter((other) => other === value).length > 1) continue;
    const before = last === undefined ? new Set<Node>() : ancestors(last);
    const isDone = (seen: Value): boolean =>
      !outputValues.has(seen) &&
      (readers.get(seen) ?? []).every((node) => {
        if (node === last) return readsInStep(node, seen, value);
        return before.has(node) && (!ALIASES.has(node.opType) || node.outputs.every(isDone));
      });
    if (isDone(old)) safe.add(name);
  }
  return safe;
}

/**
 * Whether a node may write its result over this input. Gemm and ScatterND begin with a copy of their C and their data into the result,
 * which is nothing to do when both are one memory.
 */
function readsInStep({ opType, inputs }: Node, old: Value, result: Value): boolean {
  if (old.shape.join() !== result.shape.join()) return false;
  const places = [...inputs.keys()].filter((i) => inputs[i] === old);
  if (opType === "Gemm") return places.join() === "2";
  if (opType === "ScatterND") return places.join() === "0";
  return ELEMENTWISE.has(opType);
}

/** All nodes whose results a node depends on. */
function ancestors(node: Node): Set<Node> {
  const found = new Set<Node>();
  const visit = [node];
  for (let next = visit.pop(); next !== undefined; next = visit.pop()) {
    for (const value of next.inputs) {
      const producer = value?.producer;
      if (producer === undefined || found.has(producer)) continue;
      found.add(producer);
      visit.push(producer);
    }
  }
  return found;
}
