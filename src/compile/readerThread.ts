/** A thread that helps `readTensors`: reads tensors until none is left, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { type ReaderReply, type ReaderTask, readTensor, take } from "./tensorReaders.js";

const port = parentPort!;
const { tensors, next } = workerData as ReaderTask;

for (let index = take(next); index < tensors.length; index = take(next)) {
  try {
    const reply: ReaderReply = { index, tensors: readTensor(tensors[index]!) };
    port.postMessage(
      reply,
      Object.values(reply.tensors).map(({ data }) => data.buffer as ArrayBuffer),
    );
  } catch (error) {
    const { code = "session", message } = error as { code?: string; message: string };
    port.postMessage({ index, error: { code, message } } satisfies ReaderReply);
    // Nothing is stored when one fails: the others need not go on.
    Atomics.store(next, 0, tensors.length);
  }
}
