/** The eager engine: calls the function itself on a TensorFlow.js backend. For teaching, debugging, and as the oracle in tests. */
import { EngineError } from "../errors.js";
import type { CompileOptions, Engine, Program, RunOptions, Signature } from "./engine.js";
import { type FileTensor, float16ToFloat32 } from "./fileTensors.js";
import { DTYPE_BYTES, type HostDType, type HostTensor, type HostTensors, hostTensor } from "./hostTensor.js";
import { type TensorFormat, encodeTensor, partsOf } from "./quantise/tensorFormat.js";
import { bindSizes, boundShape, constantValue, requireOutputs, storeName } from "./signature.js";
import { tf } from "./tensorflow.js";
import { type TensorToLoad, readTensor } from "./tensorReaders.js";
import { TensorStore } from "./tensorStore.js";
import { type TensorFunction, namedTensors } from "./trace.js";
import type { TensorMap } from "./tracingBackend.js";

export class EagerEngine implements Engine {
  readonly kind = "eager";
  readonly #backend: string;
  readonly #tensors = new Map<string, tf.Tensor>();
  readonly #views = new Map<string, { from: string; start: number; rows: number }>();
  /** Calls run one after the other, as the compiled engine's do. */
  #queue: Promise<unknown> = Promise.resolve();
  /** When each name was given its value, counted in changes. */
  readonly #versions = new Map<string, number>();
  #changes = 0;
  #epoch = 0;
  #disposed = false;

  /** @param backend a registered TensorFlow.js backend; by default the active one, or `cpu` */
  constructor(backend: string = tf.engine().backendName || "cpu") {
    if (tf.findBackendFactory(backend) === null) {
      throw new EngineError(
        "no_backend",
        `EagerEngine: backend must be a registered TensorFlow.js backend, got "${backend}"; known: ${Object.keys(tf.engine().registryFactory).join(", ")}`,
      );
    }
    this.#backend = backend;
  }

  get description(): string {
    return `tensorflow.js ${this.#backend}`;
  }

  put(name: string, tensor: HostTensor): Promise<void> {
    return this.#enqueue(() => this.#set(name, toTensor(tensor)));
  }

  load(name: string, file: FileTensor, format?: TensorFormat): Promise<void> {
    return this.loadAll([{ name, file, format }]);
  }

