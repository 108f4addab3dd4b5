/** The compiled engine: traces on the calling thread, computes in a worker thread. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import type { Engine, InputSpec, Program, RunOptions, Signature } from "./engine.js";
import type { FileTensor } from "./fileTensors.js";
import type { HostTensor, HostTensors } from "./hostTensor.js";
import { encodeOnnxModel } from "./onnxModel.js";
import { foldBias, prune } from "./optimise.js";
import { type Envelope, OUTPUT_PREFIX, type Reply, type Request, type SessionOptions, type StoredShape } from "./protocol.js";
import { type Sizes, bindSizes, boundShape, sizesKey, storeName } from "./signature.js";
import { type TensorFunction, type TracedInput, trace } from "./trace.js";

export interface CompiledEngineOptions {
  /** ONNX Runtime execution provider; default `cpu`. */
  readonly device?: SessionOptions["device"];
  /** Threads of one operator, 1 to the number of cores; default 0 = all cores. */
  readonly threads?: number;
}

interface Pending {
  resolve(tensors: HostTensors): void;
  reject(error: Error): void;
}

export class CompiledEngine implements Engine {
  readonly kind = "compiled";
  readonly description: string;
  readonly #options: SessionOptions;
  readonly #abortEpoch = new Int32Array(new SharedArrayBuffer(4));
  readonly #pending = new Map<number, Pending>();
  readonly #stored = new Map<string, StoredShape>();
  #worker: Worker | undefined;
  #nextId = 0;
  #nextSession = 0;
  #disposed = false;

  constructor({ device = "cpu", threads = 0 }: CompiledEngineOptions = {}) {
    this.#options = { device, threads };
    this.description = `onnxruntime ${device}, ${threads === 0 ? "all" : threads} threads`;
  }

  async put(name: string, tensor: HostTensor): Promise<void> {
    this.#expect({ name, dtype: tensor.dtype, shape: tensor.shape });
    const { data } = tensor;
    // A view is copied, so that the transfer does not take away what else lies in its buffer.
    const whole = data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer ? data : data.slice();
    await this.#call({ kind: "put", name, tensor: { ...tensor, data: whole } }, [whole.buffer as ArrayBuffer]);
  }

  async load(name: string, file: FileTensor): Promise<void> {
    this.#expect({ name, dtype: "float32", shape: file.shape });
    await this.#call({ kind: "load", name, file });
  }

