/** Runs a TensorFlow.js function once under the tracing backend and returns the graph it wrote. */
import { EngineError } from "../errors.js";
import type { Graph, Value } from "./graph.js";
import { kernels } from "./kernels/index.js";
import { type KernelCall } from "./kernels/registry.js";
import { tf } from "./tensorflow.js";
import { TRACING_BACKEND, type TensorMap, TracingBackend } from "./tracingBackend.js";

export type TensorFunction = (inputs: TensorMap) => TensorMap;

export interface TracedInput {
  readonly dtype: "float32" | "int32" | "bool";
  readonly shape: readonly number[];
  /** A baked-in value; absent for graph inputs. */
  readonly value?: Float32Array | Int32Array | Uint8Array;
}

export interface Trace {
  readonly graph: Graph;
  readonly outputs: ReadonlyMap<string, Value>;
}

let backend: TracingBackend | undefined;
let tracing = false;

/** The graph being written, or undefined when tensors are computed eagerly. */
export function currentTrace(): TracingBackend | undefined {
  return tracing ? backend : undefined;
}

function tracingBackend(): TracingBackend {
  if (backend !== undefined) return backend;
  const created = new TracingBackend();
  backend = created;
  // Priority -1: never chosen as the default backend.
  tf.registerBackend(TRACING_BACKEND, () => created, -1);
  for (const [name, kernel] of kernels) {
    tf.registerKernel({
      kernelName: name,
      backendName: TRACING_BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        const values: Record<string, Value> = {};
        const list: Value[] = [];
        for (const [key, info] of Object.entries(inputs)) {
          if (info === null || info === undefined) continue;
          list.push((values[key] = created.symbol((info as tf.TensorInfo).dataId)));
        }
        const call: KernelCall = { graph: created.graph, name, inputs: values, list, attributes: attrs ?? {} };
        const result = kernel(call);
        return Array.isArray(result) ? result.map((value) => created.tensorInfo(value)) : created.tensorInfo(result);
      },
    });
  }
  return created;
}

/**
 * @param fn called once; it must be synchronous and may use `tf.valueAndGrads` and `tf.customGrad`
 * @param where names the function in errors
 * @throws EngineError `untraceable_op`, `traced_read`, `traced_random`, `traced_async`
 */
export function trace(fn: TensorFunction, inputs: ReadonlyMap<string, TracedInput>, where: string): Trace {
  if (tracing) throw new EngineError("nested_trace", `${where}: compile cannot be called inside a traced function; call the inner function directly`);
  const active = tracingBackend();
  const engine = tf.engine();
  const previous = engine.backendName || defaultBackend();
  const random = Math.random;
  const graph = active.begin();
  const outputs = new Map<string, Value>();
  tracing = true;
  // Both backends initialise synchronously, so setBackend has done its work when it returns.
  void tf.setBackend(TRACING_BACKEND);
  // Random numbers drawn while tracing would be frozen into the graph: every run would repeat them.
  Math.random = () => {
    throw new EngineError("traced_random", `${where}: random numbers cannot be drawn while tracing, they would repeat in every run; pass them as an input`);
  };
  engine.startScope();
  try {
    const tensors: TensorMap = {};
    for (const [name, { dtype, shape, value }] of inputs) {
      const symbol = value === undefined ? graph.input(name, dtype, shape) : graph.constant(value, dtype, shape);
      tensors[name] = engine.makeTensorFromTensorInfo(active.tensorInfo(symbol));
    }
    const result = fn(tensors);
    if (result instanceof Promise) {
      throw new EngineError("traced_async", `${where}: a traced function must return its tensors directly, got a Promise; remove async/await`);
    }
    for (const [name, tensor] of Object.entries(result)) {
      if (!(tensor instanceof tf.Tensor)) throw new EngineError("output_type", `${where}: output "${name}" must be a tensor, got ${typeof tensor}`);
      outputs.set(name, active.symbol(tensor.dataId));
    }
  } catch (error) {
    throw explained(error, where);
  } finally {
    engine.endScope();
    Math.random = random;
    void tf.setBackend(previous);
    tracing = false;
  }
  return { graph, outputs };
}

function defaultBackend(): string {
  void tf.setBackend("cpu");
  return "cpu";
}

/** TensorFlow.js reports a missing kernel as a plain Error. */
function explained(error: unknown, where: string): unknown {
  if (error instanceof EngineError || !(error instanceof Error)) return error;
  const missing = /Kernel '(\w+)' not registered for backend/.exec(error.message);
  if (missing === null) return error;
  const message = `${where}: ${missing[1]} cannot be traced; build it from other tf operations, use engine "eager", or compute it outside and pass it as an input`;
  return new EngineError("untraceable_op", message, { cause: error });
}

/** Hands graph values to TensorFlow.js as symbolic tensors. */
export function tfTensors(active: TracingBackend, values: readonly Value[]): tf.Tensor[] {
  return values.map((value) => tf.engine().makeTensorFromTensorInfo(active.tensorInfo(value)));
}
