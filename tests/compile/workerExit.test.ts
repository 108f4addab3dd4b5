/** A compute worker that ends by itself, played by an event emitter in its place. */
import { EventEmitter } from "node:events";
import { expect, test, vi } from "vitest";
import { CompiledEngine, tf } from "../../src/compile/index.js";
import { floats } from "./contractCase.js";

const workers: FakeWorker[] = [];
class FakeWorker extends EventEmitter {
  readonly messages: unknown[] = [];
  constructor() {
    super();
    workers.push(this);
  }
  postMessage(message: unknown): void {
    this.messages.push(message);
  }
  ref(): void {}
  unref(): void {}
  terminate(): Promise<number> {
    return Promise.resolve(0);
  }
}
vi.mock("node:worker_threads", async (original) => ({ ...(await original<object>()), Worker: FakeWorkerProxy }));
/** The mock is hoisted above the class. */
function FakeWorkerProxy(): FakeWorker {
  return new FakeWorker();
}

test.each([
  [
    "error",
    new Error("Cannot find module worker.js"),
    "engine: the compute worker failed: Cannot find module worker.js; its tensors are lost, make a new engine",
  ],
  ["exit", 134, "engine: the compute worker ended with code 134; its tensors are lost, make a new engine"],
])("a worker's %s rejects what is waiting and all later calls", async (event, detail, message) => {
  const engine = new CompiledEngine();
  const put = engine.put("w", floats([1]));
  const program = engine.compile(({ w }) => ({ y: tf.neg(w!) }), { w: { shape: [1], role: "state" } }, { name: "p" });
  const run = program.run({});
  const outcomes = Promise.allSettled([put, run]);
  workers.at(-1)!.emit(event, detail);
  const [first, second] = await outcomes;
  expect(first).toMatchObject({ status: "rejected", reason: { code: "worker_exit", message } });
  expect(second).toMatchObject({ status: "rejected", reason: { code: "worker_exit", message: `p: ${message}` } });
  expect(engine.has("w")).toBe(false);
  await expect(engine.put("w", floats([1]))).rejects.toMatchObject({ code: "worker_exit" });
  // The two calls and the session.
  expect(workers.at(-1)!.messages).toHaveLength(3);
  await program.dispose();
  await engine.dispose();
});
