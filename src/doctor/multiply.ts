/** One matrix product on each kind of backend. This code runs in a child process: a native backend may crash or hang. */
import { createRequire } from "node:module";
import { Graph } from "../compile/graph.js";
import { findNativePackages, packageRoots, registerNativeBackend } from "../compile/nativeBackend.js";
import { encodeOnnxModel } from "../compile/onnxModel.js";
import { tf } from "../compile/tensorflow.js";
import { EngineError } from "../errors.js";
import type { Backend } from "./backends.js";
import type { Product } from "./product.js";

export type Multiply = (product: Product) => Promise<ArrayLike<number>>;

/** Opens the backend. @throws whatever the backend throws when it is not there or does not work */
export async function openBackend(backend: Backend): Promise<Multiply> {
  return backend.runtime === "onnxruntime" ? openProvider(backend.name) : openTfjs(backend);
}

async function openProvider(provider: string): Promise<Multiply> {
  const ort = (await import("onnxruntime-node")).default;
  return async ({ a, b, shapeA, shapeB }) => {
    const graph = new Graph();
    const inputs = [graph.input("a", "float32", shapeA), graph.input("b", "float32", shapeB)];
    const result = graph.op("MatMul", inputs, { dtype: "float32", shape: [shapeA[0], shapeB[1]] });
    const session = await ort.InferenceSession.create(encodeOnnxModel(graph, new Map([["result", result]])), {
      executionProviders: [provider],
      logSeverityLevel: 4,
      // A provider that hands the product to the CPU must fail, not look as if it worked.
      ...(provider === "cpu" ? {} : { extra: { session: { disable_cpu_ep_fallback: "1" } } }),
    });
    const feeds = { a: new ort.Tensor("float32", a, shapeA), b: new ort.Tensor("float32", b, shapeB) };
    const { result: output } = await session.run(feeds);
    const values = output!.data as Float32Array;
    await session.release();
    return values;
  };
}

async function openTfjs(backend: Backend): Promise<Multiply> {
  if (backend.name === "tensorflow")
    registerNativeBackend(findNativePackages().filter((found) => backend.packages.includes(found.package)));
  if (backend.name === "webgpu") {
    const { create, globals } = requireInstalled("webgpu") as { create: (options: string[]) => unknown; globals: object };
    Object.assign(globalThis, globals);
    const navigator = (globalThis as { navigator?: object }).navigator ?? {};
    Object.defineProperty(navigator, "gpu", { value: create([]), configurable: true });
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  }
  if (backend.name === "webgpu" || backend.name === "wasm") requireInstalled(backend.packages.at(-1)!);
  if (!(await tf.setBackend(backend.name)))
    throw new EngineError("backend_init", `TensorFlow.js could not start its backend "${backend.name}"`);
  await tf.ready();
  return async ({ a, b, shapeA, shapeB }) => {
    const result = tf.tidy(() => tf.matMul(tf.tensor2d(a, shapeA), tf.tensor2d(b, shapeB)));
    const values = await result.data();
    result.dispose();
    return values;
  };
}

function requireInstalled(name: string): unknown {
  for (const root of packageRoots()) {
    const require = createRequire(root);
    try {
      require.resolve(name);
    } catch {
      continue;
    }
    return require(name);
  }
  throw new EngineError("not_installed", `${name} is not installed`);
}
