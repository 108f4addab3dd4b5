/**
 * Reads many tensors of files at once, on several threads. Most of the time goes into the kernel's page faults of fresh memory, and
 * those run side by side. Each thread takes the next tensor from one shared counter; its arrays are moved, not copied.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import { type FileTensor, readFileTensor, readFileTensorParts } from "./fileTensors.js";
import type { HostTensors } from "./hostTensor.js";
import { PART_NUMBERS, type TensorFormat, encodeTensor } from "./quantise/tensorFormat.js";

/** A tensor of a file, the name it gets in the store, and the format there; float32 without one. */
export interface TensorToLoad {
  readonly name: string;
  readonly file: FileTensor;
  readonly format?: TensorFormat;
}

/** What a helping thread is given. */
export interface ReaderTask {
  readonly tensors: readonly TensorToLoad[];
  /** One number in shared memory: the index of the next tensor nobody has taken. */
  readonly next: Int32Array;
}

export type ReaderReply = { index: number; tensors: HostTensors } | { index: number; error: { code: string; message: string } };

/** More threads than this do not read faster than the disk or the memory. */
const MOST_HELPERS = 3;
/** A thread takes about 40 ms to start, in which one alone reads this much. */
const HELPER_BYTES = 1 << 26;

/** How many threads are worth starting beside the caller's. @param bytes of all tensors, in the files */
export function helpersFor(bytes: number, cores = availableParallelism()): number {
  return Math.min(MOST_HELPERS, cores - 1, Math.floor(bytes / HELPER_BYTES));
}

/** Reads one tensor. @throws ModelError as `readFileTensor`, EngineError as `encodeTensor` */
export function readTensor({ name, file, format }: TensorToLoad): HostTensors {
  if (format !== undefined) return encodeTensor(name, file.shape, format, () => readFileTensorParts(file, PART_NUMBERS));
  return { [name]: { data: readFileTensor(file), dtype: "float32", shape: file.shape } };
}

/**
 * What the store is to hold for all the tensors, in their order, whichever thread read them.
 * @param requireWanted called before each tensor; what it throws ends the reading
 * @throws what reading the first tensor that failed threw; the other threads have stopped by then
 */
export async function readTensors(
  tensors: readonly TensorToLoad[],
  requireWanted: () => void = () => undefined,
  helpers = helpersFor(tensors.reduce((sum, { file }) => sum + file.byteLength, 0)),
): Promise<HostTensors> {
  // Large ones first: the threads then end at about the same time.
  const sorted = [...tensors].sort((a, b) => b.file.byteLength - a.file.byteLength);
  const next = new Int32Array(new SharedArrayBuffer(4));
  const read: HostTensors[] = [];
  const helping = Array.from({ length: helpers }, () => help({ tensors: sorted, next }, read));
  try {
    for (let index = take(next); index < sorted.length; index = take(next)) {
      requireWanted();
      read[index] = readTensor(sorted[index]!);
    }
  } finally {
    // After a failure nobody takes another one, and no thread is left behind.
    Atomics.store(next, 0, sorted.length);
    await Promise.allSettled(helping);
  }
  await Promise.all(helping);
  const byTensor = new Map(sorted.map((tensor, i) => [tensor, read[i]!]));
  return Object.fromEntries(tensors.flatMap((tensor) => Object.entries(byTensor.get(tensor)!)));
}

/** The next tensor's index, which no other thread gets; beyond the end when there is none. */
export function take(next: Int32Array): number {
  return Atomics.add(next, 0, 1);
}

function help(task: ReaderTask, read: HostTensors[]): Promise<void> {
  // From source (vitest) the thread is taken from the build, since a worker thread loads JavaScript only.
  const file = import.meta.url.endsWith(".ts") ? "../../dist/src/compile/readerThread.js" : "./readerThread.js";
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL(file, import.meta.url), { workerData: task });
    let failed: Error | undefined;
    thread.on("message", (reply: ReaderReply) => {
      if ("error" in reply) failed ??= new EngineError(reply.error.code, reply.error.message);
      else read[reply.index] = reply.tensors;
    });
    thread.on("error", (error) => {
      failed ??= new EngineError("reader_exit", `engine: a reading thread failed: ${error.message}; load again`, { cause: error });
    });
    thread.on("exit", () => (failed === undefined ? resolve() : reject(failed)));
  });
}
