/** The compiled engine: traces on the calling thread, computes in a worker thread. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import { extentAt } from "./anySize.js";
import { type BuiltProgram, buildForAnySize, buildForSizes } from "./buildProgram.js";
import type { CompileOptions, Engine, Program, RunOptions, Signature } from "./engine.js";
import type { FileTensor } from "./fileTensors.js";
import { sizeOf } from "./graph.js";
import type { HostData, HostTensor, HostTensors } from "./hostTensor.js";
import { CONTROL, type Envelope, type Reply, type Request, type SessionOptions, type StoredShape } from "./protocol.js";
import { type TensorFormat, storedParts } from "./quantise/tensorFormat.js";
import { type Sizes, bindSizes, requireOutputs, requireSizes, sizesKey, storeName } from "./signature.js";
import { StoredShapes } from "./storedShapes.js";
import type { TensorToLoad } from "./tensorReaders.js";
import type { TensorFunction } from "./trace.js";

export interface CompiledEngineOptions {
  /** ONNX Runtime execution provider; default `cpu`. */
  readonly device?: SessionOptions["device"];
  /** Threads of one operator, 1 to the number of cores; default 0 = all cores. */
  readonly threads?: number;
}

interface Pending {
  readonly resolve: (tensors: HostTensors) => void;
  readonly reject: (error: Error) => void;
}

/** What to do before the process ends, for every engine with a worker. */
const atExit = new Set<() => void>();
process.on("exit", () => atExit.forEach((wait) => wait()));

/** What a call will change in the store. */
type Changes = Iterable<StoredShape | { name: string; removed: true }>;

export class CompiledEngine implements Engine {
  readonly kind = "compiled";
  readonly description: string;
  readonly #options: SessionOptions;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * Object.keys(CONTROL).length));
  readonly #pending = new Map<number, Pending>();
  readonly #stored = new StoredShapes();
  #worker: Worker | undefined;
  #nextId = 0;
  #nextSession = 0;
  /** Why no call can be made any more: the engine was disposed, or its worker ended and took the store with it. */
  #ended: EngineError | undefined;
  #disposed: Promise<void> | undefined;
  readonly #awaitAtExit = (): void => this.#awaitIdle();

  constructor({ device = "cpu", threads = 0 }: CompiledEngineOptions = {}) {
    this.#options = { device, threads };
    this.description = `onnxruntime ${device}, ${threads === 0 ? "all" : threads} threads`;
  }

  async put(name: string, tensor: HostTensor): Promise<void> {
    const { dtype, shape } = tensor;
    const data = ownArray(`put "${name}"`, tensor);
    await this.#call({ kind: "put", name, tensor: { data, dtype, shape } }, [{ name, dtype, shape }], [data.buffer as ArrayBuffer]);
  }

  async load(name: string, file: FileTensor, format?: TensorFormat): Promise<void> {
    await this.loadAll([{ name, file, format }]);
  }

  async loadAll(tensors: readonly TensorToLoad[]): Promise<void> {
    const changes = tensors.flatMap(({ name, file, format }) => storedParts(name, file.shape, format));
    await this.#call({ kind: "load", tensors }, changes);
  }

  async encode(from: string, to: string, format: TensorFormat): Promise<void> {
    await this.#call({ kind: "encode", from, to, format }, storedParts(to, this.shapeOf(from), format));
  }

