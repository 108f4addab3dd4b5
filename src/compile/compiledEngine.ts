/** The compiled engine: traces on the calling thread, computes in a worker thread. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import type { CompileOptions, Dimension, Engine, InputSpec, Program, RunOptions, Signature } from "./engine.js";
import type { FileTensor } from "./fileTensors.js";
import { sameShape, sizeOf } from "./graph.js";
import type { HostDType, HostData, HostTensor, HostTensors } from "./hostTensor.js";
import { encodeOnnxModel } from "./onnxModel.js";
import { type OpenTrace, traceOpen } from "./openSizes.js";
import { deferWeights, foldBias, prune } from "./optimise.js";
import {
  CONTROL,
  type Envelope,
  OUTPUT_PREFIX,
  type PlaceTarget,
  type Reply,
  type Request,
  type SessionOptions,
  type StoredShape,
} from "./protocol.js";
import { type TensorFormat, storedParts } from "./quantise/tensorFormat.js";
import { type Sizes, bindSizes, boundShape, constantValue, requireOutputs, requireSizes, sizesKey, storeName } from "./signature.js";
import { StoredShapes } from "./storedShapes.js";
import { type TensorFunction, type Trace, type TracedInput, trace } from "./trace.js";

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
    await this.#call({ kind: "load", name, file, format }, storedParts(name, file.shape, format));
  }

  async encode(from: string, to: string, format: TensorFormat): Promise<void> {
    await this.#call({ kind: "encode", from, to, format }, storedParts(to, this.shapeOf(from), format));
  }

  async fetch(name: string): Promise<HostTensor> {
    return (await this.#call({ kind: "fetch", name }))[name]!;
  }

  async copy(from: string, to: string): Promise<void> {
    await this.#call({ kind: "copy", from, to }, [{ ...this.#stored.get(from), name: to, isView: undefined }]);
  }

  async view(name: string, from: string, start: number, rows: number): Promise<void> {
    const { dtype, shape } = this.#stored.get(from);
    await this.#call({ kind: "view", name, from, start, rows }, [{ name, dtype, shape: [rows, ...shape.slice(1)], isView: true }]);
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

  compile(fn: TensorFunction, signature: Signature, { name = fn.name || "compiled", openSizes = false }: CompileOptions = {}): Program {
    return new CompiledProgram(name, fn, signature, openSizes, {
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
        this.#stored.touch([...Object.values(request.write), ...Object.values(request.place)].map(({ into }) => into));
        return this.#call(request, changes);
      },
    });
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
  open(model: Uint8Array<ArrayBuffer>, fixed: Record<string, string>): { session: string; opened: Promise<unknown> };
  close(session: string): Promise<void>;
  run(request: Request & { kind: "run" }, changes: Changes): Promise<HostTensors>;
}

interface Specialised {
  readonly session: string;
  readonly opened: Promise<unknown>;
  readonly inputs: ReadonlySet<string>;
  readonly outputs: ReadonlyMap<string, { dtype: HostDType; shape: readonly Dimension[] }>;
}

class CompiledProgram implements Program {
  readonly #specialised = new Map<string, Specialised>();

  constructor(
    readonly name: string,
    private readonly fn: TensorFunction,
    private readonly signature: Signature,
    private readonly openSizes: boolean,
    private readonly host: Host,
  ) {}

  async run(inputs: Readonly<HostTensors>, options: RunOptions = {}): Promise<HostTensors> {
    const sizes = bindSizes(this.name, this.signature, inputs, options, this.host.shapeOf);
    const { session, opened, inputs: used, outputs } = this.#specialise(sizes);
    requireOutputs(this.name, outputs, options);
    const states: Record<string, string> = {};
    const keep: Record<string, string> = { ...options.keep };
    for (const [name, spec] of Object.entries(this.signature)) {
      if (spec.role !== "state") continue;
      if (used.has(name)) states[name] = storeName(name, spec, options);
      if (outputs.has(name) && options.write?.[name] === undefined) keep[name] ??= storeName(name, spec, options);
    }
    const outputShape = (output: string): number[] => boundShape(this.name, output, outputs.get(output)!, sizes);
    const changes = Object.entries(keep).map(([output, name]) => ({
      name,
      dtype: outputs.get(output)!.dtype,
      shape: outputShape(output),
    }));
    const place: Record<string, PlaceTarget> = {};
    for (const [output, target] of Object.entries(options.place ?? {}))
      place[output] = placeTarget(this.name, outputShape(output), target, this.host.shapeOf(target.into));
    const given: HostTensors = {};
    for (const [name, tensor] of Object.entries(inputs)) {
      if (used.has(name)) given[name] = { ...tensor, data: ownArray(`${this.name}: input "${name}"`, tensor) };
    }
    const write = { ...options.write };
    const request = { kind: "run", session, inputs: given, states, rows: { ...options.rows }, place, keep, write } as const;
    try {
      const [, tensors] = await Promise.all([opened, this.host.run(request, changes)]);
      return tensors;
    } catch (error) {
      throw named(error, this.name);
    }
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
    const key = this.openSizes ? "" : sizesKey(sizes);
    const known = this.#specialised.get(key);
    if (known !== undefined) return known;
    const built = this.#build(sizes);
    this.#specialised.set(key, built);
    // Every run waits for the session as well and reports a failure; the next run tries again.
    built.opened.catch(() => this.#specialised.get(key) === built && this.#specialised.delete(key));
    return built;
  }

  #build(sizes: Sizes): Specialised {
    const open = this.openSizes ? traceOpen(this.name, this.signature, (some) => this.#trace(some)) : undefined;
    const { graph, outputs } = open ?? this.#trace(sizes);
    // ONNX Runtime refuses feeds that its graph does not read.
    const read = new Set(graph.nodes.flatMap((node) => node.inputs));
    for (const value of outputs.values()) read.add(value);
    graph.inputs.splice(0, graph.inputs.length, ...graph.inputs.filter((value) => read.has(value)));
    // Outputs may share a name with a state input; inside the model they must differ.
    const named = new Map([...outputs].map(([name, value]) => [`${OUTPUT_PREFIX}${name}`, value]));
    const inputs = graph.inputs.map((value) => value.name);
    const fixed = inputs.filter((name) => this.signature[name]!.fixed === true);
    const openShapes = open === undefined ? undefined : this.#openShapes(open);
    return {
      ...this.host.open(
        encodeOnnxModel(graph, named, { openShapes, external: new Set(fixed) }),
        Object.fromEntries(fixed.map((name) => [name, storeName(name, this.signature[name]!)])),
      ),
      inputs: new Set(inputs.filter((name) => !fixed.includes(name))),
      outputs: new Map(
        [...outputs].map(([name, { dtype, shape }]) => [name, { dtype: dtype as HostDType, shape: open?.shapes.get(name) ?? shape }]),
      ),
    };
  }

  #trace(sizes: Sizes): Trace {
    const traced = new Map<string, TracedInput>();
    for (const [name, spec] of Object.entries(this.signature)) traced.set(name, tracedInput(this.name, name, spec, sizes));
    const { graph, outputs } = trace(this.fn, traced, this.name);
    prune(graph, outputs.values());
    foldBias(graph, outputs.values());
    deferWeights(graph, new Set(Object.keys(this.signature).filter((name) => this.signature[name]!.role === "state")));
    return { graph, outputs };
  }

  #openShapes({ shapes }: OpenTrace): Map<string, readonly Dimension[]> {
    const open = new Map(Object.entries(this.signature).map(([name, { shape }]) => [name, shape]));
    for (const [name, shape] of shapes) open.set(`${OUTPUT_PREFIX}${name}`, shape);
    return open;
  }
}

function tracedInput(where: string, name: string, spec: InputSpec, sizes: Sizes): TracedInput {
  const dtype = spec.dtype ?? "float32";
  const shape = boundShape(where, name, spec, sizes);
  if (spec.role !== "constant") return { dtype, shape };
  return { dtype, shape, value: constantValue(where, name, spec, shape).data as Float32Array };
}

/** @throws EngineError `slice_shape` */
function placeTarget(
  where: string,
  shape: readonly number[],
  { into, offset }: { into: string; offset: number },
  stored: readonly number[],
): PlaceTarget {
  if (shape.length !== stored.length || offset < 0 || offset + shape[0]! > stored[0]! || !sameShape(shape.slice(1), stored.slice(1)))
    throw new EngineError(
      "slice_shape",
      `${where}: an output [${shape.join(",")}] must fit into "${into}" [${stored.join(",")}] at row ${offset}; store a larger tensor`,
    );
  return { into, start: offset * sizeOf(stored.slice(1)), shape };
}

/** Errors of the worker do not know the program. */
function named(error: unknown, where: string): unknown {
  if (!(error instanceof EngineError) || error.message.startsWith(`${where}: `)) return error;
  return new EngineError(error.code, `${where}: ${error.message}`, { cause: error });
}
