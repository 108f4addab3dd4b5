/** Traces a function for all sizes at once: twice, with different sizes, and the two graphs must be the same. */
import { EngineError } from "../errors.js";
import type { Dimension, Signature } from "./engine.js";
import { type Graph, type Node, type Value, isConstant, sameShape } from "./graph.js";
import type { Trace } from "./trace.js";

/** Numbers that stand for the open dimensions: no two are equal, none is 1, which operators treat differently. */
const FIRST = [3, 5, 7, 11, 13, 17, 19, 23, 61, 67, 71, 73];
const SECOND = [29, 31, 37, 41, 43, 47, 53, 59, 79, 83, 89, 97];

export interface OpenTrace extends Trace {
  /** Shapes with names for open dimensions, of the outputs. */
  readonly shapes: ReadonlyMap<string, readonly Dimension[]>;
}

/**
 * @param traceWith traces the function with given sizes
 * @throws EngineError `size_in_graph` when the graphs differ, `too_many_sizes`
 */
export function traceOpen(where: string, signature: Signature, traceWith: (sizes: Record<string, number>) => Trace): OpenTrace {
  const names = [...new Set(Object.values(signature).flatMap(({ shape }) => shape.filter((size) => typeof size === "string")))];
  if (names.length > FIRST.length)
    throw new EngineError(
      "too_many_sizes",
      `${where}: at most ${FIRST.length} dimensions can be open, got ${names.length}: ${names.join(", ")}; give some a number`,
    );
  const sizesOf = (numbers: readonly number[]): Record<string, number> => Object.fromEntries(names.map((name, i) => [name, numbers[i]!]));
  const [one, other] = [traceWith(sizesOf(FIRST)), traceWith(sizesOf(SECOND))];
  requireSameGraph(where, one.graph, other.graph);
  const shapes = new Map<string, readonly Dimension[]>();
  for (const [name, value] of one.outputs) {
    const otherShape = other.outputs.get(name)?.shape ?? [];
    const shape = value.shape.map((size, axis): Dimension => {
      if (size === otherShape[axis]) return size;
      const index = FIRST.indexOf(size);
      if (index < 0 || SECOND[index] !== otherShape[axis])
        throw new EngineError(
          "size_in_graph",
          `${where}: every dimension of output "${name}" must be a number or one of ${names.join(", ")}, got one that is made of several; return it in another shape`,
        );
      return names[index]!;
    });
    shapes.set(name, shape);
  }
  return { ...one, shapes };
}

function requireSameGraph(where: string, one: Graph, other: Graph): void {
  const [i, node] = [...one.nodes.entries()].find(([at, candidate]) => !sameNode(candidate, other.nodes[at])) ?? [];
  if (i === undefined && one.nodes.length === other.nodes.length) return;
  throw new EngineError(
    "size_in_graph",
    `${where}: with openSizes the graph must not depend on a size, got ${node?.opType ?? "an operation"} (number ${i ?? one.nodes.length}) with a shape or constant that does; compile it without openSizes`,
  );
}

function sameNode(a: Node, b: Node | undefined): boolean {
  return (
    b !== undefined &&
    a.opType === b.opType &&
    JSON.stringify(a.attributes) === JSON.stringify(b.attributes) &&
    a.inputs.length === b.inputs.length &&
    a.inputs.every((input, i) => sameInput(input, b.inputs[i]!))
  );
}

function sameInput(a: Value | null, b: Value | null): boolean {
  if (a === null || b === null) return a === b;
  if (isConstant(a) !== isConstant(b)) return false;
  if (!isConstant(a)) return a.name === b.name;
  if (a.uniform !== undefined || b.uniform !== undefined) return Object.is(a.uniform, b.uniform) && sameShape(a.shape, b.shape);
  return sameShape(a.shape, b.shape) && a.data!.every((value, i) => Object.is(value, b.data![i]));
}
