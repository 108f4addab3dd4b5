/**
 * What runs tensor functions. An engine is a store of named tensors plus programs that work on them.
 *
 * Two implementations: `CompiledEngine` traces a function to ONNX and runs it in a worker thread; `EagerEngine` calls the
 * same function on a TensorFlow.js backend in the calling thread. They promise the same results up to rounding.
 *
 * - The store owns its tensors until `remove` or `dispose`. `put` takes the array over (compiled: it moves to the worker
 *   and the caller's array becomes unusable); `fetch` returns a copy.
 * - A program runs for every combination of sizes it meets; the first run with new sizes may be slow (trace and session,
 *   about a second for a 0.5B model), later ones are not.
 * - Calls are carried out in the order in which they were made. `abort` rejects those not yet begun with code `aborted`;
 *   the one under way completes. What an aborted call would have stored is not there; later calls work as ever.
 */
import type { HostTensor, HostTensors } from "./hostTensor.js";
import type { TensorFunction } from "./trace.js";
import type { FileTensor } from "./fileTensors.js";
import type { TensorFormat } from "./quantise/tensorFormat.js";
import type { TensorToLoad } from "./tensorReaders.js";

/** A number; a name that is bound by the inputs of each run; or a sum of names and numbers, "P+A+1", of which each name must be bound elsewhere. */
export type Dimension = number | string;

export interface InputSpec {
  readonly shape: readonly Dimension[];
  /** Default float32. `uint8` and `float16` are for compact storage: only operations of `fused/` take such tensors. */
  readonly dtype?: "float32" | "int32" | "bool" | "uint8" | "int8" | "float16";
  /**
   * `input` (default): given to each run. `state`: read from the store; an output of the same name replaces it.
   * `constant`: baked into the program.
   */
  readonly role?: "input" | "state" | "constant";
  /**
   * A state that never changes: ONNX Runtime gets it when the session is opened and may lay it out anew, as it must for the fast products of
   * `fused/blockMatMul.ts`. What is stored later under its name is not seen.
   */
  readonly fixed?: boolean;
  /** The store name of a state input; the input's own name by default. */
  readonly store?: string;
  /** The value of a constant input. */
  readonly value?: HostTensor;
}

export type Signature = Readonly<Record<string, InputSpec>>;

/** Where a part of a stored tensor is overwritten: `into[..., offset + i, ...]` along `axis`. */
export interface SliceTarget {
  readonly into: string;
  readonly axis: number;
  readonly offset: number;
}

export interface RunOptions {
  /** Values of named dimensions that no input fixes. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Outputs that stay in the store under the given name instead of being returned. */
  readonly keep?: Readonly<Record<string, string>>;
  /** Outputs that are written into part of a stored tensor instead of being returned. */
  readonly write?: Readonly<Record<string, SliceTarget>>;
  /**
   * Outputs that are computed right into rows (`axis` 0) of a stored tensor, in a program compiled with `inPlace`. With `write` the program
   * sees its inputs as they were: what shares memory with one is computed elsewhere first. Here the tensor may be an input of the same run,
   * and an operator that comes after the one that makes the rows reads them there: see `fused/cachedAttention.ts`, which sees to the order.
   */
  readonly place?: Readonly<Record<string, SliceTarget>>;
  /** State inputs of which the program sees only so many first rows. */
  readonly rows?: Readonly<Record<string, number>>;
  /** Store names for state inputs, over those of the signature: one program serves several models. */
  readonly bind?: Readonly<Record<string, string>>;
  /**
   * Runs the program once for each of so many equal pieces of its states. A stored tensor is cut in row-major order, and the signature's
   * shape is that of a piece, [size / pieces]. New states take the place of the old ones piece by piece; other outputs are joined along
   * their first axis. The compiled engine must be able to compute the states in place.
   */
  readonly pieces?: number;
}

export interface CompileOptions {
  /** For errors; default the function's name. */
  readonly name?: string;
  /**
   * Computes outputs straight into stored tensors where the graph allows it (inPlace.ts), and what is written along a first axis too.
   * It saves memory and copies, and the price is that a run that fails leaves the states it was writing in between. Default false.
   */
  readonly inPlace?: boolean;
  /**
   * `each` (default): the function is traced for every combination of sizes it meets, and may do something else at each. `any`: for a
   * function that does the same at all of them; one graph then serves all sizes of at least 1. Where a number is seen to depend on a size in
   * another way than a shape does, as `1 / T`, it is traced for each after all; an `if` on a size cannot be seen.
   */
  readonly sizes?: "each" | "any";
  /**
   * With `sizes: "any"`: a JSON value that names the function, so that later processes need not trace it (programCache.ts). Functions with equal
   * keys and signatures must be equal: everything that the function takes from around it belongs into the key. Default none: traced anew.
   */
  readonly key?: unknown;
}

export interface Program {
  readonly name: string;
  /** Inputs by name. Returns the outputs that are neither state, kept nor written. */
  run(inputs: Readonly<Record<string, HostTensor>>, options?: RunOptions): Promise<HostTensors>;
  /** Prepares the sizes in advance, without running. */
  prepare(sizes: Readonly<Record<string, number>>): Promise<void>;
  /**
   * The most bytes of intermediate results that a run at these sizes has at once, to a few per cent; inputs, stored tensors and outputs aside.
   * Traces the function. undefined for the eager engine, which leaves that to its backend.
   */
  liveBytes(sizes: Readonly<Record<string, number>>): number | undefined;
  /** Frees its sessions. The stored tensors stay. */
  dispose(): Promise<void>;
}

export interface Engine {
  readonly kind: "compiled" | "eager";
  /** For people: where the arithmetic happens, e.g. `onnxruntime cpu, 2 threads`. */
  readonly description: string;
  put(name: string, tensor: HostTensor): Promise<void>;
  /** Reads a tensor of a file straight into the store, as float32 or as the parts of a format; the numbers are never there twice. */
  load(name: string, file: FileTensor, format?: TensorFormat): Promise<void>;
  /** Loads several tensors as one call, all or none of them; the compiled engine reads them on several threads. What stands under these
   *  names is there until all are read. */
  loadAll(tensors: readonly TensorToLoad[]): Promise<void>;
  /** Stores a float32 tensor of the store once more, as the parts of a format (see quantise/tensorFormat.ts). */
  encode(from: string, to: string, format: TensorFormat): Promise<void>;
  fetch(name: string): Promise<HostTensor>;
  copy(from: string, to: string): Promise<void>;
  /** Makes `name` stand for rows `start` to `start + rows` of another tensor, as they are whenever it is read. Not copied by the compiled engine. */
  view(name: string, from: string, start: number, rows: number): Promise<void>;
  /** Sets every element of stored tensors to zero, where they are. */
  clear(...names: string[]): Promise<void>;
  remove(...names: string[]): Promise<void>;
  has(name: string): boolean;
  /** @throws EngineError `unknown_tensor` */
  shapeOf(name: string): readonly number[];
  /** The names in the store that start with `prefix`, in the order in which they were put. */
  names(prefix?: string): string[];
  /** A number that is greater after any of the named tensors was given another value, or was changed in any way where it is. */
  version(names: Iterable<string>): number;
  /** Bytes that the stored tensors take; views take none. The eager engine keeps bytes as int32 and halves as float32. */
  bytes(): number;
  compile(fn: TensorFunction, signature: Signature, options?: CompileOptions): Program;
  /** Rejects all calls that have not begun, with EngineError `aborted`. */
  abort(): void;
  /** Waits for the call under way, rejects those behind it with EngineError `disposed`, and frees everything. */
  dispose(): Promise<void>;
}
