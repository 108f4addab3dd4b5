/** Messages between the calling thread and the compute worker. */
import type { SliceTarget } from "./engine.js";
import type { FileTensor } from "./fileTensors.js";
import type { HostDType, HostTensor, HostTensors } from "./hostTensor.js";
import type { TensorFormat } from "./quantise/tensorFormat.js";

/** Stands before the names of a model's outputs: a state has an input and an output of one name, and ONNX wants two. */
export const OUTPUT_PREFIX = "%out/";

/** Numbers that both threads see at once, by index in one shared Int32Array. */
export const CONTROL = {
  /** Counts calls of `abort`; calls that were made before the last one are not begun. */
  abortEpoch: 0,
  /** 1 while the worker carries out a call. Ending the thread in the middle of one would end the whole process. */
  busy: 1,
  /** 1 once nothing is to be begun any more. */
  closing: 2,
} as const;

export interface SessionOptions {
  readonly device: "cpu" | "webgpu" | "cuda";
  /** Threads of one operator; 0 = all cores. */
  readonly threads: number;
}

export type Request =
  | { kind: "put"; name: string; tensor: HostTensor }
  | { kind: "load"; name: string; file: FileTensor; format?: TensorFormat }
  | { kind: "encode"; from: string; to: string; format: TensorFormat }
  | { kind: "fetch"; name: string }
  | { kind: "copy"; from: string; to: string }
  | { kind: "view"; name: string; from: string; start: number; rows: number }
  | { kind: "remove"; names: string[] }
  /** @param fixed store names of the tensors that the model's external initializers take their numbers from */
  | { kind: "open"; session: string; model: Uint8Array; fixed: Record<string, string>; options: SessionOptions }
  | { kind: "close"; session: string }
  /** Frees everything; the thread may be ended after the reply. */
  | { kind: "end" }
  | {
      kind: "run";
      session: string;
      inputs: HostTensors;
      /** Model input → store name. */
      states: Record<string, string>;
      /** Model input → how many first rows of its stored tensor it is. */
      rows: Record<string, number>;
      /** Model output → the memory it is computed into: from this element of a stored tensor on. */
      place: Record<string, PlaceTarget>;
      /** Model output → where it goes; outputs not listed are returned. */
      keep: Record<string, string>;
      write: Record<string, SliceTarget>;
    };

export interface PlaceTarget {
  readonly into: string;
  readonly start: number;
  readonly shape: readonly number[];
}

export interface Envelope {
  readonly id: number;
  readonly epoch: number;
  readonly request: Request;
}

/** What a stored tensor looks like. */
export interface StoredShape {
  readonly name: string;
  readonly dtype: HostDType;
  readonly shape: readonly number[];
  /** It is part of another tensor and takes no memory. */
  readonly isView?: true;
}

export type Reply = { id: number; tensors: HostTensors } | { id: number; error: { code: string; message: string } };