  loadAll(tensors: readonly TensorToLoad[]): Promise<void> {
    return this.#enqueue(() => {
      const read: [string, tf.Tensor][] = [];
      try {
        for (const tensor of tensors) for (const [name, host] of Object.entries(readTensor(tensor))) read.push([name, toTensor(host)]);
      } catch (error) {
        read.forEach(([, tensor]) => tensor.dispose());
        throw error;
      }
      for (const [name, tensor] of read) this.#set(name, tensor);
    });
  }

  encode(from: string, to: string, format: TensorFormat): Promise<void> {
    return this.#enqueue(async () => {
      const { data, shape } = await toHost(this.#copyOf(from), true);
      this.#setAll(encodeTensor(to, shape, format, () => partsOf(data as Float32Array)));
    });
  }

  fetch(name: string): Promise<HostTensor> {
    return this.#enqueue(() => toHost(this.#copyOf(name), true));
  }

  copy(from: string, to: string): Promise<void> {
    return this.#enqueue(() => this.#set(to, this.#copyOf(from)));
  }

  view(name: string, from: string, start: number, rows: number): Promise<void> {
    return this.#enqueue(() => {
      const { shape } = this.#get(from);
      if (start < 0 || start + rows > shape[0]!)
        throw new EngineError("view_range", `store: rows ${start} to ${start + rows} must lie within [${shape.join(",")}]`);
      this.#tensors.get(name)?.dispose();
      this.#tensors.delete(name);
      this.#views.set(name, { from, start, rows });
      this.#versions.set(name, ++this.#changes);
    });
  }

  clear(...names: string[]): Promise<void> {
    return this.#enqueue(() => {
      for (const name of names) {
        const { shape, dtype } = this.#get(name);
        this.#set(name, tf.zeros(shape, dtype));
      }
    });
  }

  remove(...names: string[]): Promise<void> {
    return this.#enqueue(() => {
      for (const name of names) {
        this.#views.delete(name);
        this.#versions.delete(name);
        this.#tensors.get(name)?.dispose();
        this.#tensors.delete(name);
      }
    });
  }

  has(name: string): boolean {
    return this.#tensors.has(name) || this.#views.has(name);
  }

  shapeOf(name: string): readonly number[] {
    const view = this.#views.get(name);
    if (view !== undefined) return [view.rows, ...this.shapeOf(view.from).slice(1)];
    return this.#get(name).shape;
  }

  names(prefix = ""): string[] {
    return [...this.#tensors.keys(), ...this.#views.keys()].filter((name) => name.startsWith(prefix));
  }

  bytes(): number {
    return [...this.#tensors.values()].reduce((sum, { dtype, size }) => sum + DTYPE_BYTES[dtype as HostDType] * size, 0);
  }

  version(names: Iterable<string>): number {
    let last = 0;
    for (const name of names) {
      const from = this.#views.get(name)?.from;
      last = Math.max(last, this.#versions.get(name) ?? 0, from === undefined ? 0 : this.version([from]));
    }
    return last;
  }

  compile(fn: TensorFunction, signature: Signature, { name = fn.name || "eager" }: CompileOptions = {}): Program {
    return {
      name,
      run: (inputs, options = {}) => this.#enqueue(() => this.#run(name, fn, signature, inputs, options)),
      prepare: () => Promise.resolve(),
      liveBytes: () => undefined,
      dispose: () => Promise.resolve(),
    };
  }

  abort(): void {
    this.#epoch++;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#queue;
    this.#tensors.forEach((tensor) => tensor.dispose());
    this.#tensors.clear();
    this.#views.clear();
  }

  async #run(
    name: string,
    fn: TensorFunction,
    signature: Signature,
    inputs: Readonly<HostTensors>,
    options: RunOptions,
  ): Promise<HostTensors> {
    const sizes = bindSizes(name, signature, inputs, options, (stored) => this.shapeOf(stored));
    const once = (piece: number): TensorMap => {
      const tensors: TensorMap = {};
      for (const [input, spec] of Object.entries(signature)) {
        if (spec.role === "state") {
          const stored = this.#readRows(storeName(input, spec, options), options.rows?.[input]);
          tensors[input] = pieceOf(stored, piece, options.pieces);
        } else if (spec.role === "constant")
          tensors[input] = toTensor(constantValue(name, input, spec, boundShape(name, input, spec, sizes)));
        else tensors[input] = toTensor(inputs[input]!);
      }
      // Clones: an output may be an input, which the tidy or the store owns.
      return Object.fromEntries(Object.entries(namedTensors(fn(tensors), name)).map(([output, tensor]) => [output, tensor.clone()]));
    };
    const outputs = tf.tidy(() => {
      if (options.pieces === undefined) return once(0);
      const parts = Array.from({ length: options.pieces }, (_, piece) => once(piece));
      return Object.fromEntries(
        Object.keys(parts[0]!).map((output) => {
          const whole = tf.concat(parts.map((part) => part[output]!));
          const spec = signature[output];
          return [output, spec?.role === "state" ? tf.reshape(whole, [...this.shapeOf(storeName(output, spec, options))]) : whole];
        }),
      );
    });
    try {
      requireOutputs(name, new Map(Object.entries(outputs)), options);
      return await this.#deliver(outputs, signature, options);
    } finally {
      Object.values(outputs).forEach((tensor) => tensor.dispose());
    }
  }

  /** Stores what is to be kept or written and returns the rest. The given tensors stay the caller's. */
  async #deliver(outputs: TensorMap, signature: Signature, options: RunOptions): Promise<HostTensors> {
    const results: HostTensors = {};
    for (const [output, tensor] of Object.entries(outputs)) {
      const spec = signature[output];
      // What an operation would read in place, `fused/cachedAttention.ts` takes from its arguments when it runs eagerly.
      const target = options.write?.[output] ?? options.place?.[output];
      const kept =
        options.keep?.[output] ?? (spec?.role === "state" && target === undefined ? storeName(output, spec, options) : undefined);
      if (kept !== undefined) {
        this.#set(kept, tensor.clone());
        continue;
      }
      const host = await toHost(tensor);
      if (target === undefined) {
        results[output] = host;
        continue;
      }
      const store = new TensorStore();
      store.set(target.into, await toHost(this.#get(target.into)));
      store.writeSlice(host, target);
      this.#set(target.into, toTensor(store.get(target.into)));
    }
    return results;
  }

  #setAll(tensors: HostTensors): void {
    for (const [name, tensor] of Object.entries(tensors)) this.#set(name, toTensor(tensor));
  }

  #set(name: string, tensor: tf.Tensor): void {
    this.#versions.set(name, ++this.#changes);
    this.#views.delete(name);
    this.#tensors.get(name)?.dispose();
    this.#tensors.set(name, tf.keep(tensor));
  }

  /** A stored tensor or a view; a view's slice belongs to the scope of the run. */
  #read(name: string): tf.Tensor {
    const view = this.#views.get(name);
    return view === undefined ? this.#get(name) : tf.slice(this.#get(view.from), view.start, view.rows);
  }

  #readRows(name: string, rows: number | undefined): tf.Tensor {
    const tensor = this.#read(name);
    return rows === undefined ? tensor : tf.slice(tensor, [0], [rows]);
  }

  #copyOf(name: string): tf.Tensor {
    return tf.tidy(() => this.#read(name).clone());
  }

  #get(name: string): tf.Tensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new EngineError("unknown_tensor", `store: no tensor "${name}"; put or load it first`);
    return tensor;
  }

  #enqueue<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.#disposed) return Promise.reject(new EngineError("disposed", "engine: it was disposed"));
    const epoch = this.#epoch;
    const result = this.#queue.then(async () => {
      if (this.#disposed) throw new EngineError("disposed", "engine: it was disposed before the call began");
      if (epoch < this.#epoch) throw new EngineError("aborted", "engine: the call was aborted before it began");
      if (tf.engine().backendName !== this.#backend && !(await tf.setBackend(this.#backend))) {
        throw new EngineError("no_backend", `EagerEngine: backend "${this.#backend}" failed to start; run preflab doctor`);
      }
      return work();
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function pieceOf(tensor: tf.Tensor, piece: number, pieces: number | undefined): tf.Tensor {
  if (pieces === undefined) return tensor;
  const size = tensor.size / pieces;
  return tf.slice(tf.reshape(tensor, [tensor.size]), [piece * size], [size]);
}

/** A tensor of the active backend. Bytes become int32 and halves float32. @throws EngineError `tensor_type` */
export function toTensor({ data, dtype, shape }: HostTensor): tf.Tensor {
  // TensorFlow.js has neither bytes nor halves: see fused/bytes.ts and fused/half.ts.
  if (dtype === "float16") {
    const numbers = new Float32Array(data.length);
    float16ToFloat32(data as Uint16Array, numbers);
    return tf.tensor(numbers, [...shape], "float32");
  }
  if (dtype === "uint8" || dtype === "int8") return tf.tensor(Int32Array.from(data), [...shape], "int32");
  return tf.tensor(data as Float32Array, [...shape], dtype);
}

async function toHost(tensor: tf.Tensor, dispose = false): Promise<HostTensor> {
  const data = await tensor.data();
  if (dispose) tensor.dispose();
  // Some backends return their own memory.
  return hostTensor(data.slice() as Float32Array, tensor.shape, tensor.dtype as HostDType);
}
