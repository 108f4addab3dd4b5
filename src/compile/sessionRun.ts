/** One run of a session in the compute worker: what is fed, what is computed straight into the store, what is stored, what is returned. */
import { MessageChannel } from "node:worker_threads";
import type * as Ort from "onnxruntime-node";
import { EngineError } from "../errors.js";
import type { HostData, HostDType, HostTensor, HostTensors } from "./hostTensor.js";
import { OUTPUT_PREFIX, type Request } from "./protocol.js";
import { type TensorStore, rowsOf } from "./tensorStore.js";

type RunRequest = Request & { kind: "run" };

/** @throws EngineError `pieces_overlap`, `slice_shape`, and as ONNX Runtime's run */
export async function runSession(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  store: TensorStore,
  request: RunRequest,
): Promise<HostTensors> {
  const { inputs, states, keep, write, pieces } = request;
  const given = Object.fromEntries(Object.entries(states).map(([name, stored]) => [name, store.get(stored)]));
  const targets = directTargets(store, request, given);
  const tensor = ({ data, dtype, shape }: HostTensor): Ort.Tensor => new ort.Tensor(dtype, data as Float32Array, shape);
  const parts: HostTensors[] = [];
  for (let piece = 0; piece < (pieces ?? 1); piece++) {
    const part = (whole: HostTensor): HostTensor => (pieces === undefined ? whole : pieceOf(whole, piece, pieces));
    const feeds: Record<string, Ort.Tensor> = {};
    for (const [name, value] of Object.entries(inputs)) feeds[name] = tensor(value);
    for (const [name, value] of Object.entries(given)) feeds[name] = tensor(part(value));
    // A session that is told of one output must be told of all.
    const fetches: Record<string, Ort.Tensor | null> = {};
    for (const output of session.outputNames) {
      const target = targets.get(output.slice(OUTPUT_PREFIX.length));
      fetches[output] = target === undefined ? null : tensor(part(target));
    }
    const outputs: HostTensors = {};
    for (const [output, result] of Object.entries(await session.run(feeds, fetches))) {
      const name = output.slice(OUTPUT_PREFIX.length);
      // onnxruntime-node hands out a copy of every output, also of one that was computed in memory of ours.
      if (targets.has(name)) free(result.data as HostData);
      else outputs[name] = { data: result.data as Float32Array, dtype: result.type as HostDType, shape: [...result.dims] };
    }
    parts.push(outputs);
  }
  const outputs = pieces === undefined ? parts[0]! : joined(parts);
  const isLeft = (name: string): boolean => outputs[name] !== undefined;
  // Writing may fail and is first: a failed run stores nothing but what is computed in place.
  for (const [name, target] of Object.entries(write)) if (isLeft(name)) store.writeSlice(outputs[name]!, target);
  for (const [name, stored] of Object.entries(keep)) if (isLeft(name)) store.set(stored, outputs[name]!);
  return Object.fromEntries(Object.entries(outputs).filter(([name]) => keep[name] === undefined && write[name] === undefined));
}

/** The memory of each output that may be computed in place; one that shares memory with something else that is read or written may not. */
function directTargets(
  store: TensorStore,
  { direct, keep, write, inputs, pieces }: RunRequest,
  given: HostTensors,
): Map<string, HostTensor> {
  const targets = new Map<string, HostTensor>();
  for (const [name, shape] of Object.entries(direct)) {
    const slice = write[name];
    const target = slice === undefined ? store.get(keep[name]!) : sliceOf(store.get(slice.into), shape, slice.offset);
    targets.set(name, target);
  }
  const read = [...Object.entries(given), ...Object.entries(inputs)];
  for (const [name, target] of [...targets]) {
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

/** Rows of a stored tensor that an output of this shape fills. */
function sliceOf(into: HostTensor, shape: readonly number[], offset: number): HostTensor {
  if (shape.slice(1).join() !== into.shape.slice(1).join()) {
    throw new EngineError("slice_shape", `store: cannot write [${shape.join(",")}] into [${into.shape.join(",")}] along axis 0`);
  }
  return rowsOf(into, offset, shape[0]!);
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
export function free(data: HostData): void {
  closed.postMessage(null, [data.buffer as ArrayBuffer]);
}
