/**
 * A TensorFlow.js backend that computes nothing. Each kernel appends ONNX nodes to the graph of the current trace and
 * returns a symbolic tensor, so running a function under it, gradients included, writes the function down.
 *
 * Two rules keep traces right:
 * - A kernel returns a *new* TensorInfo, even when it is the same value (Identity, no-op Cast or Reshape). Handing the
 *   input back puts a self-loop on TensorFlow.js's gradient tape and silently doubles gradients.
 * - Reading a traced value is an error: it has none yet. Constants can be read.
 */
import { EngineError } from "../errors.js";
import { type DType, Graph, type TypedArray, type Value, isConstant, sizeOf } from "./graph.js";
import { filled } from "./onnxModel.js";
import { tf } from "./tensorflow.js";

export const TRACING_BACKEND = "preflab-trace";

type Tensor = tf.Tensor;
export type TensorMap = Record<string, Tensor>;
type BackendValues = Float32Array | Int32Array | Uint8Array | Uint8Array[];

export class TracingBackend extends tf.KernelBackend {
  graph = new Graph();
  #values = new Map<object, Value>();
  #references = new Map<object, number>();

  /** Starts a new graph; symbolic tensors of an earlier trace become unusable. */
  begin(): Graph {
    this.graph = new Graph();
    this.#values = new Map();
    this.#references = new Map();
    return this.graph;
  }

  symbol(dataId: object): Value {
    const value = this.#values.get(dataId);
    if (value === undefined) {
      throw new EngineError("stale_tensor", "compile: a tensor of an earlier trace was used; pass it as an input instead of keeping it");
    }
    return value;
  }

  /** A fresh handle for a value. */
  tensorInfo(value: Value): tf.TensorInfo {
    const dataId = {};
    this.#values.set(dataId, value);
    this.#references.set(dataId, 1);
    return { dataId, shape: [...value.shape], dtype: tfType(value.dtype) };
  }

  override write(values: BackendValues, shape: number[], dtype: tf.DataType): object {
    const info = this.tensorInfo(this.#constant(values, shape, dtype));
    return info.dataId;
  }

  /** Called when a concrete tensor of another backend is used inside the traced function: it is baked in. */
  override move(dataId: object, values: BackendValues, shape: number[], dtype: tf.DataType, refCount: number): void {
    this.#values.set(dataId, this.#constant(values, shape, dtype));
    this.#references.set(dataId, refCount);
  }

  #constant(values: BackendValues, shape: number[], dtype: tf.DataType): Value {
    const type = graphType(dtype);
    // TensorFlow.js may hand over a plain number[] for small tensors, whatever its own types say.
    const array = values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array ? values : (values as unknown as number[]);
    return this.graph.constant(typedArray(array as ArrayLike<number>, type), type, shape);
  }

  override readSync(dataId: object): BackendValues {
    const value = this.symbol(dataId);
    if (!isConstant(value)) {
      const origin = value.producer === undefined ? `input "${value.name}"` : `the result of ${value.producer.opType}`;
      throw new EngineError(
        "traced_read",
        `compile: dataSync/data/array cannot read ${origin} while tracing, it has no value yet; ` +
          "keep the computation in tensor operations (tf.where instead of if), or return it as an output and read that after run()",
      );
    }
    return (value.data ?? filled(value.uniform!, value.dtype, sizeOf(value.shape))) as BackendValues;
  }

  override read(dataId: object): Promise<BackendValues> {
    return new Promise((resolve) => resolve(this.readSync(dataId)));
  }

  override incRef(dataId: object): void {
    this.#references.set(dataId, this.refCount(dataId) + 1);
  }
  decRef(dataId: object): void {
    this.#references.set(dataId, Math.max(0, this.refCount(dataId) - 1));
  }
  override refCount(dataId: object): number {
    return this.#references.get(dataId) ?? 0;
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.#values.has(dataId)) return true;
    this.decRef(dataId);
    if (!force && this.refCount(dataId) > 0) return false;
    this.#values.delete(dataId);
    this.#references.delete(dataId);
    return true;
  }

  override numDataIds(): number {
    return this.#values.size;
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override floatPrecision(): 16 | 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override timerAvailable(): boolean {
    return false;
  }
  override dispose(): void {
    this.begin();
  }
}

export function tfType(dtype: DType): "float32" | "int32" | "bool" {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new EngineError("tensor_type", `compile: ${dtype} has no TensorFlow.js type; cast it to int32 or float32 inside the kernel`);
}

export function graphType(dtype: tf.DataType): "float32" | "int32" | "bool" {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new EngineError("tensor_type", `compile: tensors are float32, int32 or bool, got ${dtype}`);
}

function typedArray(values: ArrayLike<number>, dtype: "float32" | "int32" | "bool"): TypedArray {
  // Copies: the caller may reuse its array after the trace.
  if (dtype === "float32") return Float32Array.from(values);
  if (dtype === "int32") return Int32Array.from(values);
  return Uint8Array.from(values);
}
