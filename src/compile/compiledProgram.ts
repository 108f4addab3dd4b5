/** A program of the compiled engine: one session for all sizes, or one for each combination, and what a run of it asks of the worker. */
import { EngineError } from "../errors.js";
import { extentAt } from "./anySize.js";
import { type BuiltProgram, buildForAnySize, buildForSizes, liveBytesForSizes } from "./buildProgram.js";
import { cachedProgram } from "./programCache.js";
import type { CompileOptions, Program, RunOptions, Signature } from "./engine.js";
import { sizeOf } from "./graph.js";
import type { HostData, HostTensor, HostTensors } from "./hostTensor.js";
import type { Request, StoredShape } from "./protocol.js";
import { type Sizes, bindSizes, requireOutputs, requireSizes, sizesKey, storeName } from "./signature.js";
import type { TensorFunction } from "./trace.js";

/** What a call will change in the store. */
export type Changes = Iterable<StoredShape | { name: string; removed: true }>;

/**
 * The elements in a buffer of their own. A view is copied, so that sending it neither takes away nor copies what else lies
 * in its buffer; ONNX Runtime refuses shared memory.
 * @throws EngineError `host_size` if the array was sent before, or does not fill the shape
 */
export function ownArray(where: string, { data, shape }: HostTensor): HostData {
  if (data.length !== sizeOf(shape)) {
    const rule = `shape [${shape.join(",")}] needs ${sizeOf(shape)} elements, got ${data.length}`;
    throw new EngineError("host_size", `${where}: ${rule}; an array that was put before belongs to the engine, fetch it instead`);
  }
  return data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer ? data : data.slice();
}

/** What a program needs of its engine. */
export interface Host {
  readonly shapeOf: (name: string) => readonly number[];
  open(model: Uint8Array<ArrayBuffer>, fixed: BuiltProgram["fixed"]): { session: string; opened: Promise<unknown> };
  close(session: string): Promise<void>;
  run(request: Request & { kind: "run" }, changes: Changes): Promise<HostTensors>;
}

type Specialised = ReturnType<Host["open"]> & Omit<BuiltProgram, "model" | "fixed">;

/** Key of the session for all sizes. */
const ANY_SIZE = "any";

export class CompiledProgram implements Program {
  readonly #specialised = new Map<string, Specialised>();
  /** Whether one graph is to serve all sizes; not any more once it turned out that it cannot. */
  #anySize: boolean;
  readonly #inPlace: boolean;
  readonly #key: unknown;

  constructor(
    readonly name: string,
    private readonly fn: TensorFunction,
    private readonly signature: Signature,
    { sizes, inPlace = false, key }: Omit<CompileOptions, "name">,
    private readonly host: Host,
  ) {
    this.#anySize = sizes === "any";
    this.#inPlace = inPlace;
    this.#key = key;
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
      outputs: this.#inPlace ? shapes : undefined,
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
    if (placed !== undefined && (!this.#inPlace || options.pieces !== undefined)) {
      const rule = `output "${placed}" must be computed in place, and as a whole, to be placed`;
      throw new EngineError("place_output", `${this.name}: ${rule}; compile with inPlace, and run without pieces`);
    }
    if (!this.#inPlace && options.pieces === undefined) return [];
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

  liveBytes(sizes: Sizes): number {
    requireSizes(this.name, this.signature, sizes);
    return liveBytesForSizes(this.name, this.fn, this.signature, sizes);
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
    const made = general ? this.#forAnySize() : undefined;
    if (general && made === undefined) {
      this.#anySize = false;
      return this.#specialise(sizes);
    }
    const { model, fixed, ...program } = made ?? buildForSizes(this.name, this.fn, this.signature, sizes, this.#inPlace);
    const built = { ...this.host.open(model, fixed), ...program };
    this.#specialised.set(key, built);
    // Every run waits for the session as well and reports a failure; the next run tries again.
    built.opened.catch(() => this.#specialised.get(key) === built && this.#specialised.delete(key));
    return built;
  }

  #forAnySize(): BuiltProgram | undefined {
    const build = (): BuiltProgram | undefined => buildForAnySize(this.name, this.fn, this.signature, this.#inPlace);
    return this.#key === undefined ? build() : cachedProgram([this.name, this.#key], this.signature, this.#inPlace, build);
  }

  /** An operator may not take empty tensors, which a trace at their size leaves out. */
  #general(sizes: Sizes): boolean {
    return this.#anySize && Object.values(sizes).every((size) => size > 0);
  }
}

/** Errors of the worker do not know the program. */
function named(error: unknown, where: string): unknown {
  if (!(error instanceof EngineError) || error.message.startsWith(`${where}: `)) return error;
  return new EngineError(error.code, `${where}: ${error.message}`, { cause: error });
}
