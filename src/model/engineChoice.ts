/** Where a model computes, and the engine for it. */
import { CompiledEngine, EagerEngine, type Engine } from "../compile/index.js";
import { registerNativeBackend } from "../compile/nativeBackend.js";

/** Where a model computes. */
export interface EngineChoice {
  /** `compiled` (default): ONNX Runtime in a worker; `eager`: a TensorFlow.js backend; or an engine of your own. */
  readonly engine?: "compiled" | "eager" | Engine;
  /** ONNX Runtime's execution provider, for `compiled`; default `cpu`. */
  readonly device?: "cpu" | "webgpu" | "cuda";
  /** Threads of one operator, for `compiled`; default OMP_NUM_THREADS, or all cores where that is not set. */
  readonly threads?: number | null;
  /** A registered TensorFlow.js backend, for `eager`; default tfjs-node-gpu or tfjs-node where installed, else the active one. */
  readonly backend?: string | null;
}

export function createEngine({ engine = "compiled", device, threads, backend }: EngineChoice): Engine {
  if (engine === "eager") return new EagerEngine(backend ?? registerNativeBackend()?.backend);
  if (engine === "compiled") return new CompiledEngine({ device, threads: threads ?? undefined });
  return engine;
}

/** Without what is not given, which would hide another choice. */
export function definedOnly(choice: EngineChoice): EngineChoice {
  return Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined && value !== null));
}
