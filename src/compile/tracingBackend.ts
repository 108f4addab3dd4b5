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
import { currentReader } from "./traceGuards.js";

export const TRACING_BACKEND = "preflab-trace";

type Tensor = tf.Tensor;
export type TensorMap = Record<string, Tensor>;
type BackendValues = Float32Array | Int32Array | Uint8Array | Uint8Array[];

export class TracingBackend extends tf.KernelBackend {
  graph = new Graph();
  /** What an asynchronous read came upon; the trace fails with it when the function returns. */
  failure: EngineError | undefined;
  #values = new Map<object, Value>();
  /** Concrete tensors of other backends; tensors of several shapes and types may share one data id. */
  #baked = new Map<object, Map<string, Value>>();

  /** Starts a new graph; symbolic tensors of an earlier trace become unusable. */
  begin(): Graph {
    this.end();
    return this.graph;
  }

  /** Lets go of the graph and its constants. */
  end(): void {
    this.graph = new Graph();
    this.failure = undefined;
    this.#values = new Map();
    this.#baked = new Map();
  }

  /** The graph value that a tensor stands for. A concrete tensor of another backend is baked in; it stays as it is. */
  symbol(tensor: tf.TensorInfo): Value {
    return this.#values.get(tensor.dataId) ?? this.#bake(tensor);
  }

  #bake({ dataId, shape, dtype }: tf.TensorInfo): Value {
    const source = tf.engine().state.tensorInfo.get(dataId)?.backend;
    if (source === undefined || source === this) {
      throw new EngineError(
        "stale_tensor",
        "compile: a tensor that was disposed, or that belongs to an earlier trace, was used; pass it as an input instead of keeping it",
      );
    }
    let ofData = this.#baked.get(dataId);
    if (ofData === undefined) this.#baked.set(dataId, (ofData = new Map<string, Value>()));
    const key = `${dtype}[${shape.join(",")}]`;
    let value = ofData.get(key);
    if (value === undefined) ofData.set(key, (value = this.#constant(readAtOnce(source, dataId, key), shape, dtype)));
    return value;
  }

  /** A fresh handle for a value. */
  tensorInfo(value: Value): tf.TensorInfo {
    const dataId = {};
    this.#values.set(dataId, value);
    return { dataId, shape: [...value.shape], dtype: tfType(value.dtype) };
  }

  override write(values: BackendValues, shape: number[], dtype: tf.DataType): object {
    const info = this.tensorInfo(this.#constant(values, shape, dtype));
    return info.dataId;
  }

  #constant(values: BackendValues, shape: readonly number[], dtype: tf.DataType): Value {
    const type = graphType(dtype);
    // TensorFlow.js may hand over a plain number[] for small tensors, whatever its own types say.
    const array =
      values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array
        ? values
        : (values as unknown as number[]);
    return this.graph.constant(typedArray(array, type), type, shape);
  }

  override readSync(dataId: object): BackendValues {
    const value = this.#values.get(dataId);
    if (value !== undefined && isConstant(value))
      return (value.data ?? filled(value.uniform!, value.dtype, sizeOf(value.shape))) as BackendValues;
    const origin =
      value === undefined
        ? "a tensor of an earlier trace"
        : value.producer === undefined
          ? `input "${value.name}"`
          : `the result of ${value.producer.opType}`;
    throw new EngineError(
      "traced_read",
      `compile: ${currentReader()} cannot read ${origin}, it has no value while tracing; ` +
        "keep the computation in tensor operations (tf.where instead of if), or return it as an output and read that after run()",
    );
  }

  /** Never settles if there is nothing to read: a rejection that nobody awaits would end the process, so the trace itself fails. */
  override read(dataId: object): Promise<BackendValues> {
    try {
      return Promise.resolve(this.readSync(dataId));
    } catch (error) {
      this.failure ??= error as EngineError;
      return new Promise(() => undefined);
    }
  }

  override incRef(): void {}
  override refCount(): number {
    return 1;
  }
  /** The value stays until the trace ends: it costs nothing, and custom gradients may read what TensorFlow.js has let go. */
  override disposeData(): boolean {
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
    this.end();
  }
}

function readAtOnce(source: tf.KernelBackend, dataId: object, what: string): BackendValues {
  try {
    return source.readSync(dataId);
  } catch (error) {
    const message = `compile: a tensor ${what} from outside the function cannot be read at once on its backend (${(error as Error).message}); pass it as an input`;
    throw new EngineError("baked_read", message, { cause: error });
  }
}

/** TensorFlow.js has neither bytes nor halves: it sees them as bools, which hardly an operation takes. The graph keeps their real type. */
export function tfType(dtype: DType): "float32" | "int32" | "bool" {
  if (dtype === "uint8" || dtype === "int8" || dtype === "float16") return "bool";
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new EngineError("tensor_type", `compile: ${dtype} has no TensorFlow.js type; cast it to int32 or float32 inside the kernel`);
}

export function graphType(dtype: tf.DataType): "float32" | "int32" | "bool" {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new EngineError("tensor_type", `compile: tensors are float32, int32 or bool, got ${dtype}`);
}

function typedArray(values: ArrayLike<number>, dtype: "float32" | "int32" | "bool"): TypedArray {
  // Copies: the caller may reuse its array after the trace. The constructors copy memory; `from` would go through an iterator.
  if (dtype === "float32") return new Float32Array(values);
  if (dtype === "int32") return new Int32Array(values);
  return new Uint8Array(values);
}