  async fetch(name: string): Promise<HostTensor> {
    return (await this.#call({ kind: "fetch", name }))[name]!;
  }

  async copy(from: string, to: string): Promise<void> {
    await this.#call({ kind: "copy", from, to }, [{ ...this.#stored.get(from), name: to, viewOf: undefined }]);
  }

  async view(name: string, from: string, start: number, rows: number): Promise<void> {
    const { dtype, shape } = this.#stored.get(from);
    await this.#call({ kind: "view", name, from, start, rows }, [{ name, dtype, shape: [rows, ...shape.slice(1)], viewOf: from }]);
  }

  async clear(...names: string[]): Promise<void> {
    this.#stored.touch(names);
    await this.#call({ kind: "clear", names });
  }

  async remove(...names: string[]): Promise<void> {
    const changes = names.map((name) => ({ name, removed: true as const }));
    await this.#call({ kind: "remove", names }, changes);
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  shapeOf(name: string): readonly number[] {
    return this.#stored.get(name).shape;
  }

  names(prefix = ""): string[] {
    return this.#stored.names().filter((name) => name.startsWith(prefix));
  }

  bytes(): number {
    return this.#stored.bytes();
  }

  version(names: Iterable<string>): number {
    return this.#stored.version(names);
  }

  compile(
    fn: TensorFunction,
    signature: Signature,
    { name = fn.name || "compiled", sizes, inPlace = false }: CompileOptions = {},
  ): Program {
    const host: Host = {
      shapeOf: (stored) => this.shapeOf(stored),
      open: (model, fixed) => {
        const session = `s${this.#nextSession++}`;
        return { session, opened: this.#call({ kind: "open", session, model, fixed, options: this.#options }, [], [model.buffer]) };
      },
      close: async (session) => {
        // The sessions of an engine that ended are gone already.
        if (this.#ended === undefined) await this.#call({ kind: "close", session });
      },
      run: (request, changes) => {
        const { keep, write, place } = request;
        // Not all that is kept is given a new tensor.
        this.#stored.touch([...Object.values(keep), ...[...Object.values(write), ...Object.values(place)].map(({ into }) => into)]);
        return this.#call(request, changes);
      },
    };
    return new CompiledProgram(name, fn, signature, inPlace, host, sizes);
  }

  abort(): void {
    Atomics.add(this.#control, CONTROL.abortEpoch, 1);
  }

  dispose(): Promise<void> {
    return (this.#disposed ??= this.#shutDown());
  }

  async #shutDown(): Promise<void> {
    const worker = this.#worker;
    const disposed = new EngineError("disposed", "engine: it was disposed");
    this.#ended ??= disposed;
    if (worker !== undefined) {
      Atomics.store(this.#control, CONTROL.closing, 1);
      // Fails if the worker has ended by itself, which is as good.
      await this.#post(worker, { kind: "end" }).catch(() => undefined);
    }
    this.#end(disposed);
    await worker?.terminate();
  }

  /**
   * Holds the process up until the call under way is done, and lets no other begin. A thread that ends inside ONNX Runtime takes the
   * process down with it.
   */
  #awaitIdle(): void {
    Atomics.store(this.#control, CONTROL.closing, 1);
    Atomics.wait(this.#control, CONTROL.busy, 1);
  }

  #call(request: Request, changes: Changes = [], transfer: ArrayBuffer[] = []): Promise<HostTensors> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return this.#post((this.#worker ??= this.#start()), request, changes, transfer);
  }

  #post(worker: Worker, request: Request, changes: Changes = [], transfer: ArrayBuffer[] = []): Promise<HostTensors> {
    const envelope: Envelope = { id: this.#nextId++, epoch: Atomics.load(this.#control, CONTROL.abortEpoch), request };
    return new Promise((resolve, reject) => {
      worker.postMessage(envelope, transfer);
      this.#pending.set(envelope.id, { resolve, reject });
      this.#stored.promise(envelope.id, changes);
      worker.ref();
    });
  }

  #start(): Worker {
    // From source (vitest) the worker is taken from the build, since a worker thread loads JavaScript only.
    const file = import.meta.url.endsWith(".ts") ? "../../dist/src/compile/worker.js" : "./worker.js";
    const worker = new Worker(new URL(file, import.meta.url), { workerData: { control: this.#control } });
    atExit.add(this.#awaitAtExit);
    const instead = "its tensors are lost, make a new engine";
    worker.on("message", (reply: Reply) => this.#settle(reply));
    worker.on("error", (error) =>
      this.#end(new EngineError("worker_exit", `engine: the compute worker failed: ${error.message}; ${instead}`, { cause: error })),
    );
    worker.on("exit", (code) =>
      this.#end(new EngineError("worker_exit", `engine: the compute worker ended with code ${code}; ${instead}`)),
    );
    worker.unref();
    return worker;
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) this.#worker?.unref();
    if ("error" in reply) {
      this.#stored.takeBack(reply.id);
      pending?.reject(new EngineError(reply.error.code, reply.error.message));
    } else {
      this.#stored.keep(reply.id);
      pending?.resolve(reply.tensors);
    }
  }

  #end(reason: EngineError): void {
    atExit.delete(this.#awaitAtExit);
    this.#ended ??= reason;
    this.#worker = undefined;
    this.#stored.clear();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    waiting.forEach(({ reject }) => reject(this.#ended!));
  }
}

/**
 * The elements in a buffer of their own. A view is copied, so that sending it neither takes away nor copies what else lies
 * in its buffer; ONNX Runtime refuses shared memory.
 * @throws EngineError `host_size` if the array was sent before, or does not fill the shape
 */
function ownArray(where: string, { data, shape }: HostTensor): HostData {
  if (data.length !== sizeOf(shape)) {
    const rule = `shape [${shape.join(",")}] needs ${sizeOf(shape)} elements, got ${data.length}`;
    throw new EngineError("host_size", `${where}: ${rule}; an array that was put before belongs to the engine, fetch it instead`);
  }
  return data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer ? data : data.slice();
}

/** What a program needs of its engine. */
interface Host {
  readonly shapeOf: (name: string) => readonly number[];
  open(model: Uint8Array<ArrayBuffer>, fixed: BuiltProgram["fixed"]): { session: string; opened: Promise<unknown> };
  close(session: string): Promise<void>;
  run(request: Request & { kind: "run" }, changes: Changes): Promise<HostTensors>;
}

interface Specialised {
  readonly session: string;
  readonly opened: Promise<unknown>;
  readonly inputs: ReadonlySet<string>;
  readonly outputs: BuiltProgram["outputs"];
  /** Outputs that may take the memory of the state of their name. */
  readonly replacing: ReadonlySet<string>;
}

/** Key of the session for all sizes. */
const ANY_SIZE = "any";

class CompiledProgram implements Program {
  readonly #specialised = new Map<string, Specialised>();
  /** Whether one graph is to serve all sizes; not any more once it turned out that it cannot. */
  #anySize: boolean;

  constructor(
    readonly name: string,
    private readonly fn: TensorFunction,
    private readonly signature: Signature,
    private readonly inPlace: boolean,
    private readonly host: Host,
    sizes: CompileOptions["sizes"],
  ) {
    this.#anySize = sizes === "any";
  }

  async run(inputs: Readonly<HostTensors>, options: RunOptions = {}): Promise<HostTensors> {
    const sizes = bindSizes(this.name, this.signature, inputs, options, this.host.shapeOf);
    const { session, opened, inputs: used, outputs, replacing } = this.#specialise(sizes);
    requireOutputs(this.name, outputs, options);
    const states: Record<string, string> = {};
    const keep: Record<string, string> = { ...options.keep };
    for (const [name, spec] of Object.entries(this.signature)) {
      if (spec.role !== "state") continue;
      if (used.has(name)) states[name] = storeName(name, spec, options);
      if (outputs.has(name) && (options.write?.[name] ?? options.place?.[name]) === undefined)
        keep[name] ??= storeName(name, spec, options);
    }
    const direct = this.#direct(replacing, states, keep, options);
    const shapes = Object.fromEntries(
      [...outputs].map(([output, { dtype, shape }]) => [output, { dtype, shape: shape.map((extent) => extentAt(extent, sizes)) }]),
    );
    // What is computed piece by piece keeps its shape.
    const changes = options.pieces === undefined ? Object.entries(keep).map(([output, name]) => ({ name, ...shapes[output]! })) : [];
    const given: HostTensors = {};
    for (const [name, tensor] of Object.entries(inputs)) {
      if (used.has(name)) given[name] = { ...tensor, data: ownArray(`${this.name}: input "${name}"`, tensor) };
    }
    const { rows, place, write, pieces } = options;
    const request = {
      kind: "run",
      session,
      inputs: given,
      states,
      rows: { ...rows },
      place: { ...place },
      keep,
      write: { ...write },
      outputs: this.inPlace ? shapes : undefined,
      direct,
      pieces,
    } as const;
    try {
      const [, tensors] = await Promise.all([opened, this.host.run(request, changes)]);
      return tensors;
    } catch (error) {
      throw named(error, this.name);
    }
  }

  /** Outputs to keep or write that are computed straight into the store. @throws EngineError `pieces_output`, `place_output` */
  #direct(replacing: ReadonlySet<string>, states: Record<string, string>, keep: Record<string, string>, options: RunOptions): string[] {
    const [placed] = Object.keys(options.place ?? {});
    if (placed !== undefined && (!this.inPlace || options.pieces !== undefined)) {
      const rule = `output "${placed}" must be computed in place, and as a whole, to be placed`;
      throw new EngineError("place_output", `${this.name}: ${rule}; compile with inPlace, and run without pieces`);
    }
    if (!this.inPlace && options.pieces === undefined) return [];
    const kept = Object.keys(keep).filter((name) => replacing.has(name) && keep[name] === storeName(name, this.signature[name]!, options));
    const copied = Object.keys(keep).find((name) => !kept.includes(name));
    if (options.pieces !== undefined && copied !== undefined) {
      const rule = `output "${copied}" must be computed in place to be stored by pieces`;
      throw new EngineError("pieces_output", `${this.name}: ${rule}; keep it under its state's name, and compile with inPlace`);
    }
    const written = Object.entries(options.write ?? {}).filter(
      ([name, { axis }]) => axis === 0 && (!(name in states) || replacing.has(name)),
    );
    return [...kept, ...written.map(([name]) => name)];
  }

  async prepare(sizes: Sizes): Promise<void> {
    requireSizes(this.name, this.signature, sizes);
    try {
      await this.#specialise(sizes).opened;
    } catch (error) {
      throw named(error, this.name);
    }
  }

  async dispose(): Promise<void> {
    const opened = [...this.#specialised.values()];
    this.#specialised.clear();
    for (const { session } of opened) await this.host.close(session);
  }

  #specialise(sizes: Sizes): Specialised {
    const general = this.#general(sizes);
    const key = general ? ANY_SIZE : sizesKey(sizes);
    const known = this.#specialised.get(key);
    if (known !== undefined) return known;
    const made = general ? buildForAnySize(this.name, this.fn, this.signature, this.inPlace) : undefined;
    if (general && made === undefined) {
      this.#anySize = false;
      return this.#specialise(sizes);
    }
    const built = this.#open(made ?? buildForSizes(this.name, this.fn, this.signature, sizes, this.inPlace));
    this.#specialised.set(key, built);
    // Every run waits for the session as well and reports a failure; the next run tries again.
    built.opened.catch(() => this.#specialised.get(key) === built && this.#specialised.delete(key));
    return built;
  }

  /** An operator may not take empty tensors, which a trace at their size leaves out. */
  #general(sizes: Sizes): boolean {
    return this.#anySize && Object.values(sizes).every((size) => size > 0);
  }

  #open({ model, fixed, ...program }: BuiltProgram): Specialised {
    return { ...this.host.open(model, fixed), ...program };
  }
}

/** Errors of the worker do not know the program. */
function named(error: unknown, where: string): unknown {
  if (!(error instanceof EngineError) || error.message.startsWith(`${where}: `)) return error;
  return new EngineError(error.code, `${where}: ${error.message}`, { cause: error });
}