  async fetch(name: string): Promise<HostTensor> {
    return (await this.#call({ kind: "fetch", name }))[name]!;
  }

  async copy(from: string, to: string): Promise<void> {
    this.#expect({ ...this.#described(from), name: to });
    await this.#call({ kind: "copy", from, to });
  }

  async view(name: string, from: string, start: number, rows: number): Promise<void> {
    const { dtype, shape } = this.#described(from);
    this.#expect({ name, dtype, shape: [rows, ...shape.slice(1)] });
    await this.#call({ kind: "view", name, from, start, rows });
  }

  async remove(...names: string[]): Promise<void> {
    names.forEach((name) => this.#stored.delete(name));
    await this.#call({ kind: "remove", names });
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  shapeOf(name: string): readonly number[] {
    return this.#described(name).shape;
  }

  names(prefix = ""): string[] {
    return [...this.#stored.keys()].filter((name) => name.startsWith(prefix));
  }

  compile(fn: TensorFunction, signature: Signature, { name = fn.name || "compiled" }: { name?: string } = {}): Program {
    return new CompiledProgram(name, fn, signature, {
      shapeOf: (stored) => this.shapeOf(stored),
      expect: (stored) => this.#expect(stored),
      open: (model) => {
        const session = `s${this.#nextSession++}`;
        const opened = this.#call({ kind: "open", session, model, options: this.#options }, [model.buffer]);
        // Every run waits for it too; this keeps a failure from being reported twice.
        opened.catch(() => undefined);
        return { session, opened };
      },
      close: async (session) => void (await this.#call({ kind: "close", session })),
      run: (request) => this.#call(request),
    });
  }

  abort(): void {
    Atomics.add(this.#abortEpoch, 0, 1);
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.abort();
    this.#stored.clear();
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  /** Tensors are known here from the moment they are sent, so that calls may be queued without waiting. */
  #expect(stored: StoredShape): void {
    this.#stored.set(stored.name, stored);
  }

  #described(name: string): StoredShape {
    const stored = this.#stored.get(name);
    if (stored === undefined) throw new EngineError("unknown_tensor", `store: no tensor "${name}"; put or load it first`);
    return stored;
  }

  #call(request: Request, transfer: ArrayBuffer[] = []): Promise<HostTensors> {
    if (this.#disposed) return Promise.reject(new EngineError("disposed", "engine: it was disposed"));
    const worker = (this.#worker ??= this.#start());
    const envelope: Envelope = { id: this.#nextId++, epoch: Atomics.load(this.#abortEpoch, 0), request };
    return new Promise((resolve, reject) => {
      this.#pending.set(envelope.id, { resolve, reject });
      worker.ref();
      worker.postMessage(envelope, transfer);
    });
  }

  #start(): Worker {
    // From source (vitest) the worker is taken from the build, since a worker thread loads JavaScript only.
    const file = import.meta.url.endsWith(".ts") ? "../../dist/src/compile/worker.js" : "./worker.js";
    const worker = new Worker(new URL(file, import.meta.url), { workerData: { abortEpoch: this.#abortEpoch } });
    worker.on("message", (reply: Reply) => this.#settle(reply));
    worker.on("error", (error) => this.#fail(new EngineError("worker_exit", `engine: the compute worker failed: ${error.message}`, { cause: error })));
    worker.on("exit", (code) => this.#fail(new EngineError("worker_exit", `engine: the compute worker ended with code ${code}`)));
    worker.unref();
    return worker;
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) this.#worker?.unref();
    if (pending === undefined) return;
    if ("error" in reply) {
      pending.reject(new EngineError(reply.error.code, reply.error.message));
    } else {
      reply.stored.forEach((stored) => this.#stored.set(stored.name, stored));
      pending.resolve(reply.tensors);
    }
  }

  #fail(error: EngineError): void {
    this.#worker = undefined;
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    waiting.forEach(({ reject }) => reject(error));
  }
}

/** What a program needs of its engine. */
interface Host {
  shapeOf(name: string): readonly number[];
  expect(stored: StoredShape): void;
  open(model: Uint8Array<ArrayBuffer>): { session: string; opened: Promise<unknown> };
  close(session: string): Promise<void>;
  run(request: Request): Promise<HostTensors>;
}

interface Specialised {
  readonly session: string;
  readonly opened: Promise<unknown>;
  readonly inputs: ReadonlySet<string>;
  readonly outputs: ReadonlyMap<string, { dtype: string; shape: readonly number[] }>;
}

class CompiledProgram implements Program {
  readonly #specialised = new Map<string, Specialised>();

  constructor(
    readonly name: string,
    private readonly fn: TensorFunction,
    private readonly signature: Signature,
    private readonly host: Host,
  ) {}

  async run(inputs: Readonly<HostTensors>, options: RunOptions = {}): Promise<HostTensors> {
    const sizes = bindSizes(this.name, this.signature, inputs, options, this.host.shapeOf);
    const { session, opened, inputs: used, outputs } = this.#specialise(sizes);
    const states: Record<string, string> = {};
    const keep: Record<string, string> = { ...options.keep };
    for (const [name, spec] of Object.entries(this.signature)) {
      if (spec.role !== "state") continue;
      if (used.has(name)) states[name] = storeName(name, spec, options);
      if (outputs.has(name)) keep[name] ??= storeName(name, spec, options);
    }
    for (const [output, stored] of Object.entries(keep)) {
      const described = outputs.get(output);
      if (described === undefined) throw new EngineError("unknown_output", `${this.name}: no output "${output}" to keep`);
      this.host.expect({ name: stored, dtype: described.dtype as StoredShape["dtype"], shape: described.shape });
    }
    const given = Object.fromEntries(Object.entries(inputs).filter(([name]) => used.has(name)));
    const [, tensors] = await Promise.all([opened, this.host.run({ kind: "run", session, inputs: given, states, keep, write: { ...options.write } })]);
    return tensors;
  }

  async prepare(sizes: Sizes): Promise<void> {
    await this.#specialise(sizes).opened;
  }

  async dispose(): Promise<void> {
    const opened = [...this.#specialised.values()];
    this.#specialised.clear();
    for (const { session } of opened) await this.host.close(session);
  }

  #specialise(sizes: Sizes): Specialised {
    const key = sizesKey(sizes);
    let specialised = this.#specialised.get(key);
    if (specialised === undefined) this.#specialised.set(key, (specialised = this.#build(sizes)));
    return specialised;
  }

  #build(sizes: Sizes): Specialised {
    const traced = new Map<string, TracedInput>();
    for (const [name, spec] of Object.entries(this.signature)) traced.set(name, tracedInput(this.name, name, spec, sizes));
    const { graph, outputs } = trace(this.fn, traced, this.name);
    prune(graph, outputs.values());
    foldBias(graph, outputs.values());
    // ONNX Runtime refuses feeds that its graph does not read.
    const read = new Set(graph.nodes.flatMap((node) => node.inputs));
    for (const value of outputs.values()) read.add(value);
    graph.inputs.splice(0, graph.inputs.length, ...graph.inputs.filter((value) => read.has(value)));
    // Outputs may share a name with a state input; inside the model they must differ.
    const named = new Map([...outputs].map(([name, value]) => [`${OUTPUT_PREFIX}${name}`, value]));
    return {
      ...this.host.open(encodeOnnxModel(graph, named)),
      inputs: new Set(graph.inputs.map((value) => value.name)),
      outputs,
    };
  }
}

function tracedInput(where: string, name: string, spec: InputSpec, sizes: Sizes): TracedInput {
  const dtype = spec.dtype ?? "float32";
  const shape = boundShape(where, name, spec, sizes);
  if (spec.role !== "constant") return { dtype, shape };
  if (spec.value === undefined) throw new EngineError("missing_value", `${where}: constant "${name}" needs a value`);
  return { dtype, shape, value: spec.value.data as Float32Array };
}
