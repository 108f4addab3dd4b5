/** One matrix product on each kind of backend. This code runs in a child process: a native backend may crash or hang. */
import { Graph } from "../compile/graph.js";
import { registerBackend } from "../compile/installedBackends.js";
import { findNativePackages, registerNativeBackend } from "../compile/nativeBackend.js";
import { encodeOnnxModel } from "../compile/onnxModel.js";
import { tf } from "../compile/tensorflow.js";
import type { Backend } from "./backends.js";
import type { Product } from "./product.js";

export interface OpenBackend {
  readonly multiply: (product: Product) => Promise<ArrayLike<number>>;
  /** What it cannot do although it multiplies, or undefined. */
  readonly limit: () => string | undefined;
}

/** Opens the backend. @throws whatever the backend throws when it is not there or does not work */
export async function openBackend(backend: Backend): Promise<OpenBackend> {
  return backend.runtime === "onnxruntime" ? openProvider(backend.name) : openTfjs(backend);
}

async function openProvider(provider: string): Promise<OpenBackend> {
  const ort = (await import("onnxruntime-node")).default;
  const multiply = async ({ a, b, shapeA, shapeB }: Product): Promise<Float32Array> => {
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
  return { multiply, limit: () => undefined };
}

async function openTfjs({ name, packages }: Backend): Promise<OpenBackend> {
  if (name === "tensorflow") registerNativeBackend(findNativePackages().filter((found) => packages.includes(found.package)));
  await registerBackend(name);
  await tf.setBackend(name);
  const multiply = async ({ a, b, shapeA, shapeB }: Product): Promise<ArrayLike<number>> => {
    const result = tf.tidy(() => tf.matMul(tf.tensor2d(a, shapeA), tf.tensor2d(b, shapeB)));
    const values = await result.data();
    result.dispose();
    return values;
  };
  return { multiply, limit: trainingLimit };
}

/** Not every TensorFlow.js backend has the kernels of a backward pass; an embedding's gradient is the one that is missing first. */
function trainingLimit(): string | undefined {
  try {
    tf.tidy(() =>
      tf
        .grad((table: tf.Tensor) => tf.sum(tf.gather(table, tf.tensor1d([1, 0, 1], "int32"))))(tf.ones([2, 3]))
        .dataSync(),
    );
    return undefined;
  } catch (error) {
    return `no training: ${(error as Error).message}`;
  }
}
