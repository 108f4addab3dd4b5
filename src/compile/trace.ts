/** Runs a TensorFlow.js function once under the tracing backend and returns the graph it wrote. */
import { EngineError } from "../errors.js";
import type { Graph, Value } from "./graph.js";
import { type Kernel, kernels } from "./kernels/index.js";
import type { KernelCall } from "./kernels/registry.js";
import { tf } from "./tensorflow.js";
import { currentOperation, setGuards } from "./traceGuards.js";
import { TRACING_BACKEND, type TensorMap, TracingBackend } from "./tracingBackend.js";

export type TensorFunction = (inputs: TensorMap) => TensorMap;

export interface TracedInput {
  readonly dtype: "float32" | "int32" | "bool" | "uint8" | "int8" | "float16";
  readonly shape: readonly number[];
  /** A baked-in value; absent for graph inputs. */
  readonly value?: Float32Array | Int32Array | Uint8Array | Int8Array | Uint16Array;
}

export interface Trace {
  readonly graph: Graph;
  /** Passes may put another value in place of one. */
  readonly outputs: Map<string, Value>;
}

let backend: TracingBackend | undefined;
let tracing: string | undefined;

/** The graph being written, or undefined when tensors are computed eagerly. */
export function currentTrace(): TracingBackend | undefined {
  return tracing === undefined ? undefined : backend;
}

function tracingBackend(): TracingBackend {
  if (backend !== undefined) return backend;
  const created = new TracingBackend();
  backend = created;
  // Priority -1: never chosen as the default backend.
  tf.registerBackend(TRACING_BACKEND, () => created, -1);
  for (const [name, kernel] of kernels) {
    const kernelFunc: tf.KernelFunc = ({ inputs, attrs }) => {
      const values: Record<string, Value> = {};
      const list: Value[] = [];
      for (const [key, info] of Object.entries(inputs)) {
        if (info === null || info === undefined) continue;
        list.push((values[key] = created.symbol(info)));
      }
      const result = written(kernel, { graph: created.graph, name, inputs: values, list, attributes: attrs ?? {} });
      return Array.isArray(result) ? result.map((value) => created.tensorInfo(value)) : created.tensorInfo(result);
    };
    tf.registerKernel({ kernelName: name, backendName: TRACING_BACKEND, kernelFunc });
  }
  return created;
}

/** Runs a kernel; its errors name the traced function and the operation that the user called. */
function written(kernel: Kernel, call: KernelCall): Value | Value[] {
  try {
    return kernel(call);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.code, `${tracing}: ${currentOperation() ?? call.name}: ${error.message}`, { cause: error });
  }
}

/**
 * Nothing is left behind: the active backend, its tensors and the number of live tensors are as before, also after an error.
 * Concrete tensors that the function uses from outside are baked in.
 * @param fn called once; it must be synchronous and may use `tf.valueAndGrads` and `tf.customGrad`
 * @param where names the function in errors
 * @throws EngineError `untraceable_op`, `no_gradient`, `traced_read`, `traced_random`, `traced_variable`, `traced_async`, `nested_trace`,
 *   `stale_tensor`, `output_type`, `input_name`
 */
