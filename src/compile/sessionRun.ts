/** One run of a session in the compute worker: what is fed, what is computed straight into the store, what is stored, what is returned. */
import { MessageChannel } from "node:worker_threads";
import type * as Ort from "onnxruntime-node";
import { EngineError } from "../errors.js";
import type { SliceTarget } from "./engine.js";
import { sameShape, sizeOf } from "./graph.js";
import { type HostData, type HostDType, type HostTensor, type HostTensors, emptyArray } from "./hostTensor.js";
import { SEQUENCE_OUTPUT } from "./onnxModel.js";
import { OUTPUT_PREFIX, type OutputShape, type Request } from "./protocol.js";
import { type TensorStore, rowsOf } from "./tensorStore.js";

type RunRequest = Request & { kind: "run" };

/** @throws EngineError `pieces_overlap`, `slice_shape`, `view_range`, and as ONNX Runtime's run */
export async function runSession(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  store: TensorStore,
  request: RunRequest,
): Promise<HostTensors> {
  const { inputs, states, rows, keep, write, pieces } = request;
  const given = Object.fromEntries(
    Object.entries(states).map(([name, stored]) => {
      const whole = store.get(stored);
      return [name, rows[name] === undefined ? whole : rowsOf(whole, 0, rows[name])];
    }),
  );
  const targets = directTargets(store, request, given);
  const parts: HostTensors[] = [];
  for (let piece = 0; piece < (pieces ?? 1); piece++) {
    const part = (whole: HostTensor): HostTensor => (pieces === undefined ? whole : pieceOf(whole, piece, pieces));
    const feeds: Record<string, Ort.Tensor> = {};
    for (const [name, value] of Object.entries(inputs)) feeds[name] = ortTensor(ort, value);
    for (const [name, value] of Object.entries(given)) feeds[name] = ortTensor(ort, part(value));
    parts.push(
      request.outputs === undefined
        ? await copiedOutputs(session, feeds)
        : await outputsInPlace(ort, session, feeds, request.outputs, (name) => (targets.has(name) ? part(targets.get(name)!) : undefined)),
    );
  }
  const outputs = pieces === undefined ? parts[0]! : joined(parts);
  const isLeft = (name: string): boolean => outputs[name] !== undefined;
  // Writing may fail and is first: a failed run stores nothing but what is computed in place.
  for (const [name, target] of Object.entries(write)) if (isLeft(name)) store.writeSlice(outputs[name]!, target);
  for (const [name, stored] of Object.entries(keep)) if (isLeft(name)) store.set(stored, outputs[name]!);
  return Object.fromEntries(Object.entries(outputs).filter(([name]) => keep[name] === undefined && write[name] === undefined));
}

function ortTensor(ort: typeof Ort, { data, dtype, shape }: HostTensor): Ort.Tensor {
  return new ort.Tensor(dtype, data as Float32Array, shape);
}

async function copiedOutputs(session: Ort.InferenceSession, feeds: Record<string, Ort.Tensor>): Promise<HostTensors> {
  const outputs: HostTensors = {};
  for (const [output, { data, type, dims }] of Object.entries(await session.run(feeds))) {
    outputs[output.slice(OUTPUT_PREFIX.length)] = { data: data as Float32Array, dtype: type as HostDType, shape: [...dims] };
  }
  return outputs;
}

/** What onnxruntime-node says of an output that is no tensor. */
const NO_TENSOR = "Non tensor type is temporarily not supported.";

/**
 * Runs with memory of ours for every output. onnxruntime-node computes the outputs there, and afterwards hands out a copy of each in
 * fresh memory, which costs more than the computing where it is gigabytes. It does so one output after the other and gives up at one
 * that is no tensor: so the model's first output is a sequence, and this error is the sign that all is done. A version that
 * can hand out sequences will copy and be slower; no result depends on it.
 * @param target where an output is stored, if it is computed there
 * @returns the other outputs
 */
