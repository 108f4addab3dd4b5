/** Tensors outside TensorFlow.js: what crosses between the calling thread, the compute worker and files. */
import { EngineError } from "../errors.js";
import { sizeOf } from "./graph.js";

export type HostDType = "float32" | "int32" | "bool" | "uint8" | "int8" | "float16";
/** Halves are bits: not every supported Node has a Float16Array. */
export type HostData = Float32Array | Int32Array | Uint8Array | Int8Array | Uint16Array;

export interface HostTensor {
  readonly data: HostData;
  readonly dtype: HostDType;
  readonly shape: readonly number[];
}

export type HostTensors = Record<string, HostTensor>;

/** @throws EngineError `host_size` if the data does not fill the shape */
export function hostTensor(data: HostData | readonly number[], shape: readonly number[], dtype?: HostDType): HostTensor {
  const type = dtype ?? dtypeOf(data);
  const array = Array.isArray(data) ? emptyArray(type, data.length, data) : (data as HostData);
  if (array.length !== sizeOf(shape)) {
    throw new EngineError("host_size", `tensor: shape [${shape.join(",")}] needs ${sizeOf(shape)} elements, got ${array.length}`);
  }
  return { data: array, dtype: type, shape };
}

function dtypeOf(data: HostData | readonly number[]): HostDType {
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Uint8Array) return "uint8";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint16Array) return "float16";
  return "float32";
}

/** Bytes of one element in the store. */
export const DTYPE_BYTES: Readonly<Record<HostDType, number>> = { float32: 4, int32: 4, bool: 1, uint8: 1, int8: 1, float16: 2 };

export function emptyArray(dtype: HostDType, length: number, values?: ArrayLike<number>): HostData {
  const make = { float32: Float32Array, int32: Int32Array, bool: Uint8Array, uint8: Uint8Array, int8: Int8Array, float16: Uint16Array }[
    dtype
  ];
  return values === undefined ? new make(length) : make.from(values);
}