export function trace(fn: TensorFunction, inputs: ReadonlyMap<string, TracedInput>, where: string): Trace {
  if (tracing !== undefined)
    throw new EngineError(
      "nested_trace",
      `${where}: compile cannot be called inside a traced function (${tracing}); call the inner function directly`,
    );
  const active = tracingBackend();
  const engine = tf.engine();
  if (engine.state.gradientDepth > 0)
    throw new EngineError("nested_trace", `${where}: compile cannot be called inside tf.grad; differentiate inside the compiled function`);
  const previous = activeBackend();
  const graph = active.begin();
  const outputs = new Map<string, Value>();
  tracing = where;
  // Both backends initialise synchronously, so setBackend has done its work when it returns.
  void tf.setBackend(TRACING_BACKEND);
  const removeGuards = setGuards(where);
  engine.startScope(where);
  try {
    const tensors: TensorMap = {};
    for (const [name, { dtype, shape, value }] of inputs) {
      if (name.startsWith("%"))
        throw new EngineError("input_name", `${where}: input names must not begin with %, got "${name}"; rename it`);
      const symbol = value === undefined ? graph.input(name, dtype, shape) : graph.constant(value, dtype, shape);
      tensors[name] = engine.makeTensorFromTensorInfo(active.tensorInfo(symbol));
    }
    const result: unknown = fn(tensors);
    if (result instanceof Promise) ignoreFailure(result);
    if (active.failure !== undefined) throw active.failure;
    for (const [name, tensor] of Object.entries(namedTensors(result, where))) outputs.set(name, active.symbol(tensor));
  } catch (error) {
    throw explained(error, where);
  } finally {
    engine.endScope();
    removeGuards();
    active.end();
    void tf.setBackend(previous);
    tracing = undefined;
  }
  return { graph, outputs };
}

/**
 * What a tensor function returned.
 * @throws EngineError `traced_async`, `output_type`
 */
export function namedTensors(result: unknown, where: string): TensorMap {
  if (result instanceof Promise) {
    ignoreFailure(result);
    throw new EngineError(
      "traced_async",
      `${where}: a compiled function must return its tensors directly, got a Promise; remove async/await`,
    );
  }
  if (typeof result !== "object" || result === null || result instanceof tf.Tensor || Array.isArray(result)) {
    throw new EngineError(
      "output_type",
      `${where}: a compiled function must return an object of named tensors, got ${kindOf(result)}; return { name: tensor }`,
    );
  }
  for (const [name, tensor] of Object.entries(result)) {
    if (!(tensor instanceof tf.Tensor))
      throw new EngineError("output_type", `${where}: output "${name}" must be a tensor, got ${kindOf(tensor)}`);
  }
  return result as TensorMap;
}

/** What an async function does after its first await is not part of the computation; nobody awaits it. */
function ignoreFailure(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}

function kindOf(value: unknown): string {
  if (value instanceof tf.Tensor) return "a tensor";
  return Array.isArray(value) ? "an array" : value === null ? "null" : typeof value;
}

/** The backend to return to; TensorFlow.js picks its best one if none is active yet. */
function activeBackend(): string {
  const engine = tf.engine();
  if (!engine.backendName) {
    try {
      void engine.backend;
    } catch {
      // The best one starts asynchronously: it is not in use yet, and `cpu` always starts.
      void tf.setBackend("cpu");
    }
  }
  return engine.backendName;
}

/** Names the function in errors that did not know it. TensorFlow.js reports a missing kernel or gradient as a plain Error. */
function explained(error: unknown, where: string): unknown {
  if (error instanceof EngineError)
    return error.message.startsWith("compile: ")
      ? new EngineError(error.code, error.message.replace("compile", where), { cause: error })
      : error;
  if (!(error instanceof Error)) return error;
  const kernel = /Kernel '(\w+)' not registered for backend/.exec(error.message)?.[1];
  if (kernel !== undefined) {
    const message = `${where}: ${kernel} cannot be traced; build it from other tf operations, use engine "eager", or compute it outside and pass it as an input`;
    return new EngineError("untraceable_op", message, { cause: error });
  }
  const gradient = /gradient function not found for (\w+)/.exec(error.message)?.[1];
  if (gradient !== undefined) {
    const message = `${where}: ${gradient} has no gradient in TensorFlow.js; build it from other tf operations, or give it one with tf.customGrad`;
    return new EngineError("no_gradient", message, { cause: error });
  }
  return error;
}

/** Hands graph values to TensorFlow.js as symbolic tensors. */
export function tfTensors(active: TracingBackend, values: readonly Value[]): tf.Tensor[] {
  return values.map((value) => tf.engine().makeTensorFromTensorInfo(active.tensorInfo(value)));
}