async function outputsInPlace(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  feeds: Record<string, Ort.Tensor>,
  shapes: Readonly<Record<string, OutputShape>>,
  target: (name: string) => HostTensor | undefined,
): Promise<HostTensors> {
  const outputs: HostTensors = {};
  const fetches: Record<string, Ort.Tensor | null> = { [SEQUENCE_OUTPUT]: null };
  for (const [name, { dtype, shape }] of Object.entries(shapes)) {
    let memory = target(name);
    if (memory === undefined) outputs[name] = memory = { data: emptyArray(dtype, sizeOf(shape)), dtype, shape };
    fetches[`${OUTPUT_PREFIX}${name}`] = ortTensor(ort, memory);
  }
  try {
    const { [SEQUENCE_OUTPUT]: _sequence, ...copies } = await session.run(feeds, fetches);
    for (const { data } of Object.values(copies)) free(data as HostData);
  } catch (error) {
    if ((error as Error).message !== NO_TENSOR) throw error;
  }
  return outputs;
}

/**
 * The memory of each output that is computed in place: of those to `place`, always, and of those to keep or write, unless it shares memory with
 * something else that is read or written.
 */
function directTargets(
  store: TensorStore,
  { outputs, direct, place, keep, write, inputs, pieces }: RunRequest,
  given: HostTensors,
): Map<string, HostTensor> {
  const targets = new Map<string, HostTensor>();
  for (const [name, slice] of Object.entries(place)) targets.set(name, sliceOf(store, outputs![name]!, slice));
  for (const name of direct) {
    const slice = write[name];
    targets.set(name, slice === undefined ? store.get(keep[name]!) : sliceOf(store, outputs![name]!, slice));
  }
  const read = [...Object.entries(given), ...Object.entries(inputs)];
  for (const name of direct) {
    const target = targets.get(name)!;
    const others = [...read.filter(([other]) => other !== name), ...[...targets].filter(([other]) => other !== name)];
    // A state that is replaced lies exactly where it lay.
    const own = given[name];
    const moved = own !== undefined && overlap(own, target) && own.data.byteOffset !== target.data.byteOffset;
    if (!moved && !others.some(([, other]) => overlap(other, target))) continue;
    if (pieces !== undefined)
      throw new EngineError(
        "pieces_overlap",
        `store: "${keep[name]}" must not share memory with another tensor of the run; copy one of them`,
      );
    targets.delete(name);
  }
  return targets;
}

/** Rows of a stored tensor that an output fills. */
function sliceOf(store: TensorStore, { dtype, shape }: OutputShape, { into, offset }: SliceTarget): HostTensor {
  const whole = store.get(into);
  const fits = shape.length > 0 && sameShape(shape.slice(1), whole.shape.slice(1)) && offset >= 0 && offset + shape[0]! <= whole.shape[0]!;
  if (!fits || dtype !== whole.dtype)
    throw new EngineError(
      "slice_shape",
      `store: cannot write ${dtype} [${shape.join(",")}] into "${into}", ${whole.dtype} [${whole.shape.join(",")}], at row ${offset}`,
    );
  return rowsOf(whole, offset, shape[0]!);
}

function overlap({ data: a }: HostTensor, { data: b }: HostTensor): boolean {
  return a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}

function pieceOf({ data, dtype }: HostTensor, piece: number, pieces: number): HostTensor {
  const size = data.length / pieces;
  return { data: data.subarray(piece * size, (piece + 1) * size), dtype, shape: [size] };
}

/** Each output's pieces along its first axis. */
function joined(parts: readonly HostTensors[]): HostTensors {
  return Object.fromEntries(
    Object.entries(parts[0]!).map(([name, { data, dtype, shape }]) => {
      const all = new (data.constructor as Float32ArrayConstructor)(data.length * parts.length);
      parts.forEach((part, i) => all.set(part[name]!.data, i * data.length));
      return [name, { data: all, dtype, shape: [(shape[0] ?? 1) * parts.length, ...shape.slice(1)] }];
    }),
  );
}

const { port1: closed } = new MessageChannel();
closed.close();

/** Gives memory back at once instead of when the garbage collector next comes: sent to nobody, it belongs to nobody. */
function free(data: HostData): void {
  closed.postMessage(null, [data.buffer as ArrayBuffer]);
}
