/** From a tensor function to the bytes of an ONNX model: trace, passes, encoding. */
import { type Extent, type Extents, generalise, markerSizes } from "./anySize.js";
import type { InputSpec, Signature } from "./engine.js";
import type { HostDType } from "./hostTensor.js";
import { inPlaceOutputs } from "./inPlace.js";
import { liveBytes } from "./liveBytes.js";
import { encodeOnnxModel } from "./onnxModel.js";
import { deferWeights, foldBias, mergeDuplicates, prune } from "./optimise.js";
import { OUTPUT_PREFIX } from "./protocol.js";
import { type Sizes, boundShape, constantValue, storeName } from "./signature.js";
import { type TensorFunction, type Trace, type TracedInput, trace } from "./trace.js";

export interface BuiltProgram {
  readonly model: Uint8Array<ArrayBuffer>;
  /** Names of the inputs that the model reads; ONNX Runtime refuses others. */
  readonly inputs: ReadonlySet<string>;
  /** Those that it reads once, when its session is opened, and the names of the stored tensors. */
  readonly fixed: Readonly<Record<string, string>>;
  readonly outputs: ReadonlyMap<string, { readonly dtype: HostDType; readonly shape: readonly Extent[] }>;
  /** Outputs that may take the memory of the state of their name. */
  readonly replacing: ReadonlySet<string>;
}

/** The program for one combination of sizes. @param inPlace whether states may be overwritten while it runs @throws EngineError as `trace` does */
export function buildForSizes(name: string, fn: TensorFunction, signature: Signature, sizes: Sizes, inPlace: boolean): BuiltProgram {
  return encoded(optimisedTrace(name, fn, signature, sizes), signature, inPlace);
}

/** `liveBytes` of the graph for one combination of sizes. @throws EngineError as `trace` does */
export function liveBytesForSizes(name: string, fn: TensorFunction, signature: Signature, sizes: Sizes): number {
  const { graph, outputs } = optimisedTrace(name, fn, signature, sizes);
  return liveBytes(graph, outputs.values());
}

/** One program for all sizes of at least 1; undefined when the function does not do the same at all of them. */
export function buildForAnySize(name: string, fn: TensorFunction, signature: Signature, inPlace: boolean): BuiltProgram | undefined {
  const sizes = markerSizes(signature);
  if (sizes === undefined) return undefined;
  const first = optimisedTrace(name, fn, signature, sizes[0]);
  const extents = generalise([first, optimisedTrace(name, fn, signature, sizes[1])], sizes, signature);
  return extents && encoded(first, signature, inPlace, extents);
}

function optimisedTrace(name: string, fn: TensorFunction, signature: Signature, sizes: Sizes): Trace {
  const traced = new Map<string, TracedInput>();
  for (const [input, spec] of Object.entries(signature)) traced.set(input, tracedInput(name, input, spec, sizes));
  const { graph, outputs } = trace(fn, traced, name);
  prune(graph, outputs.values());
  mergeDuplicates(graph, outputs);
  foldBias(graph, outputs.values());
  deferWeights(graph, statesOf(signature));
  return { graph, outputs };
}

function statesOf(signature: Signature): Set<string> {
  return new Set(Object.keys(signature).filter((input) => signature[input]!.role === "state"));
}

function encoded({ graph, outputs }: Trace, signature: Signature, inPlace: boolean, extents?: Extents): BuiltProgram {
  const read = new Set(graph.nodes.flatMap((node) => node.inputs));
  for (const value of outputs.values()) read.add(value);
  graph.inputs.splice(0, graph.inputs.length, ...graph.inputs.filter((value) => read.has(value)));
  // Outputs may share a name with a state input; inside the model they must differ.
  const named = new Map([...outputs].map(([name, value]) => [`${OUTPUT_PREFIX}${name}`, value]));
  const inputs = graph.inputs.map(({ name }) => name);
  const fixed = inputs.filter((name) => signature[name]!.fixed);
  return {
    model: encodeOnnxModel(graph, named, { extents, withSequence: inPlace, external: new Set(fixed) }),
    replacing: inPlace ? inPlaceOutputs(graph, outputs, statesOf(signature)) : new Set(),
    inputs: new Set(inputs.filter((name) => !fixed.includes(name))),
    fixed: Object.fromEntries(fixed.map((name) => [name, storeName(name, signature[name]!)])),
    outputs: new Map(
      [...outputs].map(([name, value]) => [name, { dtype: value.dtype as HostDType, shape: extents?.(value) ?? value.shape }]),
    ),
  };
}

function tracedInput(where: string, name: string, spec: InputSpec, sizes: Sizes): TracedInput {
  const dtype = spec.dtype ?? "float32";
  const shape = boundShape(where, name, spec, sizes);
  if (spec.role !== "constant") return { dtype, shape };
  return { dtype, shape, value: constantValue(where, name, spec, shape).data as Float32Array };
}
