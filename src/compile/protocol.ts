/** Messages between the calling thread and the compute worker. */
import type { SliceTarget } from "./engine.js";
import type { HostDType, HostTensor, HostTensors } from "./hostTensor.js";
import type { TensorFormat } from "./quantise/tensorFormat.js";
import type { TensorToLoad } from "./tensorReaders.js";

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
  | { kind: "load"; tensors: readonly TensorToLoad[] }
  | { kind: "encode"; from: string; to: string; format: TensorFormat }
  | { kind: "fetch"; name: string }
  | { kind: "copy"; from: string; to: string }
  | { kind: "view"; name: string; from: string; start: number; rows: number }
  | { kind: "clear"; names: string[] }
  | { kind: "remove"; names: string[] }
  /** @param fixed store names of the tensors that the model's external initializers take their numbers from */
  | { kind: "open"; session: string; model: Uint8Array; fixed: Readonly<Record<string, string>>; options: SessionOptions }
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
      /** As in `RunOptions`; only for a model with SEQUENCE_OUTPUT. */
      place: Record<string, SliceTarget>;
      /** Model output → where it goes; outputs not listed are returned. */
      keep: Record<string, string>;
      write: Record<string, SliceTarget>;
      /** Of a model with SEQUENCE_OUTPUT: what its other outputs look like. */
      outputs?: Record<string, OutputShape> | undefined;
      /** Those of them that are computed straight into where `keep` or `write` says. */
      direct: string[];
      /** As in `RunOptions`. */
      pieces?: number | undefined;
    };

export interface Envelope {
  readonly id: number;
  readonly epoch: number;
  readonly request: Request;
}

export interface OutputShape {
  readonly dtype: HostDType;
  readonly shape: readonly number[];
}

/** What a stored tensor looks like. */
export interface StoredShape {
  readonly name: string;
  readonly dtype: HostDType;
  readonly shape: readonly number[];
  /** The tensor it is part of; it takes no memory then. */
  readonly viewOf?: string | undefined;
}

export type Reply = { id: number; tensors: HostTensors } | { id: number; error: { code: string; message: string } };
