/** TensorFlow.js functions, traced to ONNX and run by ONNX Runtime. Knows nothing of models or training. */
export { compile } from "./compile.js";
export type { CompileOptions, Dimension, Engine, InputSpec, Program, RunOptions, Signature, SliceTarget } from "./engine.js";
export { CompiledEngine, type CompiledEngineOptions } from "./compiledEngine.js";
export { EagerEngine } from "./eagerEngine.js";
export { type FileTensor, readFileTensor } from "./fileTensors.js";
export * from "./fused/index.js";
export { hasExactInt8 } from "./int8Check.js";
export { type ValueAndGradients, valueAndGradients } from "./gradients.js";
export { type HostData, type HostDType, type HostTensor, type HostTensors, DTYPE_BYTES, hostTensor } from "./hostTensor.js";
export { type Int8Backward, type TensorFormat, storedParts } from "./quantise/tensorFormat.js";
export { dequantiseNf4, quantiseNf4 } from "./quantise/nf4.js";
export { sizeNames } from "./signature.js";
export { tf } from "./tensorflow.js";
export type { TensorFunction } from "./trace.js";
export type { TensorMap } from "./tracingBackend.js";
