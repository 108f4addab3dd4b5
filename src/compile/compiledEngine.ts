/** The compiled engine: traces on the calling thread, computes in a worker thread. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import type { CompileOptions, Engine, Program, Signature } from "./engine.js";
import { type Changes, CompiledProgram, type Host, ownArray } from "./compiledProgram.js";
import type { FileTensor } from "./fileTensors.js";
import type { HostTensor, HostTensors } from "./hostTensor.js";
import { CONTROL, type Envelope, type Reply, type Request, type SessionOptions } from "./protocol.js";
import { type TensorFormat, storedParts } from "./quantise/tensorFormat.js";
import { StoredShapes } from "./storedShapes.js";
import type { TensorToLoad } from "./tensorReaders.js";
import { defaultThreads } from "./threads.js";
import type { TensorFunction } from "./trace.js";

export interface CompiledEngineOptions {
  /** ONNX Runtime execution provider; default `cpu`. */
  readonly device?: SessionOptions["device"];
  /** Threads of one operator, 1 to the number of cores; 0 = all cores. Default OMP_NUM_THREADS, or 0 where that is not set. */
  readonly threads?: number;
}

interface Pending {
  readonly resolve: (tensors: HostTensors) => void;
  readonly reject: (error: Error) => void;
}

/** What to do before the process ends, for every engine with a worker. */
const atExit = new Set<() => void>();
process.on("exit", () => atExit.forEach((wait) => wait()));

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

  /** @throws EngineError `threads_variable`: OMP_NUM_THREADS is not a number of threads */
  constructor({ device = "cpu", threads = defaultThreads() }: CompiledEngineOptions = {}) {
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

  compile(fn: TensorFunction, signature: Signature, { name = fn.name || "compiled", ...options }: CompileOptions = {}): Program {
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
    return new CompiledProgram(name, fn, signature, options, host);
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
