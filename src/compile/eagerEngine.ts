/** The eager engine: calls the function itself on a TensorFlow.js backend. For teaching, debugging, and as the oracle in tests. */
import { EngineError } from "../errors.js";
import type { Engine, Program, RunOptions, Signature } from "./engine.js";
import { type FileTensor, readFileTensor } from "./fileTensors.js";
import { type HostDType, type HostTensor, type HostTensors, hostTensor } from "./hostTensor.js";
import { bindSizes, storeName } from "./signature.js";
import { tf } from "./tensorflow.js";
import { TensorStore } from "./tensorStore.js";
import type { TensorFunction } from "./trace.js";
import type { TensorMap } from "./tracingBackend.js";

export class EagerEngine implements Engine {
  readonly kind = "eager";
  readonly #backend: string;
  readonly #tensors = new Map<string, tf.Tensor>();
  /** Calls run one after the other, as the compiled engine's do. */
  #queue: Promise<unknown> = Promise.resolve();
  #epoch = 0;

  /** @param backend a registered TensorFlow.js backend; by default the active one, or `cpu` */
  constructor(backend: string = tf.engine().backendName || "cpu") {
    if (tf.findBackendFactory(backend) === null) {
      throw new EngineError("no_backend", `EagerEngine: backend must be a registered TensorFlow.js backend, got "${backend}"; known: ${Object.keys(tf.engine().registryFactory).join(", ")}`);
    }
    this.#backend = backend;
  }

  get description(): string {
    return `tensorflow.js ${this.#backend}`;
  }

  put(name: string, tensor: HostTensor): Promise<void> {
    return this.#enqueue(() => this.#set(name, toTensor(tensor)));
  }

  load(name: string, file: FileTensor): Promise<void> {
    return this.#enqueue(() => this.#set(name, tf.tensor(readFileTensor(file), [...file.shape], "float32")));
  }

  fetch(name: string): Promise<HostTensor> {
    return this.#enqueue(() => toHost(this.#get(name)));
  }

  copy(from: string, to: string): Promise<void> {
    return this.#enqueue(() => this.#set(to, this.#get(from).clone()));
  }

  remove(...names: string[]): Promise<void> {
    return this.#enqueue(() => {
      for (const name of names) {
        this.#tensors.get(name)?.dispose();
        this.#tensors.delete(name);
      }
    });
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  shapeOf(name: string): readonly number[] {
    return this.#get(name).shape;
  }

  names(prefix = ""): string[] {
    return [...this.#tensors.keys()].filter((name) => name.startsWith(prefix));
  }

  compile(fn: TensorFunction, signature: Signature, { name = fn.name || "eager" }: { name?: string } = {}): Program {
    return {
      name,
      run: (inputs, options = {}) => this.#enqueue(() => this.#run(name, fn, signature, inputs, options)),
      prepare: () => Promise.resolve(),
      dispose: () => Promise.resolve(),
    };
  }

  abort(): void {
    this.#epoch++;
  }

  async dispose(): Promise<void> {
    this.abort();
    await this.#queue;
    this.#tensors.forEach((tensor) => tensor.dispose());
    this.#tensors.clear();
  }

  async #run(name: string, fn: TensorFunction, signature: Signature, inputs: Readonly<HostTensors>, options: RunOptions): Promise<HostTensors> {
    bindSizes(name, signature, inputs, options, (stored) => this.shapeOf(stored));
    const outputs = tf.tidy(() => {
      const tensors: TensorMap = {};
      for (const [input, spec] of Object.entries(signature)) {
        if (spec.role === "state") tensors[input] = this.#get(storeName(input, spec, options));
        else tensors[input] = toTensor(spec.role === "constant" ? spec.value! : inputs[input]!);
      }
      // Clones: an output may be an input, which the tidy or the store owns.
      return Object.fromEntries(Object.entries(fn(tensors)).map(([output, tensor]) => [output, tensor.clone()]));
    });
    const results: HostTensors = {};
    for (const [output, tensor] of Object.entries(outputs)) {
      const spec = signature[output];
      const kept = options.keep?.[output] ?? (spec?.role === "state" ? storeName(output, spec, options) : undefined);
      const target = options.write?.[output];
      if (kept !== undefined) {
        this.#set(kept, tensor);
        continue;
      }
      const host = await toHost(tensor);
      tensor.dispose();
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

  #set(name: string, tensor: tf.Tensor): void {
    this.#tensors.get(name)?.dispose();
    this.#tensors.set(name, tf.keep(tensor));
  }

  #get(name: string): tf.Tensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new EngineError("unknown_tensor", `store: no tensor "${name}"; put or load it first`);
    return tensor;
  }

  #enqueue<T>(work: () => T | Promise<T>): Promise<T> {
    const epoch = this.#epoch;
    const result = this.#queue.then(async () => {
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

function toTensor({ data, dtype, shape }: HostTensor): tf.Tensor {
  if (dtype === "uint8" || dtype === "int8") throw new EngineError("tensor_type", `eager: ${dtype} has no TensorFlow.js type; use float32, int32 or bool`);
  return tf.tensor(data as Float32Array, [...shape], dtype);
}

async function toHost(tensor: tf.Tensor): Promise<HostTensor> {
  const data = await tensor.data();
  // Some backends return their own memory.
  return hostTensor(data.slice() as Float32Array, tensor.shape, tensor.dtype as HostDType);
}
