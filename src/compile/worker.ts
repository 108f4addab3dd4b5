/**
 * The compute worker: owns the tensor store and the ONNX Runtime sessions. `InferenceSession.run` blocks its thread, so
 * it has this one to itself. Requests are carried out one after the other, in the order in which they came.
 */
import { parentPort, workerData } from "node:worker_threads";
import type * as Ort from "onnxruntime-node";
import { EngineError } from "../errors.js";
import type { HostTensors } from "./hostTensor.js";
import { CONTROL, type Envelope, type Reply, type Request } from "./protocol.js";
import { encodeTensor, partsOf } from "./quantise/tensorFormat.js";
import { runSession } from "./sessionRun.js";
import { readTensors } from "./tensorReaders.js";
import { TensorStore } from "./tensorStore.js";

const port = parentPort!;
const { control } = workerData as { control: Int32Array };
const store = new TensorStore();
const sessions = new Map<string, Ort.InferenceSession>();
let runtime: typeof Ort | undefined;

async function onnxruntime(): Promise<typeof Ort> {
  try {
    runtime ??= ((await import("onnxruntime-node")) as unknown as { default: typeof Ort }).default;
    return runtime;
  } catch (error) {
    const message = `onnxruntime-node cannot be loaded (${(error as Error).message}); install it with ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node, or use engine "eager"`;
    throw new EngineError("no_runtime", message, { cause: error });
  }
}

async function openSession({ model, fixed, options: { device, threads } }: Request & { kind: "open" }): Promise<Ort.InferenceSession> {
  const ort = await onnxruntime();
  const externalData = Object.entries(fixed).map(([path, stored]) => {
    const { data } = store.get(stored);
    return { path, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  });
  return ort.InferenceSession.create(model, {
    executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"],
    intraOpNumThreads: threads,
    // The arena keeps a session's activations from being mapped anew, page by page, in every run; the memory pattern
    // would reserve nearly three times as much for the same speed (docs/log.md).
    enableCpuMemArena: true,
    enableMemPattern: false,
    // The graph has been through the passes of optimise.ts. What is made of fixed tensors must be folded, or MatMulNBits does not get
    // constants and packs its weights in every run.
    graphOptimizationLevel: Object.keys(fixed).length > 0 ? "basic" : "disabled",
    logSeverityLevel: 3,
    externalData,
  });
}

async function carryOut(request: Request, epoch: number): Promise<HostTensors> {
  switch (request.kind) {
    case "put":
      store.set(request.name, request.tensor);
      return {};
    case "load":
      // All or nothing, as every call.
      setAll(await readTensors(request.tensors, () => requireWanted(epoch, request, true)));
      return {};
    case "encode":
      encode(request);
      return {};
    case "fetch":
      return { [request.name]: store.copyOf(request.name) };
    case "copy":
      store.set(request.to, store.copyOf(request.from));
      return {};
    case "view":
      store.setView(request.name, request);
      return {};
    case "clear":
      request.names.forEach((name) => store.get(name).data.fill(0));
      return {};
    case "remove":
      request.names.forEach((name) => store.remove(name));
      return {};
    case "open":
      sessions.set(request.session, await openSession(request));
      return {};
    case "close":
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return {};
    case "end":
      for (const session of sessions.values()) await session.release();
      sessions.clear();
      return {};
    case "run":
      return run(request);
  }
}

function encode({ from, to, format }: Request & { kind: "encode" }): void {
  const { data, shape } = store.get(from);
  setAll(encodeTensor(to, shape, format, () => partsOf(data as Float32Array)));
}

function setAll(tensors: HostTensors): void {
  for (const [name, tensor] of Object.entries(tensors)) store.set(name, tensor);
}

async function run(request: Request & { kind: "run" }): Promise<HostTensors> {
  const ort = await onnxruntime();
  const session = sessions.get(request.session);
  if (session === undefined) throw new EngineError("no_session", `worker: session ${request.session} was closed`);
  return runSession(ort, session, store, request);
}

/** Sessions are shared by later runs, and cleaning up must not be skipped. */
function isAbortable({ kind }: Request): boolean {
  return kind !== "open" && kind !== "close" && kind !== "remove";
}

/** @throws EngineError `aborted`, `disposed` */
function requireWanted(epoch: number, request: Request, begun = false): void {
  if (request.kind === "end") return;
  if (Atomics.load(control, CONTROL.closing) === 1)
    throw new EngineError("disposed", `engine: it was disposed ${begun ? "while the call read files" : "before the call began"}`);
  if (epoch < Atomics.load(control, CONTROL.abortEpoch) && isAbortable(request)) {
    throw new EngineError("aborted", `engine: the call was aborted ${begun ? "while it read files" : "before it began"}`);
  }
}

async function answer({ id, epoch, request }: Envelope): Promise<void> {
  let reply: Reply;
  // Busy is set before closing is read, and the other thread does it the other way round: one of the two sees the other.
  Atomics.store(control, CONTROL.busy, 1);
  try {
    requireWanted(epoch, request);
    reply = { id, tensors: await carryOut(request, epoch) };
  } catch (error) {
    const { code = "session", message } = error as { code?: string; message: string };
    reply = { id, error: { code: typeof code === "string" ? code : "session", message } };
  } finally {
    Atomics.store(control, CONTROL.busy, 0);
    Atomics.notify(control, CONTROL.busy);
  }
  const arrays = "tensors" in reply ? Object.values(reply.tensors).map(({ data }) => data.buffer as ArrayBuffer) : [];
  port.postMessage(reply, arrays);
}

let queue = Promise.resolve();
port.on("message", (envelope: Envelope) => {
  queue = queue.then(() => answer(envelope));
});
