/** `compile`: the short way to a program of its own, without naming an engine. */
import { CompiledEngine } from "./compiledEngine.js";
import type { Engine, Program, Signature } from "./engine.js";
import type { TensorFunction } from "./trace.js";

let shared: CompiledEngine | undefined;

/**
 * Compiles a TensorFlow.js function: it is traced once per combination of sizes to ONNX, gradients included
 * (`tf.valueAndGrads`, `tf.customGrad`), and run by ONNX Runtime in a worker thread.
 *
 *     const area = compile(({ r }) => ({ area: tf.mul(Math.PI, tf.square(r)) }), { r: { shape: ["n"] } });
 *     const { area: values } = await area.run({ r: hostTensor([1, 2, 3], [3]) });
 *
 * @param fn maps named tensors to named tensors; synchronous, no reads of values, no random numbers
 * @param signature shape (numbers or named dimensions), dtype and role of every input
 * @param options.engine where it runs; by default one compiled engine shared by all such calls
 * @throws EngineError on `run` or `prepare`, if the function cannot be traced
 */
export function compile(fn: TensorFunction, signature: Signature, options: { engine?: Engine; name?: string } = {}): Program {
  const engine = options.engine ?? (shared ??= new CompiledEngine());
  return engine.compile(fn, signature, options);
}
