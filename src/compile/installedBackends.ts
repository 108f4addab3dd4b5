/** TensorFlow.js backends that are optional packages: `tensorflow`, `wasm`, `webgpu`. Where installed they can run engine "eager". */
import { createRequire } from "node:module";
import { EngineError } from "../errors.js";
import { packageRoots, registerNativeBackend } from "./nativeBackend.js";
import { tf } from "./tensorflow.js";

const WASM = "@tensorflow/tfjs-backend-wasm";
const WEBGPU = "@tensorflow/tfjs-backend-webgpu";

/** Loads the package behind a backend's name and starts the backend; one that is registered already is only started. The active backend
 *  stays. @param name `tensorflow`, `wasm`, `webgpu`, `cpu`, or any that is registered
 *  @throws EngineError `no_backend` when it is unknown or its package absent, `native_backend` or `backend_start` when it does not work */
export async function registerBackend(name: string): Promise<void> {
  if (tf.findBackendFactory(name) === null) load(name);
  // Undefined, whatever its type says, before any backend was started.
  const active = tf.engine().backendName as string | undefined;
  try {
    // False, or an exception, when the backend cannot start; TensorFlow.js says why on the console only.
    if (!(await tf.setBackend(name))) throw new Error("no reason");
  } catch (error) {
    const message = `TensorFlow.js: backend "${name}" must start, got: ${(error as Error).message}; preflab doctor lists what works here`;
    throw new EngineError("backend_start", message, { cause: error });
  } finally {
    if (active) await tf.setBackend(active);
  }
}

function load(name: string): void {
  if (name === "tensorflow") {
    if (registerNativeBackend() === null) throw absent(name, "@tensorflow/tfjs-node");
  } else if (name === "wasm") {
    requireInstalled(name, WASM);
  } else if (name === "webgpu") {
    startDawn();
    requireInstalled(name, WEBGPU);
  } else {
    const known = [...new Set([...Object.keys(tf.engine().registryFactory), "tensorflow", "wasm", "webgpu"])];
    throw new EngineError("no_backend", `TensorFlow.js: backend must be one of ${known.join(", ")}, or registered before, got "${name}"`);
  }
}

/** TensorFlow.js's WebGPU backend expects a browser's globals when it is loaded; npm `webgpu` has them for Node. */
function startDawn(): void {
  const { create, globals } = requireInstalled("webgpu", "webgpu") as { create: (options: string[]) => unknown; globals: object };
  Object.assign(globalThis, globals);
  const navigator = (globalThis as { navigator?: object }).navigator ?? {};
  Object.defineProperty(navigator, "gpu", { value: create([]), configurable: true });
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}

function requireInstalled(backend: string, name: string): unknown {
  for (const root of packageRoots()) {
    const require = createRequire(root);
    try {
      require.resolve(name);
    } catch {
      continue;
    }
    return require(name);
  }
  throw absent(backend, name);
}

function absent(backend: string, name: string): EngineError {
  return new EngineError(
    "no_backend",
    `TensorFlow.js: backend "${backend}" needs the package ${name}, got none; npm install ${name.startsWith("@tensorflow/") ? `${name}@${tf.version.tfjs}` : name}`,
  );
}
